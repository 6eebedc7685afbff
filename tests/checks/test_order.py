"""In which order trips start, and when."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.order import Start, starts
from mailtrip_checks.trips import Endpoint, Protocol, Receive, Security, Trip

ENDPOINT = Endpoint(name="in", protocol=Protocol.IMAP, host="a", port=143, security=Security.NONE)
TRIP = Trip(id="one", path=Path("a.trip.yaml"), line=1, send=None, receive=Receive(ENDPOINT))


def trip(host: str = "a", *, priority: int = 3, spread_s: float = 0.0) -> Trip:
    at = replace(ENDPOINT, host=host)
    return replace(TRIP, receive=Receive(at), priority=priority, spread_s=spread_s)


def test_without_more_they_start_at_once_as_they_stand() -> None:
    assert starts([trip(), trip()]) == [Start(0, 0), Start(1, 0)]
    assert starts([]) == []


def test_the_most_urgent_start_first() -> None:
    assert [start.index for start in starts([trip(priority=5), trip(priority=1), trip(priority=3)])] == [1, 2, 0]


def test_among_equals_the_hosts_take_turns() -> None:
    many = [trip("big")] * 4 + [trip("small")] * 2 + [trip("last", priority=1)]
    assert [start.index for start in starts(many)] == [6, 0, 4, 1, 5, 2, 3]


def test_those_with_the_same_spread_share_it_evenly_and_the_rest_start_at_once() -> None:
    slow, slower = trip(spread_s=30), trip(spread_s=100)
    assert starts([slow, slower, slow, slower, slow, trip()]) == [
        *(Start(0, 0), Start(1, 0), Start(5, 0)),
        *(Start(2, 10), Start(4, 20), Start(3, 50)),
    ]


@given(st.lists(st.builds(trip, st.sampled_from("abc"), priority=st.integers(1, 2), spread_s=st.sampled_from([0, 30]))))
def test_every_trip_starts_once_and_within_its_spread(trips: list[Trip]) -> None:
    begun = starts(trips)
    assert sorted(start.index for start in begun) == list(range(len(trips)))
    assert all(start.after_s < trips[start.index].spread_s or not start.after_s for start in begun)
    assert [start.after_s for start in begun] == sorted(start.after_s for start in begun)


@given(st.lists(st.sampled_from("abc")))
def test_no_host_has_its_next_turn_before_every_other_had_as_many(hosts: list[str]) -> None:
    had: Counter[str] = Counter()
    turns: list[int] = []
    for start in starts([trip(host) for host in hosts]):
        had[hosts[start.index]] += 1
        turns.append(had[hosts[start.index]])
    assert turns == sorted(turns)
