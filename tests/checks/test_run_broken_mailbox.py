"""A mailbox whose server hangs up, refuses, lies or dies while trips wait."""

import asyncio
import re
from collections.abc import Callable, Generator
from dataclasses import replace

import pytest

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.secrets import Secret
from mailtrip_checks.trips import Auth, Protocol, Search, Trip
from mailtrip_fixtures import MailAccount, MailServers
from tests.checks.manual_clock import ManualClock
from tests.checks.trip_bench import Bench, Untouched, Wire, inbox, receiving, through_time, until, wire

pytestmark = pytest.mark.asyncio


@pytest.fixture
def servers() -> Generator[MailServers]:
    with MailServers(catch_all=True, tls="none") as running:
        yield running


@pytest.fixture
def bench(servers: MailServers) -> Bench:
    return Bench(servers)


def on(
    bench: Bench, account: MailAccount, line: Wire, protocol: Protocol = Protocol.IMAP, timeout_s: float = 5
) -> Trip:
    """A trip to the account whose mailbox is at the end of this wire."""
    return bench.trip(account, bench.box(account, protocol, port=line.port), timeout_s=timeout_s)


def once(pattern: bytes, do: Callable[[bytes], bytes | None]) -> Callable[[bytes], bytes | None]:
    """Change the first piece in which the pattern occurs."""
    left = [1]

    def change(data: bytes) -> bytes | None:
        if re.search(pattern, data) and left:
            left.pop()
            return do(data)
        return data

    return change


def cut(_: bytes) -> None:
    return None


PLACES = [rb"EXAMINE", rb"NOOP", rb"HEADER\.FIELDS", rb"BODY\.PEEK\[\]", rb"IDLE"]


