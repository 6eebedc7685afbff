"""Trips that start only when others have passed, and only when their windows allow it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailtrip_checks.ends import End
from mailtrip_checks.engine import Engine
from mailtrip_checks.judge import judge
from mailtrip_checks.needs import why_not
from mailtrip_checks.run import run_trip
from mailtrip_checks.schedule import Window
from mailtrip_checks.secrets import Masker
from mailtrip_checks.trips import Channel, Expect, Expected, Limit, Trip, TripKey
from mailtrip_fixtures import MailServers
from tests.checks.manual_clock import ManualClock
from tests.checks.trip_bench import BOUND_S, KEY, Bench

if TYPE_CHECKING:
    from collections.abc import Generator

    from mailtrip_checks.outcome import Outcome


@pytest.fixture
def servers() -> Generator[MailServers]:
    with MailServers(catch_all=True, tls="none") as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_s=datetime(2026, 11, 22, 3, 30, tzinfo=UTC).timestamp())


@pytest.fixture
def engine() -> Generator[Engine]:
    one = Engine(key=KEY, masker=Masker(), concurrency=2, grace_s=0.3)
    yield one
    one.stop()


def named(servers: MailServers, name: str, *needs: str) -> Trip:
    """A trip into a mailbox of its own, whose address begins with its name."""
    trip = Bench(servers).trip(servers.account(f"{name}@example.test"))
    return replace(trip, id=name, needs=tuple(TripKey(trip.path, need) for need in needs))


def fly(engine: Engine, *trips: Trip) -> list[Outcome]:
    return [result.result(BOUND_S) for result in engine.submit(trips)]


def test_a_chain_of_needs_flies_one_after_the_other_whatever_the_order(servers: MailServers, engine: Engine) -> None:
    """What is needed is deleted before what needs it is accepted."""
    servers.delivery_delay_s = 0.02
    trips = named(servers, "c", "b"), named(servers, "a"), named(servers, "b", "a"), named(servers, "free")
    assert [outcome.end for outcome in fly(engine, *trips)] == [End.DELIVERED] * 4
    events = [(entry.kind, entry.address[0]) for entry in servers.ledger.entries() if entry.kind != "delivered"]
    chain = [event for event in events if event[1] != "f"]
    assert chain == [(kind, name) for name in "abc" for kind in ("accepted", "deleted")]


def test_what_needs_nothing_does_not_wait_for_what_does(servers: MailServers) -> None:
    """Also where as many trips wait for their needs as may fly at once."""
    servers.delay_for("slow@example.test", 0.2)
    one = Engine(key=KEY, masker=Masker(), concurrency=2, grace_s=0.3)
    try:
        trips = [replace(named(servers, f"w{n}", "slow"), priority=1) for n in range(3)]
        fly(one, *trips, named(servers, "slow"), named(servers, "free"))
    finally:
        one.stop()
    assert servers.ledger.deleted[0].address == "free@example.test"
    assert len(servers.ledger.deleted) == 5


def test_nothing_is_sent_where_a_need_fails_or_was_skipped(servers: MailServers, engine: Engine) -> None:
    servers.refuse("bad@example.test", "550 5.7.1 No")
    bad, after, last = fly(
        engine, named(servers, "bad"), named(servers, "after", "bad"), named(servers, "last", "after")
    )
    assert (bad.end, after.end, last.end) == (End.REJECTED, End.SKIPPED, End.SKIPPED)
    assert after.what == "it needs `bad`, which did not pass: it ended rejected"
    assert last.what == "it needs `after`, which did not pass: it ended skipped"
    assert servers.ledger.entries() == ()
    assert not [line for line in servers.commands("imap") if "after" in line or "last" in line]


def test_it_is_the_verdict_that_counts_and_not_the_end(servers: MailServers, engine: Engine) -> None:
    servers.refuse("relay@example.test", "550 5.7.1 No")
    refused = replace(named(servers, "relay"), expect=Expect(Expected.REJECTED))
    late = replace(named(servers, "late"), expect=Expect(limits=(Limit(Channel.TOTAL, fail_s=1e-9),)))
    slow = replace(named(servers, "slow"), expect=Expect(limits=(Limit(Channel.TOTAL, warn_s=1e-9),)))
    ends = fly(engine, refused, late, slow, *(named(servers, f"x{n}", n) for n in ("relay", "late", "slow")))[3:]
    assert [outcome.end for outcome in ends] == [End.DELIVERED, End.SKIPPED, End.DELIVERED]
    assert ends[1].what == "it needs `late`, which did not pass: it ended late"


def test_a_need_that_is_not_among_the_trips_is_not_waited_for(servers: MailServers, engine: Engine) -> None:
    assert fly(engine, named(servers, "a", "elsewhere"))[0].end is End.DELIVERED


def test_all_needs_must_pass(servers: MailServers, engine: Engine) -> None:
    servers.refuse("bad@example.test", "550 5.7.1 No")
    outcome = fly(engine, named(servers, "a", "good", "bad"), named(servers, "good"), named(servers, "bad"))[0]
    assert outcome.what == "it needs `bad`, which did not pass: it ended rejected"


def test_what_waits_for_a_need_never_starts_once_the_engine_stops(servers: MailServers, engine: Engine) -> None:
    servers.delivery_delay_s = 60
    first, second = engine.submit([named(servers, "a"), named(servers, "b", "a")])
    servers.ledger.wait_for("accepted", 1, timeout_s=BOUND_S)
    engine.stop()
    assert (first.result(0).end, second.result(0).end) == (End.CANCELLED, End.CANCELLED)
    assert [entry.address for entry in servers.ledger.accepted] == ["a@example.test"]


def test_what_needs_a_cancelled_trip_is_skipped(servers: MailServers, engine: Engine) -> None:
    servers.delivery_delay_s = 60
    first, second = engine.submit([named(servers, "a"), named(servers, "b", "a")])
    servers.ledger.wait_for("accepted", 1, timeout_s=BOUND_S)
    engine.cancel(first)
    assert second.result(BOUND_S).what == "it needs `a`, which did not pass: it ended cancelled"


def test_an_error_of_ours_in_a_need_skips_what_needs_it(
    servers: MailServers, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stumbling(trip: Trip, *args: object, **more: object) -> Outcome:
        if trip.id == "a":
            raise ZeroDivisionError
        return await run_trip(trip, *args, **more)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr("mailtrip_checks.series.run_trip", stumbling)
    first, second = engine.submit([named(servers, "a"), named(servers, "b", "a")])
    assert isinstance(first.exception(BOUND_S), ZeroDivisionError)
    assert second.result(BOUND_S).what == "it needs `a`, which was not run"


def test_a_need_in_another_file_is_named_with_it() -> None:
    trip = Trip("a", Path("/x/a.trip.yaml"), 1, None, None)
    assert "`b.trip.yaml::c`" in why_not(trip, TripKey(Path("/x/b.trip.yaml"), "c"), End.LOST)


def test_windows_are_judged_when_the_trip_would_start(servers: MailServers, clock: ManualClock) -> None:
    sunday = Window("Sun 02:00-04:00 UTC", frozenset({6}), 120, 240, UTC)
    bench = Bench(servers, clock)
    trip = bench.trip(servers.account("a@example.test"))
    closed, later = replace(trip, maintenance=(sunday,)), replace(trip, maintenance=(sunday,), spread_s=7200)
    opened = replace(trip, schedule=(sunday,))
    one = Engine(key=KEY, masker=Masker(), concurrency=2, grace_s=0.3, clock=clock)
    try:
        results = one.submit([closed, opened, later, later])
        skipped, delivered, also_skipped = (result.result(BOUND_S) for result in results[:3])
        clock.from_another_thread(clock.advance(3600))
        after = results[3].result(BOUND_S)
    finally:
        one.stop()
    assert skipped.what == also_skipped.what == "inside its maintenance `Sun 02:00-04:00 UTC` (there it is Sun 03:30)"
    assert [outcome.end for outcome in (skipped, delivered, after)] == [End.SKIPPED, End.DELIVERED, End.DELIVERED]
    assert judge(skipped, trip.expect).passed is False
    assert (len(servers.ledger.accepted), len(servers.ledger.deleted)) == (2, 2)
