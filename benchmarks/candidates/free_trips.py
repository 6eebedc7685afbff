"""A pytest plugin that lets trips cost nothing: what remains is what our plugin itself takes for an item."""

from typing import Any

import pytest

from mailtrip_checks.ends import End
from mailtrip_checks.journal import Journal
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.trips import Trip
from mailtrip_checks.world import World


async def _arrive(trip: Trip, world: World, journal: Journal, **_: Any) -> Outcome:
    return journal.outcome(End.DELIVERED, with_transcript=world.tells_passed)


pytest.MonkeyPatch().setattr("mailtrip_checks.series.run_trip", _arrive)