@pytest.mark.parametrize("place", PLACES[1:])
@pytest.mark.parametrize("search", Search)
async def test_a_connection_that_breaks_while_a_trip_waits_is_made_anew(
    bench: Bench, servers: MailServers, place: bytes, search: Search
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    servers.delivery_delay_s = 0.05
    async with wire(servers.ports.imap) as line:
        line.upwards = once(place, cut)
        outcome = await bench.fly(receiving(on(bench, account, line), search=search))
        assert line.most_open == 1
    assert outcome.end is End.DELIVERED
    assert len(bench.said("LOGIN")) == 2
    others.check()


async def test_a_bye_while_idling_is_survived(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    servers.delivery_delay_s = 0.1
    async with wire(servers.ports.imap) as line:
        line.downwards = once(rb"^\+ ", lambda data: data + b"* BYE shutting down\r\n")
        outcome = await bench.fly(receiving(on(bench, account, line), interval_s=1.0))
    assert outcome.end is End.DELIVERED
    assert any("BYE shutting down" in line.text for line in outcome.transcript)


@pytest.mark.parametrize("place", [rb"HEADER", rb"SELECT"])
async def test_under_another_uidvalidity_everything_is_read_anew(
    bench: Bench, servers: MailServers, place: bytes
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    folder = inbox(servers, account)

    def renumber(data: bytes) -> bytes | None:
        folder.uidvalidity += 1000
        return None if place == rb"HEADER" else data

    async with wire(servers.ports.imap) as line:
        line.upwards = once(place, renumber)
        outcome = await bench.fly(on(bench, account, line))
    assert (outcome.end, outcome.warnings) == (End.DELIVERED, ())
    others.check()


async def test_a_login_refused_at_the_second_connection_ends_the_trip_at_once(
    bench: Bench, servers: MailServers
) -> None:
    account = servers.account()
    async with wire(servers.ports.imap) as line:

        def refuse(data: bytes) -> bytes | None:
            return re.sub(rb"(a[0-9]+) LOGIN [^\r]*", rb"\1 LOGIN who {1+}\r\nx", data)

        def break_it(_: bytes) -> None:
            line.upwards = refuse

        line.upwards = once(rb"HEADER", break_it)
        outcome = await bench.fly(on(bench, account, line, timeout_s=60))
    assert (outcome.end, outcome.leg, outcome.stage) == (End.LOGIN_FAILED, Leg.MAILBOX, "login")
    assert len(outcome.left_behind) == 1
    assert len(bench.said("LOGIN")) == 2


async def test_who_comes_to_a_mailbox_that_was_given_up_hears_it_before_sending(
    bench: Bench, servers: MailServers
) -> None:
    account = servers.account()
    async with wire(servers.ports.imap) as line, wire(servers.ports.smtp) as slow:
        slow.dead = True
        at = bench.box(account, port=line.port)
        stuck = bench.launch(bench.trip(account, at, bench.smtp(slow.port), timeout_s=60))
        await until(lambda: slow.open)
        assert (await bench.fly(on(bench, account, line))).end is End.DELIVERED
        line.upwards = lambda data: re.sub(rb"(a[0-9]+) LOGIN [^\r]*", rb"\1 LOGIN who {1+}\r\nx", data)
        line.drop()
        await until(lambda: len(bench.said("LOGIN")) == 2 and not line.open)
        await asyncio.sleep(0.02)
        sent = len(servers.ledger.accepted)
        outcome = await bench.fly(on(bench, account, line))
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
    assert outcome.end is End.LOGIN_FAILED
    assert len(servers.ledger.accepted) == sent
    assert len(bench.said("LOGIN")) == 2


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.POP3])
async def test_a_server_that_is_gone_until_the_end_is_told_as_such_not_as_a_lost_mail(
    servers: MailServers, protocol: Protocol
) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    account = servers.account()
    servers.delivery_delay_s = 3600
    port = servers.ports.imap if protocol is Protocol.IMAP else servers.ports.pop3
    async with wire(port) as line:
        trip = on(bench, account, line, protocol, timeout_s=300)
        task = bench.launch(receiving(trip, interval_s=10.0, step_timeout_s=30.0))
        await until(lambda: servers.ledger.accepted)
        line.refusing = True
        line.drop()
        before = line.total
        outcome = await through_time(task, clock)
    assert outcome.end in {End.UNREACHABLE, End.PROTOCOL_ERROR}
    assert outcome.leg is Leg.MAILBOX
    assert outcome.accepted_at_s is not None
    assert 300 <= outcome.ended_at_s - outcome.accepted_at_s < 330
    tries = [line for line in outcome.transcript if "trying" in line.text or "connecting again" in line.text]
    assert len(tries) < 130
    assert line.total - before < 60
    assert len(outcome.left_behind) == 1


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.POP3])
async def test_a_server_that_is_back_in_time_is_found_again(
    bench: Bench, servers: MailServers, protocol: Protocol
) -> None:
    account = servers.account()
    servers.delivery_delay_s = 0.1
    port = servers.ports.imap if protocol is Protocol.IMAP else servers.ports.pop3
    async with wire(port) as line:
        task = bench.launch(on(bench, account, line, protocol))
        await until(lambda: servers.ledger.accepted)
        line.refusing = True
        line.drop()
        await until(lambda: servers.ledger.delivered)
        line.refusing = False
        outcome = await asyncio.wait_for(task, 5)
    assert outcome.end is End.DELIVERED


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.POP3])
async def test_a_broken_last_look_is_tried_once_more(bench: Bench, servers: MailServers, protocol: Protocol) -> None:
    account = servers.account()
    servers.delivery_delay_s = 0.02
    port, look = (servers.ports.imap, rb"NOOP") if protocol is Protocol.IMAP else (servers.ports.pop3, rb"TOP")
    async with wire(port) as line:
        line.upwards = once(look, cut)
        trip = receiving(on(bench, account, line, protocol, timeout_s=0.3), interval_s=10.0)
        outcome = await bench.fly(trip)
    assert outcome.end is End.DELIVERED


async def test_a_server_that_never_answers_the_last_look_is_given_up(servers: MailServers) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    account = servers.account()
    async with wire(servers.ports.imap) as line:
        line.upwards = once(rb"HEADER", lambda data: setattr(line, "dead", True) or data)  # type: ignore[func-returns-value]  # a statement, in a lambda
        trip = receiving(on(bench, account, line, timeout_s=60), step_timeout_s=30.0)
        outcome = await through_time(bench.launch(trip), clock)
    assert outcome.end is End.TIMED_OUT
    assert outcome.accepted_at_s is not None
    assert outcome.ended_at_s - outcome.accepted_at_s < 60 + 2 * 30 + 15


IN_A_DELETION = pytest.mark.parametrize("place", [rb" SELECT ", rb"UID STORE", rb"UID EXPUNGE", rb"UID SEARCH"])


