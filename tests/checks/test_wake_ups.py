"""Many who have something to read are woken a few at a time, in order."""

import asyncio

import pytest

from mailtrip_checks.wire.wake_ups import AT_ONCE, WakeUps


def set_of(events: list[asyncio.Event]) -> int:
    return sum(event.is_set() for event in events)


@pytest.mark.asyncio
async def test_of_many_a_few_are_woken_in_each_turn_of_the_loop() -> None:
    wake_ups, events = WakeUps(), [asyncio.Event() for _ in range(2 * AT_ONCE + 3)]
    for event in events:
        wake_ups.ring(event)
    awake = [set_of(events)]
    for _ in range(3):
        await asyncio.sleep(0)
        awake.append(set_of(events))
    assert awake == [AT_ONCE, 2 * AT_ONCE, len(events), len(events)]


@pytest.mark.asyncio
async def test_who_comes_later_waits_behind_those_who_wait() -> None:
    wake_ups, first, late = WakeUps(), [asyncio.Event() for _ in range(2 * AT_ONCE + 1)], asyncio.Event()
    for event in first:
        wake_ups.ring(event)
    await asyncio.sleep(0)
    wake_ups.ring(late)
    assert not late.is_set()
    await asyncio.sleep(0)
    assert all(event.is_set() for event in [*first, late])


@pytest.mark.asyncio
async def test_after_a_quiet_turn_as_many_are_woken_at_once_as_ever() -> None:
    wake_ups = WakeUps()
    for _ in range(3):
        events = [asyncio.Event() for _ in range(AT_ONCE)]
        for event in events:
            wake_ups.ring(event)
        assert set_of(events) == AT_ONCE
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_what_is_rung_together_wakes_together() -> None:
    wake_ups, pairs = WakeUps(), [(asyncio.Event(), asyncio.Event()) for _ in range(AT_ONCE + 1)]
    for pair in pairs:
        wake_ups.ring(*pair)
    assert [pair[0].is_set() for pair in pairs] == [pair[1].is_set() for pair in pairs] == [True] * AT_ONCE + [False]
