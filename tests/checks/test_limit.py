"""Places at a server: who waits comes by number, and equal ones in the order in which they came."""

import asyncio

import pytest

from mailtrip_checks.limit import Limit

pytestmark = pytest.mark.asyncio


async def come(limit: Limit, *numbers: int) -> tuple[list[asyncio.Task[None]], list[int]]:
    """Tasks that wait for the one place of `limit`, and the indexes of `numbers` in which they got it, filled later."""
    served: list[int] = []

    async def visit(index: int, number: int) -> None:
        async with limit.place(number):
            served.append(index)

    tasks = [asyncio.create_task(visit(index, number)) for index, number in enumerate(numbers)]
    await asyncio.sleep(0)
    return tasks, served


async def test_the_lowest_number_that_waits_comes_first() -> None:
    limit = Limit(1)
    async with limit.place():
        tasks, served = await come(limit, 3, 1, 2)
    await asyncio.gather(*tasks)
    assert served == [1, 2, 0]


async def test_among_equal_numbers_who_came_first_does() -> None:
    limit = Limit(1)
    async with limit.place():
        tasks, served = await come(limit, 0, 0, 0)
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2]


async def test_who_has_left_the_queue_takes_no_place() -> None:
    limit = Limit(1)
    async with limit.place():
        tasks, served = await come(limit, 2, 1, 3)
        tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert served == [0, 2]
    async with asyncio.timeout(5), limit.place():
        pass
