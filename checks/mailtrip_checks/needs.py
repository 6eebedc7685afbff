"""What other trips must have come to before a trip may start."""

import asyncio
from collections.abc import Iterable

from mailtrip_checks.ends import End
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.trips import Trip, TripKey
from mailtrip_checks.verdict import verdict


async def unmet(trip: Trip, needs: Iterable[tuple[Trip, asyncio.Task[Outcome]]]) -> str:
    """Wait for the trips that this one needs, and say which did not pass; "" where all did."""
    for need, task in needs:
        if not task.done():
            await asyncio.wait([task])
        if task.cancelled():
            return why_not(trip, need.key, End.CANCELLED)
        if task.exception():
            return why_not(trip, need.key, None)
        judgement = verdict(task.result(), need.expect)
        if not judgement.passed:
            return why_not(trip, need.key, judgement.end)
    return ""


def why_not(trip: Trip, need: TripKey, end: End | None) -> str:
    """Why a trip does not start whose need did not pass, but ended so; None for one that was not run."""
    ended = "was not run" if end is None else f"did not pass: it ended {end}"
    return f"it needs `{need.seen_from(trip.path)}`, which {ended}"
