"""A deadline says what took too long, and leaves all else as it is."""

import asyncio
import errno

import pytest

from mailtrip_checks.errors import TimedOut, Unreachable
from mailtrip_checks.wire.deadline import within
from tests.checks.manual_clock import ManualClock


async def wait_within(clock: ManualClock, *bounds: tuple[float, str]) -> None:
    (for_s, what), *inner = bounds
    async with within(clock, for_s, what):
        if inner:
            await wait_within(clock, *inner)
        await asyncio.Event().wait()


async def failure(clock: ManualClock, *bounds: tuple[float, str]) -> str:
    waiting = asyncio.create_task(wait_within(clock, *bounds))
    await clock.advance(900)
    with pytest.raises(TimedOut) as caught:
        await waiting
    assert clock.waiting == 0
    return caught.value.what


@pytest.mark.asyncio
async def test_what_takes_too_long_is_named_with_its_bound() -> None:
    assert await failure(ManualClock(), (2.5, "the SMTP leg to out")) == "the SMTP leg to out: no answer within 2.5 s"


@pytest.mark.asyncio
async def test_of_two_deadlines_the_first_that_passes_speaks() -> None:
    assert await failure(ManualClock(), (60, "the leg"), (30, "the step")) == "the step: no answer within 30 s"
    assert await failure(ManualClock(), (30, "the leg"), (60, "the step")) == "the leg: no answer within 30 s"


@pytest.mark.asyncio
async def test_a_deadline_that_has_passed_already_ends_the_first_wait() -> None:
    with pytest.raises(TimedOut, match="no answer within -1 s"):
        await wait_within(ManualClock(), (-1, "the leg"))


@pytest.mark.asyncio
async def test_a_body_in_time_goes_undisturbed() -> None:
    clock = ManualClock()
    async with within(clock, 1, "nothing"):
        await clock.sleep(0)
    await clock.advance(2)
    assert clock.waiting == 0


@pytest.mark.asyncio
async def test_the_kernels_timeout_is_one_too() -> None:
    with pytest.raises(TimedOut, match="connecting") as caught:
        async with within(ManualClock(), 1, "connecting"):
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.asyncio
async def test_other_errors_and_cancellation_pass_through() -> None:
    clock = ManualClock()
    with pytest.raises(Unreachable):
        async with within(clock, 1, "connecting"):
            raise Unreachable("refused")
    waiting = asyncio.create_task(wait_within(clock, (1, "waiting")))
    await clock.until_waiting()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
