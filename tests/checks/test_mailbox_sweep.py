"""After the last trip of a mailbox, what earlier runs left there goes, and nothing else."""

import asyncio
from collections.abc import Generator
from dataclasses import replace

import pytest

from mailtrip_checks.ends import End
from mailtrip_checks.identity import new_token
from mailtrip_checks.trips import Protocol, Trip
from mailtrip_fixtures import MailAccount, MailServers
from tests.checks.trip_bench import PAST, Bench, Untouched, inbox, of_a_run, receiving, until, wire

pytestmark = pytest.mark.asyncio
BOTH = pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.POP3])


@pytest.fixture
def servers() -> Generator[MailServers]:
    with MailServers(catch_all=True, tls="none") as running:
        yield running


@pytest.fixture
def bench(servers: MailServers) -> Bench:
    return Bench(servers)


def leave_expired(account: MailAccount, count: int = 3) -> None:
    for _ in range(count):
        account.deliver(of_a_run(new_token(), PAST))


@BOTH
async def test_only_expired_mails_of_this_installation_go(
    bench: Bench, servers: MailServers, protocol: Protocol
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    leave_expired(account)
    trip = bench.trip(account, bench.box(account, protocol))
    bench.plan(trip)
    assert (await bench.fly(trip)).end is End.DELIVERED
    others.check()
    assert len(servers.ledger.deleted) == 4


@BOTH
async def test_nothing_is_swept_while_more_trips_are_to_come(
    bench: Bench, servers: MailServers, protocol: Protocol
) -> None:
    account = servers.account()
    leave_expired(account)
    trip = bench.trip(account, bench.box(account, protocol))
    bench.plan(trip, trip)
    assert (await bench.fly(trip)).end is End.DELIVERED
    assert len(account.messages) == 3
    assert (await bench.fly(replace(trip, fresh=True))).end is End.DELIVERED
    assert account.messages == []


async def test_a_planned_trip_that_never_comes_is_not_waited_for(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    leave_expired(account)
    trip = bench.trip(account)
    bench.plan(trip, trip)
    assert trip.receive is not None
    bench.world.mailboxes.forget(trip.receive)
    assert (await bench.fly(trip)).end is End.DELIVERED
    assert account.messages == []


def refused(trip: Trip) -> Trip:
    """The trip with a recipient that the server refuses: it comes to a mailbox, and nothing arrives there."""
    assert trip.send is not None
    return replace(trip, send=replace(trip.send, recipients=("reject@example.test",)))


async def test_without_anything_expired_the_folder_is_not_opened_for_writing(
    bench: Bench, servers: MailServers
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    trip = refused(bench.trip(account))
    bench.plan(trip)
    assert (await bench.fly(trip)).end is End.REJECTED
    assert bench.said("SELECT") == bench.said("STORE") == []
    assert len(bench.said("SEARCH")) == 1
    others.check()


@BOTH
async def test_who_only_connects_removes_nothing(bench: Bench, servers: MailServers, protocol: Protocol) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    leave_expired(account, 1)
    trip = replace(bench.trip(account, bench.box(account, protocol)), send=None)
    bench.plan(trip)
    assert (await bench.fly(trip)).end is End.CONNECTED
    others.check(more=1)


async def test_without_uidplus_the_expired_are_only_flagged() -> None:
    with MailServers(catch_all=True, tls="none", imap_without={"UIDPLUS"}) as servers:
        bench = Bench(servers)
        account = servers.account()
        others = Untouched(servers, account)
        leave_expired(account, 1)
        trip = refused(bench.trip(account))
        bench.plan(trip)
        assert (await bench.fly(trip)).end is End.REJECTED
        others.check(more=1)
        assert inbox(servers, account).messages[-1].flags == {"\\Deleted"}


@BOTH
async def test_a_sweep_that_fails_harms_nobody(
    bench: Bench, servers: MailServers, protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    leave_expired(account)
    port = servers.ports.imap if protocol is Protocol.IMAP else servers.ports.pop3
    async with wire(port) as line:
        line.upwards = lambda data: None if b"SEARCH HEADER" in data or b"TOP" in data else data
        trip = refused(bench.trip(account, bench.box(account, protocol, line.port)))
        bench.plan(trip)
        outcome = await bench.fly(trip)
    assert (outcome.end, outcome.warnings) == (End.REJECTED, ())
    others.check(more=3)
    assert caplog.records == []


@BOTH
async def test_a_sweep_that_never_ends_is_cut_short(
    bench: Bench, servers: MailServers, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailtrip_checks.mailbox.registry.CLOSE_WITHIN_S", 0.05)
    account = servers.account()
    leave_expired(account)
    port = servers.ports.imap if protocol is Protocol.IMAP else servers.ports.pop3
    async with wire(port) as line:
        line.upwards = lambda data: b"" if b"SEARCH HEADER" in data or b"TOP" in data else data
        trip = refused(bench.trip(account, bench.box(account, protocol, line.port)))
        trip = receiving(trip, step_timeout_s=60.0)
        bench.plan(trip)
        assert (await bench.fly(trip)).end is End.REJECTED
        await until(lambda: not line.open)
    assert len(account.messages) == 3


async def test_a_cancelled_trip_sweeps_nothing(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    leave_expired(account)
    servers.delivery_delay_s = 3600
    trip = bench.trip(account)
    bench.plan(trip)
    task = bench.launch(trip, grace_s=0.1)
    await until(lambda: servers.ledger.accepted)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert len(account.messages) == 3
