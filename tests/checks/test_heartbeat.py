"""The loop says how late it is, and full garbage collections stay short while it does."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from mailtrip_checks.clock import SystemClock
from mailtrip_checks.heartbeat import BEAT_S, WINDOW_S, Heartbeat

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def heartbeat() -> AsyncGenerator[Heartbeat]:
    one = Heartbeat(SystemClock())
    one.start()
    yield one
    one.stop()


async def beats(heartbeat: Heartbeat) -> None:
    """Return once it has noted something."""
    async with asyncio.timeout(5):
        while not heartbeat.lag_s(0.0, SystemClock().now()):
            await asyncio.sleep(BEAT_S)


async def test_a_loop_that_stands_still_is_late_just_then_and_not_at_other_times(heartbeat: Heartbeat) -> None:
    began_at_s = SystemClock().now()
    time.sleep(3 * BEAT_S)
    await beats(heartbeat)
    assert heartbeat.lag_s(began_at_s, began_at_s + 3 * BEAT_S) > BEAT_S
    assert heartbeat.lag_s(began_at_s + 100 * WINDOW_S, began_at_s + 200 * WINDOW_S) == 0
    assert Heartbeat(SystemClock()).lag_s(0, began_at_s) == 0


async def test_what_is_there_is_not_searched_for_garbage_while_it_beats(heartbeat: Heartbeat) -> None:
    before = gc.get_freeze_count()
    await beats(heartbeat)
    assert gc.get_freeze_count() > before
    heartbeat.stop()
    assert gc.get_freeze_count() == 0
    heartbeat.start()
    heartbeat.start()
    heartbeat.stop()
    assert all(task is asyncio.current_task() for task in asyncio.all_tasks())