@IN_A_DELETION
async def test_a_deletion_whose_connection_breaks_is_tried_once_more_on_another(
    bench: Bench, servers: MailServers, place: bytes
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    async with wire(servers.ports.imap) as line:
        line.upwards = once(place, cut)
        outcome = await bench.fly(on(bench, account, line))
        assert line.most_open == 1
    assert (outcome.end, outcome.left_behind) == (End.DELIVERED, ())
    assert [re.sub(":.*", "", warning) for warning in outcome.warnings] == [
        "the deletion needed a second connection, for the first one broke"
    ]
    assert len(bench.said("LOGIN")) == 2
    others.check()


@IN_A_DELETION
async def test_a_deletion_whose_second_connection_breaks_too_leaves_the_mail_undeleted_and_named(
    bench: Bench, servers: MailServers, place: bytes
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    async with wire(servers.ports.imap) as line:
        line.upwards = lambda data: None if place in data else data
        outcome = await bench.fly(on(bench, account, line))
    assert len(bench.said("LOGIN")) == 3 - (place == rb"UID SEARCH")  # the last is for those who still wait
    if place == rb"UID SEARCH":
        assert (outcome.end, outcome.left_behind) == (End.DELIVERED, ())  # it was gone already
        return
    assert (outcome.end, outcome.leg, outcome.stage) == (End.UNDELETED, Leg.MAILBOX, "delete")
    assert len(outcome.left_behind) == 1
    others.check(more=1)


async def test_a_deletion_that_is_refused_is_not_tried_again(bench: Bench, servers: MailServers) -> None:
    async with wire(servers.ports.imap) as line:
        line.upwards = lambda data: re.sub(rb"UID STORE [0-9]+ [^\r]*", b"UID STORE x", data)
        outcome = await bench.fly(on(bench, servers.account(), line))
    assert outcome.end is End.UNDELETED
    assert len(bench.said("STORE")) == 1


async def test_the_second_try_finds_the_mail_again_under_another_uidvalidity(
    bench: Bench, servers: MailServers
) -> None:
    account = servers.account()
    others = Untouched(servers, account)

    def renumber(_: bytes) -> None:
        inbox(servers, account).uidvalidity += 1000

    async with wire(servers.ports.imap) as line:
        line.upwards = once(rb"UID STORE", renumber)
        outcome = await bench.fly(on(bench, account, line))
    assert (outcome.end, len(outcome.warnings)) == (End.DELIVERED, 1)
    others.check()


async def test_the_second_try_deletes_no_mail_that_is_not_proved_again(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    async with wire(servers.ports.imap) as line:

        def another_mail_lies_there(_: bytes) -> None:
            line.downwards = lambda data: re.sub(rb"mac=....", b"mac=0000", data)

        line.upwards = once(rb"UID STORE", another_mail_lies_there)
        outcome = await bench.fly(on(bench, account, line))
    assert (outcome.end, outcome.what) == (End.UNDELETED, "it could not be proved ours again")
    assert bench.said("STORE") == []
    others.check(more=1)


async def test_a_deletion_that_waits_while_the_server_dies_ends(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    async with wire(servers.ports.imap) as line:
        sink = bench.trip(servers.account("sink@example.test"), bench.box(account, port=line.port), timeout_s=1.0)
        waits = bench.launch(sink)
        await until(lambda: servers.ledger.accepted)
        arrives = bench.launch(on(bench, account, line))
        await until(lambda: len(bench.journals) == 2 and bench.journals[1].arrival)
        line.refusing = True
        line.drop()
        outcome = await asyncio.wait_for(arrives, 5)
        assert (outcome.end, len(outcome.left_behind)) == (End.UNDELETED, 1)
        assert (await asyncio.wait_for(waits, 5)).end in {End.UNREACHABLE, End.PROTOCOL_ERROR}


async def test_trips_that_share_a_mailbox_that_does_not_open_end_alike_by_one_login(
    bench: Bench, servers: MailServers, caplog: pytest.LogCaptureFixture
) -> None:
    account = servers.account()
    at = replace(bench.box(account), password=Secret("wrong"))
    outcomes = await asyncio.gather(*(bench.fly(bench.trip(account, at)) for _ in range(5)))
    assert {(outcome.end, outcome.leg, outcome.stage) for outcome in outcomes} == {
        (End.LOGIN_FAILED, Leg.MAILBOX, "login")
    }
    assert len(bench.said("LOGIN")) == 1
    assert servers.ledger.accepted == ()
    assert caplog.records == []
    await bench.fly(bench.trip(account, at))
    assert len(bench.said("LOGIN")) == 2


async def test_a_folder_that_is_not_there_is_told_before_anything_is_sent(bench: Bench, servers: MailServers) -> None:
    outcome = await bench.fly(receiving(bench.trip(servers.account()), mailbox="Nowhere"))
    assert (outcome.end, outcome.stage) == (End.REFUSED, "select")
    assert servers.ledger.accepted == ()


async def test_after_so_many_refused_logins_no_more_are_tried(bench: Bench, servers: MailServers) -> None:
    ends: list[tuple[End, Leg | None]] = []
    for number in range(5):
        account = servers.account(f"user{number}@example.test")
        at = replace(bench.box(account), password=Secret("wrong"), login_failures=3)
        outcome = await bench.fly(bench.trip(account, at))
        ends.append((outcome.end, outcome.leg))
    assert ends == [(End.LOGIN_FAILED, Leg.MAILBOX)] * 3 + [(End.CANCELLED, Leg.MAILBOX)] * 2
    assert len(bench.said("LOGIN")) == 3
    assert servers.ledger.accepted == ()


async def test_one_who_waited_for_a_connection_does_not_try_the_login_that_was_given_up_meanwhile(
    bench: Bench, servers: MailServers
) -> None:
    account = servers.account()
    at = replace(bench.box(account), password=Secret("wrong"), login_failures=3, connections_per_user=1)
    trips = [replace(bench.trip(account, at), fresh=True) for _ in range(8)]
    outcomes = await asyncio.gather(*map(bench.fly, trips))
    assert sorted(outcome.end for outcome in outcomes) == [End.CANCELLED] * 5 + [End.LOGIN_FAILED] * 3
    assert len(bench.said("LOGIN")) == 3


async def test_never_more_connections_than_a_user_may_have(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    async with wire(servers.ports.imap) as imap, wire(servers.ports.smtp) as smtp:
        at = replace(bench.box(account, port=imap.port), connections_per_user=2)
        via = replace(bench.smtp(smtp.port), connections_per_user=3)
        trips = [replace(bench.trip(account, at, via), fresh=number % 2 == 0) for number in range(12)]
        outcomes = await asyncio.gather(*map(bench.fly, trips))
        assert {outcome.end for outcome in outcomes} == {End.DELIVERED}
        assert imap.most_open <= 2
        assert smtp.most_open <= 3


async def test_an_idle_that_the_server_ends_at_once_is_no_race(servers: MailServers) -> None:
    bench = Bench(servers)
    account = servers.account()
    servers.delivery_delay_s = 0.3
    async with wire(servers.ports.imap) as line, wire(servers.ports.smtp) as smtp:

        def no_idle(data: bytes) -> bytes:
            return re.sub(rb"(a[0-9]+) IDLE\r\n", rb"\1 NOOP\r\n", data)

        def plus(data: bytes) -> bytes:
            return re.sub(rb"(a[0-9]+ OK NOOP)", rb"+ idling\r\n\1", data)

        line.upwards, line.downwards = no_idle, plus
        smtp.dead = True
        task = bench.launch(bench.trip(account, bench.box(account, port=line.port), bench.smtp(smtp.port)))
        await until(lambda: smtp.open)
        await asyncio.sleep(0.1)
        assert len(bench.said("NOOP")) <= 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_server_without_idle_hears_from_us_before_it_hangs_up() -> None:
    with MailServers(catch_all=True, tls="none", imap_without={"IDLE"}) as servers:
        clock = ManualClock()
        bench = Bench(servers, clock)
        account = servers.account()
        async with wire(servers.ports.smtp) as smtp:
            smtp.dead = True
            trip = bench.trip(account, via=bench.smtp(smtp.port))
            assert trip.send is not None
            trip = receiving(replace(trip, send=replace(trip.send, timeout_s=5400)), step_timeout_s=30.0)
            task = bench.launch(trip)
            await until(lambda: smtp.open)
            await through_time(task, clock, 20.0)
        assert 2 <= len(bench.said("NOOP")) <= 3


async def test_a_login_by_nobody_cannot_open_a_mailbox(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    trip = bench.trip(account, replace(bench.box(account), auth=Auth.NONE))
    assert (await bench.fly(trip)).end is End.REFUSED
    assert servers.ledger.accepted == ()
