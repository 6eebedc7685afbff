"""The loop says how late it is, and full garbage collections are rare while it does."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from mailtrip_checks.garbage import TIMES_RARER
from mailtrip_checks.heartbeat import BEAT_S, MOST_NOTED, Heartbeat

pytestmark = pytest.mark.asyncio

STALL_S = 3 * BEAT_S


@pytest_asyncio.fixture
async def heartbeat() -> AsyncGenerator[Heartbeat]:
    one = Heartbeat()
    one.start()
    yield one
    one.stop()


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def until_noted(heartbeat: Heartbeat) -> None:
    """Return once it is no longer overdue."""
    async with asyncio.timeout(5):
        while heartbeat.lag_s(now_s() - BEAT_S / 2, now_s()):
            await asyncio.sleep(BEAT_S)


async def test_a_loop_that_stands_still_is_late_just_then_and_not_before(heartbeat: Heartbeat) -> None:
    began_at_s = now_s()
    time.sleep(STALL_S)
    await until_noted(heartbeat)
    assert heartbeat.lag_s(began_at_s, now_s()) >= STALL_S - BEAT_S
    assert heartbeat.lag_s(began_at_s - 1, began_at_s) == 0


async def test_what_is_read_before_the_late_beat_knows_of_the_stall(heartbeat: Heartbeat) -> None:
    began_at_s = now_s()
    time.sleep(STALL_S)
    assert heartbeat.lag_s(began_at_s, now_s()) >= STALL_S - BEAT_S


async def test_a_stall_is_no_longer_than_the_time_that_is_asked_for(heartbeat: Heartbeat) -> None:
    time.sleep(STALL_S)
    middle_at_s = now_s() - BEAT_S
    await until_noted(heartbeat)
    assert heartbeat.lag_s(middle_at_s, middle_at_s + 0.004) == pytest.approx(0.004)


async def test_it_notes_nothing_before_its_start_and_behind_its_stop(heartbeat: Heartbeat) -> None:
    began_at_s = now_s()
    heartbeat.stop()
    time.sleep(STALL_S)
    await asyncio.sleep(BEAT_S)
    assert heartbeat.lag_s(began_at_s, now_s()) == 0


async def test_instants_of_another_clock_have_no_lag(heartbeat: Heartbeat) -> None:
    time.sleep(STALL_S)
    assert heartbeat.lag_s(now_s() + 1_000, now_s() + 2_000) == 0


async def test_another_thread_may_ask_too(heartbeat: Heartbeat) -> None:
    began_at_s = now_s()
    time.sleep(STALL_S)
    assert await asyncio.to_thread(heartbeat.lag_s, began_at_s, now_s()) >= STALL_S - BEAT_S


async def test_of_very_many_stalls_the_newest_are_kept(heartbeat: Heartbeat) -> None:
    for number in range(MOST_NOTED + 1):  # noted for it: to stand still so often would take an hour
        heartbeat._note(number, number + 0.5)  # pyright: ignore[reportPrivateUsage]
    assert heartbeat.lag_s(0, 1) == 0
    assert heartbeat.lag_s(MOST_NOTED, MOST_NOTED + 1) == 0.5


async def test_full_garbage_collections_are_rare_while_any_of_them_beats() -> None:
    usual = gc.get_threshold()
    rare = (*usual[:2], usual[2] * TIMES_RARER)
    first, second = Heartbeat(), Heartbeat()
    for one in (first, second, second):
        one.start()
        assert gc.get_threshold() == rare
    first.stop()
    assert gc.get_threshold() == rare
    second.stop()
    second.stop()
    assert gc.get_threshold() == usual


async def test_where_many_trips_fly_what_is_young_is_searched_with_each_beat(heartbeat: Heartbeat) -> None:
    heartbeat.start(many=True)
    searched: list[int] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "stop":
            searched.append(about["generation"])

    gc.callbacks.append(note)
    try:
        await asyncio.sleep(8 * BEAT_S)
    finally:
        gc.callbacks.remove(note)
    assert {0, 1} <= set(searched)


async def test_who_has_switched_collection_off_keeps_it_off(heartbeat: Heartbeat) -> None:
    heartbeat.start(many=True)
    searched: list[str] = []

    def note(phase: str, about: dict[str, int]) -> None:
        searched.append(phase)

    gc.disable()
    gc.callbacks.append(note)
    try:
        await asyncio.sleep(3 * BEAT_S)
    finally:
        gc.callbacks.remove(note)
        gc.enable()
    assert searched == []
