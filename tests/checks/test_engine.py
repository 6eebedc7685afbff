"""All trips of a run, from the thread that submits them."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from mailtrip_checks.ends import End
from mailtrip_checks.engine import RATE_OVER_S, Engine
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.secrets import Masker
from mailtrip_checks.trips import Endpoint, Host, Repeat, Security, Trip
from mailtrip_fixtures import MailServers
from tests.checks.manual_clock import ManualClock
from tests.checks.trip_bench import BOUND_S, KEY, Bench


@pytest.fixture
def servers() -> Generator[MailServers]:
    with MailServers(catch_all=True, tls="none") as running:
        yield running


@pytest.fixture
def bench(servers: MailServers) -> Bench:
    return Bench(servers)


class Located:
    """Embedded servers that are found at once, slowly, or never."""

    def __init__(self, servers: MailServers, gate: Callable[[], object] = lambda: None) -> None:
        self._servers = servers
        self._gate = gate

    def locate(self, endpoint: Endpoint, address: str, hosts: tuple[Host, ...]) -> Endpoint:
        self._gate()
        ports = {"imap": self._servers.ports.imap, "smtp": self._servers.ports.smtp}
        return replace(endpoint, host="127.0.0.1", port=ports[endpoint.protocol.value], security=Security.NONE)


@contextmanager
def engine(
    concurrency: int = 50, grace_s: float = 0.3, embedded: Located | None = None, clock: ManualClock | None = None
) -> Generator[Engine]:
    one = Engine(key=KEY, masker=Masker(), concurrency=concurrency, grace_s=grace_s, embedded=embedded, clock=clock)
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    before, collected = set(threading.enumerate()), gc.get_threshold()
    with caplog.at_level(logging.WARNING):
        yield
    assert [record.getMessage() for record in caplog.records] == []
    deadline_s = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline_s:
        time.sleep(0.005)
    assert not [one for one in set(threading.enumerate()) - before if "mailtrip engine" in one.name]
    assert gc.get_threshold() == collected


def ends(results: list[Future[Outcome]]) -> list[End]:
    return [result.result(BOUND_S).end for result in results]


def when(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def never_comes(bench: Bench) -> Trip:
    """A trip whose mail goes elsewhere."""
    return bench.trip(bench.servers.account("sink@example.test"), bench.box(bench.servers.account()), timeout_s=60)


def test_a_hundred_trips_are_delivered_and_their_mailbox_is_empty(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    with engine(concurrency=100) as one:
        assert ends(one.submit([bench.trip(account)] * 100)) == [End.DELIVERED] * 100
        assert one.status().arrived == 100
        assert one.stop() == ()
    assert account.messages == []
    assert len(bench.said("LOGIN")) == 1


@pytest.mark.parametrize("stands_still_s", [0, 0.15])
def test_what_our_own_loop_adds_to_a_time_stands_beside_it(
    bench: Bench, servers: MailServers, stands_still_s: float
) -> None:
    def told(index: int, mail: str) -> None:
        time.sleep(stands_still_s)  # on the loop, between its connection and its mail

    with engine() as one:
        (result,) = one.submit([bench.trip(servers.account())], on_send=told)
        lag_s = result.result(BOUND_S).lag_s
    assert lag_s is not None
    assert (lag_s > 0.1) is (stands_still_s > 0)


def test_an_engine_that_had_nothing_to_do_stops_at_once() -> None:
    with engine() as one:
        began_s = time.monotonic()
        assert one.stop() == ()
        assert one.stop() == ()
        assert time.monotonic() - began_s < 1


def test_trips_can_be_submitted_after_others_are_done(bench: Bench, servers: MailServers) -> None:
    trip = bench.trip(servers.account())
    with engine() as one:
        assert ends(one.submit([trip])) == ends(one.submit([trip])) == [End.DELIVERED]
        assert one.submit([]) == []


def test_the_results_come_in_the_order_given_and_the_most_urgent_fly_first(bench: Bench, servers: MailServers) -> None:
    trip = bench.trip(servers.account())
    trips = [replace(trip, id=str(number), priority=priority) for number, priority in enumerate((3, 1, 2))]
    with engine(concurrency=1) as one:
        outcomes = [result.result(BOUND_S) for result in one.submit(trips)]
    begun = [outcome.mail_from_at_s or 0 for outcome in outcomes]
    assert sorted(range(3), key=lambda number: begun[number]) == [1, 2, 0]


def test_trips_with_a_spread_start_one_after_the_other(servers: MailServers) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    trip = replace(bench.trip(servers.account()), spread_s=60)
    with engine(clock=clock) as one:
        first, second = one.submit([trip, trip])
        assert first.result(BOUND_S).end is End.DELIVERED
        assert (one.status().queued, len(servers.ledger.accepted)) == (1, 1)
        assert one.status().rate_per_s == 1 / RATE_OVER_S
        clock.from_another_thread(clock.advance(30))
        assert second.result(BOUND_S).end is End.DELIVERED
        assert one.status().rate_per_s == 1 / RATE_OVER_S


def test_no_more_trips_fly_than_concurrency_allows(bench: Bench, servers: MailServers) -> None:
    servers.delivery_delay_s = 0.1
    trip = replace(bench.trip(servers.account()), fresh=True)
    most = 0
    with engine(concurrency=2) as one:
        results = one.submit([trip] * 6)
        while not all(result.done() for result in results):
            status = one.status()
            most = max(most, status.in_flight)
            assert status.queued + status.in_flight <= 6
            time.sleep(0.005)
        assert ends(results) == [End.DELIVERED] * 6
    assert most == 2


def test_status_names_the_trip_that_has_been_in_flight_longest(servers: MailServers) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    with engine(clock=clock, grace_s=0.05) as one:
        one.submit([replace(never_comes(bench), id="slow")])
        when(lambda: servers.ledger.accepted)
        clock.from_another_thread(clock.advance(0.5))  # less than any step on the way may take
        status = one.status()
        assert (status.in_flight, status.longest, status.longest_s) == (1, "slow", 0.5)


def test_stopping_cancels_what_flies_and_what_waits_and_names_what_stays(bench: Bench, servers: MailServers) -> None:
    with engine(concurrency=1) as one:
        results = one.submit([never_comes(bench)] * 3)
        when(lambda: servers.ledger.accepted)
        began_s = time.monotonic()
        outcomes = one.stop()
        assert time.monotonic() - began_s < 3
    assert [outcome.end for outcome in outcomes] == ends(results) == [End.CANCELLED] * 3
    assert sorted(len(outcome.left_behind) for outcome in outcomes) == [0, 0, 1]
    assert len(servers.ledger.accepted) == 1


def test_one_trip_can_be_cancelled_and_twice_is_as_once(bench: Bench, servers: MailServers) -> None:
    with engine(concurrency=1) as one:
        flies, waits = one.submit([never_comes(bench)] * 2)
        when(lambda: servers.ledger.accepted)
        for _ in range(2):
            one.cancel(waits)
            one.cancel(flies)
        assert ends([flies, waits]) == [End.CANCELLED] * 2
        assert len(flies.result().left_behind) == 1
        assert ends(one.submit([bench.trip(servers.account())])) == [End.DELIVERED]


def test_a_trip_that_is_cancelled_before_it_began_ends(bench: Bench, servers: MailServers) -> None:
    gate = threading.Event()
    embedded = Located(servers, lambda: gate.wait(BOUND_S))
    trip = bench.trip(servers.account())
    assert trip.receive
    assert trip.send
    trip = replace(trip, receive=replace(trip.receive, at=replace(trip.receive.at, embedded=True)))
    with engine(embedded=embedded) as one:
        goes, stays = one.submit([trip, trip])
        one.cancel(goes)
        time.sleep(0.02)
        gate.set()
        assert ends([goes, stays]) == [End.CANCELLED, End.DELIVERED]


def test_stopping_while_the_embedded_servers_start_ends_all(bench: Bench, servers: MailServers) -> None:
    gate = threading.Event()
    trip = bench.trip(servers.account())
    assert trip.send
    trip = replace(trip, send=replace(trip.send, via=replace(trip.send.via, embedded=True)))
    with engine(embedded=Located(servers, lambda: gate.wait(BOUND_S))) as one:
        one.submit([trip])
        began_s = time.monotonic()
        outcomes = one.stop()
        assert time.monotonic() - began_s < 3
    gate.set()
    assert [outcome.end for outcome in outcomes] == [End.CANCELLED]


def test_stopping_is_bounded_also_with_servers_that_died(bench: Bench, servers: MailServers) -> None:
    trips = [never_comes(bench) for _ in range(5)]
    with engine() as one:
        one.submit(trips)
        when(lambda: len(servers.ledger.accepted) == 5)
        servers.stop()
        began_s = time.monotonic()
        outcomes = one.stop()
        assert time.monotonic() - began_s < 3
    assert [outcome.end for outcome in outcomes] == [End.CANCELLED] * 5
    assert all(len(outcome.left_behind) == 1 for outcome in outcomes)


def test_an_error_of_ours_is_raised_by_the_future(
    bench: Bench, servers: MailServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("mailtrip_checks.run.compose", broken)
    with engine() as one:
        [result] = one.submit([bench.trip(servers.account())])
        with pytest.raises(ZeroDivisionError):
            result.result(BOUND_S)


def test_an_error_of_ours_in_the_mailbox_is_raised_by_the_future(
    bench: Bench, servers: MailServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("mailtrip_checks.mailbox.watch.sight", broken)
    with engine() as one:
        for result in one.submit([bench.trip(servers.account())] * 2):
            with pytest.raises(ZeroDivisionError):
                result.result(BOUND_S)


def test_embedded_servers_that_do_not_start_are_raised_by_every_future(bench: Bench, servers: MailServers) -> None:
    def broken() -> None:
        raise OSError("no port is free")

    trip = bench.trip(servers.account())
    assert trip.send
    trip = replace(trip, send=replace(trip.send, via=replace(trip.send.via, embedded=True)))
    with engine(embedded=Located(servers, broken)) as one:
        for result in one.submit([trip, trip]):
            with pytest.raises(OSError, match="no port is free"):
                result.result(BOUND_S)


def test_a_trip_that_will_not_be_stopped_is_given_up_and_its_mail_named(
    bench: Bench, servers: MailServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()

    async def stubborn(*_: object, **__: object) -> None:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        raise asyncio.CancelledError

    async def let_go(_: asyncio.BaseEventLoop) -> None:
        release.set()
        await asyncio.sleep(0.05)

    monkeypatch.setattr("mailtrip_checks.run._receive", stubborn)
    monkeypatch.setattr("mailtrip_checks.engine.LEAVE_WITHIN_S", 0.05)
    monkeypatch.setattr(asyncio.BaseEventLoop, "shutdown_asyncgens", let_go)  # so that the task can end at all
    with engine(grace_s=0.05) as one:
        one.submit([never_comes(bench)])
        when(lambda: one.status().in_flight and servers.ledger.accepted)
        [outcome] = one.stop()
    assert outcome.end is End.CANCELLED
    assert len(outcome.left_behind) == 1


def test_a_trip_that_waits_for_its_next_run_is_not_in_flight_and_stops_at_once(
    bench: Bench, servers: MailServers
) -> None:
    trip = replace(bench.trip(servers.account()), repeat=Repeat(3, 3600.0))
    with engine(concurrency=1) as one:
        resting, other = one.submit([trip, bench.trip(servers.account())])
        assert other.result(BOUND_S).end is End.DELIVERED
        when(lambda: one.status().resting)
        status = one.status()
        assert (status.queued, status.in_flight, status.resting, status.arrived, status.longest) == (0, 0, 1, 2, "")
        one.cancel(resting)
        assert resting.result(1).end is End.CANCELLED
        assert (one.status().resting, one.status().arrived) == (0, 2)
