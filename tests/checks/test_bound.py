"""How long a run can take at most."""

from dataclasses import replace
from pathlib import Path

import pytest

from mailtrip_checks.bound import bound_s
from mailtrip_checks.trips import Endpoint, Protocol, Receive, Repeat, Security, Send, Trip, TripKey

VIA = Endpoint("out", Protocol.SMTP, "out.test", 25, Security.NONE)
AT = Endpoint("in", Protocol.IMAP, "in.test", 143, Security.NONE, user="a@x.test")
SEND = Send(VIA, "a@x.test", ("b@x.test",), "a@x.test", timeout_s=60)
TRIP = Trip("one", Path("a.trip.yaml"), 1, SEND, Receive(AT, step_timeout_s=30), timeout_s=300)
RUN_S = 60 + 4 * 30 + 300


@pytest.mark.parametrize(
    ("trip", "length_s"),
    [
        (TRIP, RUN_S),
        (replace(TRIP, receive=None), 60),
        (replace(TRIP, send=None), 4 * 30),
        (replace(TRIP, receive=Receive(replace(AT, protocol=Protocol.LISTEN))), 60 + 300),
        (replace(TRIP, recheck=2), 3 * RUN_S),
        (replace(TRIP, spread_s=30), RUN_S + 30),
        (replace(TRIP, repeat=Repeat(20)), 20 * RUN_S),
        (replace(TRIP, repeat=Repeat(20, 600)), 19 * 600 + RUN_S),
        (replace(TRIP, repeat=Repeat(20, 361)), 20 * RUN_S),
        (replace(TRIP, repeat=Repeat(2, 600), recheck=1), 4 * RUN_S),
    ],
)
def test_a_trip_takes_its_legs_its_timeout_and_what_repeats_them(trip: Trip, length_s: float) -> None:
    assert bound_s([trip], 1000) == length_s


def test_nothing_takes_no_time() -> None:
    assert bound_s([], 1) == 0


def test_trips_that_fly_together_take_as_long_as_the_longest() -> None:
    assert bound_s([TRIP, replace(TRIP, timeout_s=900), replace(TRIP, send=None)], 3) == RUN_S + 600


def test_a_trip_that_needs_others_ends_after_them() -> None:
    second = replace(TRIP, id="two", timeout_s=900, needs=(TRIP.key, TripKey(TRIP.path, "not in this run")))
    third = replace(TRIP, id="three", needs=(second.key, TRIP.key))
    assert bound_s([third, TRIP, second], 3) == RUN_S + (RUN_S + 600) + RUN_S


def test_where_fewer_may_fly_at_once_they_queue() -> None:
    assert bound_s([TRIP] * 2, 1) == 2 * RUN_S
    assert bound_s([TRIP] * 3, 2) == RUN_S + 2 * RUN_S / 2


def test_more_trips_than_smtp_connections_queue_for_these() -> None:
    assert bound_s([TRIP] * 4, 1000) == RUN_S
    assert bound_s([TRIP] * 12, 1000) == RUN_S + 11 * 60 / 4
    few = replace(TRIP, send=replace(SEND, via=replace(VIA, connections_per_host=1)))
    assert bound_s([few] * 3, 1000) == RUN_S + 2 * 60


def test_trips_at_one_mailbox_share_its_connection_and_others_queue_for_theirs() -> None:
    few = replace(AT, connections_per_host=2)
    boxes = [replace(TRIP, send=None, receive=Receive(replace(few, user=user), step_timeout_s=30)) for user in "aabbb"]
    assert bound_s(boxes, 1000) == 120
    assert bound_s([*boxes, replace(boxes[0], receive=Receive(few))], 1000) == 120 + 2 * 120 / 2
    assert bound_s([replace(trip, fresh=True) for trip in boxes[:4]], 1000) == 120 + 3 * 120 / 2


def test_a_host_that_takes_mails_slowly_makes_them_queue() -> None:
    slow = replace(TRIP, send=replace(SEND, via=replace(VIA, rate_per_s=0.5)), recheck=1)
    assert bound_s([slow], 1000) == 2 * RUN_S + 1 / 0.5
