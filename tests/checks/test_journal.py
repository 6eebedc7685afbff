"""What a trip's journal says of its times."""

from pathlib import Path

from mailtrip_checks.ends import End
from mailtrip_checks.journal import Journal
from mailtrip_checks.trips import Trip
from tests.checks.manual_clock import ManualClock


def test_a_trip_that_waited_for_its_turn_started_when_its_own_first_stage_did() -> None:
    clock = ManualClock()
    journal = Journal(Trip("trip", Path("x.trip.yaml"), 1, None, None), clock)
    waited_s, now_s = 40.0, clock.now()
    journal.dialogue.stages.add("submit", now_s + waited_s, now_s + waited_s + 1)
    outcome = journal.outcome(End.ACCEPTED)
    assert outcome.started_at_s == now_s + waited_s
    assert outcome.started_wall_s == clock.wall() + waited_s
