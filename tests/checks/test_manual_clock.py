"""The tests' clock keeps the promises of `clock.Clock`, and the machine's clock does too."""

import asyncio
import threading
import time

import pytest

from mailtrip_checks.clock import Clock, SystemClock
from tests.checks.manual_clock import ManualClock

FIVE_MINUTES_S = 300.0


async def note(clock: Clock, after_s: float, notes: list[tuple[float, float]]) -> None:
    await clock.sleep(after_s)
    notes.append((after_s, clock.now()))


@pytest.mark.asyncio
async def test_time_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock(now_s=7.0, wall_s=1_000_000.0)
    await asyncio.sleep(0)
    assert (clock.now(), clock.wall()) == (7.0, 1_000_000.0)
    await clock.advance(2.5)
    assert (clock.now(), clock.wall()) == (9.5, 1_000_002.5)


@pytest.mark.asyncio
async def test_sleepers_wake_in_order_and_each_at_its_own_instant() -> None:
    clock = ManualClock(now_s=0.0)
    notes: list[tuple[float, float]] = []
    async with asyncio.TaskGroup() as group:
        for after_s in (30.0, 10.0, 20.0):
            group.create_task(note(clock, after_s, notes))
        await clock.advance(25.0)
        assert notes == [(10.0, 10.0), (20.0, 20.0)]
        await clock.advance(5.0)
    assert notes[-1] == (30.0, 30.0)
    assert clock.waiting == 0


@pytest.mark.asyncio
async def test_who_sleeps_again_is_woken_again_by_the_same_advance() -> None:
    clock = ManualClock(now_s=0.0)
    looks: list[float] = []

    async def look_every_minute() -> None:
        while True:
            await clock.sleep(60)
            looks.append(clock.now())

    looking = asyncio.create_task(look_every_minute())
    await clock.advance(FIVE_MINUTES_S)
    looking.cancel()
    await asyncio.wait([looking])
    assert looks == [60, 120, 180, 240, 300]
    assert clock.waiting == 0


@pytest.mark.asyncio
async def test_no_sleep_takes_no_time() -> None:
    clock = ManualClock()
    async with asyncio.timeout(1):
        await clock.sleep(0)
        await clock.sleep(-1)


@pytest.mark.asyncio
async def test_a_timeout_of_five_minutes_is_over_in_milliseconds() -> None:
    clock = ManualClock()
    ended_at_s = 0.0

    async def wait_in_vain() -> None:
        nonlocal ended_at_s
        try:
            async with clock.timeout_at(clock.now() + FIVE_MINUTES_S):
                await asyncio.Event().wait()
        finally:
            ended_at_s = clock.now()

    waiting = asyncio.create_task(wait_in_vain())
    began_at_s = time.monotonic()
    await clock.advance(FIVE_MINUTES_S - 0.001)
    assert not waiting.done()
    await clock.advance(0.001)
    with pytest.raises(TimeoutError):
        await waiting
    assert ended_at_s == 1_000.0 + FIVE_MINUTES_S
    assert time.monotonic() - began_at_s < 1


@pytest.mark.parametrize("clock", [ManualClock(now_s=time.monotonic()), SystemClock()], ids=["manual", "system"])
@pytest.mark.asyncio
async def test_a_timeout_in_the_past_cancels_at_the_first_wait(clock: Clock) -> None:
    with pytest.raises(TimeoutError):
        async with clock.timeout_at(clock.now() - 1):
            await asyncio.Event().wait()


@pytest.mark.asyncio
async def test_a_timeout_that_was_left_in_time_never_fires() -> None:
    clock = ManualClock()
    async with clock.timeout_at(clock.now() + 1):
        pass
    await clock.advance(2)
    assert clock.waiting == 0


@pytest.mark.asyncio
async def test_the_inner_of_two_timeouts_fires_first_and_the_outer_stays_silent() -> None:
    clock = ManualClock()

    async def wait() -> str:
        async with clock.timeout_at(clock.now() + 20):
            try:
                async with clock.timeout_at(clock.now() + 10):
                    await asyncio.Event().wait()
            except TimeoutError:
                return f"inner at {clock.now():g}"
        return "outer"

    waiting = asyncio.create_task(wait())
    await clock.advance(30)
    assert await waiting == "inner at 1010"


@pytest.mark.asyncio
async def test_a_cancellation_from_outside_is_no_timeout() -> None:
    clock = ManualClock()

    async def wait() -> None:
        async with clock.timeout_at(clock.now() + 10):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await clock.until_waiting()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert clock.waiting == 0


def test_another_thread_can_advance_the_clock_of_a_running_loop() -> None:
    clock = ManualClock()
    loop = asyncio.new_event_loop()
    running = threading.Thread(target=loop.run_forever)
    running.start()
    sleeping = asyncio.run_coroutine_threadsafe(clock.sleep(FIVE_MINUTES_S), loop)
    clock.from_another_thread(clock.until_waiting())
    clock.from_another_thread(clock.advance(FIVE_MINUTES_S))
    assert sleeping.done()
    loop.call_soon_threadsafe(loop.stop)
    running.join(5)
    loop.close()


def test_another_thread_is_told_where_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.checks.manual_clock.PATIENCE_S", 0.01)
    clock = ManualClock()
    with pytest.raises(TimeoutError, match="nobody waits"):
        clock.from_another_thread(clock.advance(1))


@pytest.mark.asyncio
async def test_the_machines_clock_reads_the_loops_time_and_the_worlds() -> None:
    clock = SystemClock()
    assert abs(clock.now() - asyncio.get_running_loop().time()) < 1
    assert abs(clock.wall() - time.time()) < 1
    before_s = clock.now()
    await clock.sleep(-1)
    await clock.sleep(0.001)
    assert 0.0005 < clock.now() - before_s < 1
