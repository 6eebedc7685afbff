"""A trip from its first byte to the deleted mail, and what it leaves alone."""

import asyncio
import re
from collections.abc import Generator
from dataclasses import replace
from itertools import pairwise
from statistics import median

import pytest

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.mailbox.watch import TIMERS_LATE_S
from mailtrip_checks.trips import Attachment, Auth, Delete, Match, Protocol, Search, Trip, Until
from mailtrip_fixtures import MailServers
from tests.checks.manual_clock import ManualClock
from tests.checks.trip_bench import Bench, Untouched, inbox, receiving, redeliver, through_time, until, wire

pytestmark = pytest.mark.asyncio


@pytest.fixture
def servers() -> Generator[MailServers]:
    with MailServers(catch_all=True, tls="none") as running:
        yield running


@pytest.fixture
def bench(servers: MailServers) -> Bench:
    return Bench(servers)


def without_header(raw: bytes) -> bytes:
    return re.sub(rb"X-Mailtrip: [^\n]*\n(?:[ \t][^\n]*\n)*", b"", raw, count=1)


def echo(raw: bytes) -> bytes:
    subject = re.search(rb"Subject: ([^\r\n]*)", raw)
    assert subject
    return b"Subject: Re: " + subject[1] + b"\r\nMessage-ID: <new@x.test>\r\n\r\nan answer\r\n"


def bounce(raw: bytes) -> bytes:
    return b"Content-Type: multipart/report; boundary=x\r\n" + re.sub(rb"Content-Type: [^\n]*\n", b"", raw, count=1)


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.POP3])
@pytest.mark.parametrize("search", Search)
async def test_a_trip_is_delivered_and_deleted_and_no_other_mail_is_touched(
    bench: Bench, servers: MailServers, protocol: Protocol, search: Search
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    outcome = await bench.fly(receiving(bench.trip(account, bench.box(account, protocol)), search=search))
    assert (outcome.end, outcome.warnings, outcome.left_behind) == (End.DELIVERED, (), ())
    others.check()
    assert [one.message for one in servers.ledger.deleted] == [outcome.mail_received]
    assert outcome.token.encode() in outcome.mail_received
    assert outcome.bracket is not None
    assert outcome.mail_from_at_s is not None
    assert outcome.bracket.missed_at_s <= outcome.bracket.seen_at_s
    names = {stage.name for stage in outcome.stages}
    assert names >= {"connect", "submit", "login", "select", "transit", "find", "fetch", "delete"}


async def test_pop3_reads_only_the_head_of_what_is_not_ours(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    trip = receiving(bench.trip(account, bench.box(account, Protocol.POP3)), search=Search.ALL)
    assert (await bench.fly(trip)).end is End.DELIVERED
    last = len(inbox(servers, account)) + 1
    assert bench.said("RETR", "pop3") == [f"RETR {last}"]
    assert bench.said("DELE", "pop3") == [f"DELE {last}"]
    others.check()


@pytest.mark.parametrize("push", [True, False])
@pytest.mark.parametrize("lacks", [{"IDLE"}, {"UNSELECT"}, {"UIDPLUS"}, {"IDLE", "UIDPLUS", "MOVE", "UNSELECT"}])
async def test_without_extensions_a_trip_still_ends_and_flags_at_most(push: bool, lacks: set[str]) -> None:
    with MailServers(catch_all=True, tls="none", imap_without=lacks, delivery_delay_s=0.03) as servers:
        bench = Bench(servers)
        account = servers.account()
        others = Untouched(servers, account)
        outcome = await bench.fly(receiving(bench.trip(account), push=push))
        assert outcome.end is End.DELIVERED
        kept = "UIDPLUS" in lacks
        others.check(more=kept)
        assert bench.said(" EXPUNGE") == [] if kept else len(bench.said("UID EXPUNGE")) == 1
        assert any("flagged" in warning for warning in outcome.warnings) is kept
        if kept:
            assert "\\Deleted" in inbox(servers, account).messages[-1].flags
            assert "\\Seen" not in inbox(servers, account).messages[-1].flags


async def test_a_dedicated_mailbox_is_expunged_where_the_server_cannot_remove_one_mail() -> None:
    with MailServers(catch_all=True, tls="none", imap_without={"UIDPLUS"}) as servers:
        bench = Bench(servers)
        account = servers.account()
        outcome = await bench.fly(receiving(bench.trip(account), mailbox_is_dedicated=True))
        assert (outcome.end, outcome.warnings) == (End.DELIVERED, ())
        assert account.messages == []


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.POP3])
@pytest.mark.parametrize("dedicated", [False, True])
@pytest.mark.parametrize("match", Match)
async def test_a_mail_without_our_header_counts_but_stays_unless_the_mailbox_is_dedicated(
    bench: Bench, servers: MailServers, protocol: Protocol, dedicated: bool, match: Match
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    trip = bench.trip(servers.account("sink@example.test"), bench.box(account, protocol))
    trip = receiving(trip, mailbox_is_dedicated=dedicated, match=match)
    outcome, _ = await asyncio.gather(bench.fly(trip), redeliver(bench, account, without_header))
    assert outcome.end is End.DELIVERED
    assert any("a gateway removed our X-Mailtrip header" in warning for warning in outcome.warnings)
    others.check(more=not dedicated)
    assert len(outcome.left_behind) == (not dedicated)
    assert any("mailbox_is_dedicated" in warning for warning in outcome.warnings) is not dedicated


@pytest.mark.parametrize("dedicated", [False, True])
async def test_an_echo_counts_only_by_its_subject(bench: Bench, servers: MailServers, dedicated: bool) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    trip = bench.trip(servers.account("sink@example.test"), bench.box(account), timeout_s=0.2)
    by_subject = receiving(trip, match=Match.SUBJECT, mailbox_is_dedicated=dedicated)
    outcome, _ = await asyncio.gather(bench.fly(by_subject), redeliver(bench, account, echo))
    assert outcome.end is End.DELIVERED
    others.check(more=not dedicated)
    outcome, _ = await asyncio.gather(bench.fly(trip), redeliver(bench, account, echo))
    assert outcome.end is End.LOST
    others.check(more=2 - dedicated)


@pytest.mark.parametrize("search", [Search.NEW, Search.SERVER])
@pytest.mark.parametrize("match", Match)
async def test_a_bounce_is_no_delivery_and_stays(
    bench: Bench, servers: MailServers, match: Match, search: Search
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    trip = bench.trip(servers.account("sink@example.test"), bench.box(account), timeout_s=0.2)
    trip = receiving(trip, match=match, mailbox_is_dedicated=True, search=search)
    outcome, _ = await asyncio.gather(bench.fly(trip), redeliver(bench, account, bounce))
    assert outcome.end is End.LOST
    assert "a delivery report about it came instead" in outcome.what
    assert sum("no delivery" in line.text for line in outcome.transcript) == 1
    others.check(more=1)


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.POP3])
async def test_what_is_not_to_be_deleted_stays_without_a_word(
    bench: Bench, servers: MailServers, protocol: Protocol
) -> None:
    account = servers.account()
    trip = receiving(bench.trip(account, bench.box(account, protocol)), delete=Delete(wanted=False))
    outcome = await bench.fly(trip)
    assert (outcome.end, outcome.warnings, outcome.left_behind) == (End.DELIVERED, (), ())
    assert b"expires=never" in outcome.mail_sent
    assert [bytes(one) for one in account.messages]
    assert bench.said("DELE", "pop3") == bench.said("STORE") == []


@pytest.mark.parametrize("lacks", [set[str](), {"MOVE"}, {"MOVE", "UIDPLUS"}])
async def test_a_mail_is_moved_to_the_folder(lacks: set[str]) -> None:
    with MailServers(catch_all=True, tls="none", imap_without=lacks) as servers:
        bench = Bench(servers)
        account = servers.account()
        others = Untouched(servers, account)
        trip = receiving(bench.trip(account), delete=Delete(move_to="Trash"))
        outcome = await bench.fly(trip)
        assert outcome.end is End.DELIVERED
        assert len(account.messages_in("Trash")) == 1
        others.check(more="UIDPLUS" in lacks)


async def test_a_mail_that_the_server_keeps_is_undeleted(bench: Bench, servers: MailServers) -> None:
    async with wire(servers.ports.imap) as line:
        line.upwards = lambda data: re.sub(rb"UID EXPUNGE [0-9]+", b"NOOP", data)
        account = servers.account()
        outcome = await bench.fly(bench.trip(account, bench.box(account, port=line.port)))
    assert outcome.end is End.UNDELETED
    assert "kept the mail" in outcome.what
    assert len(outcome.left_behind) == 1


async def test_a_mail_that_somebody_took_first_is_not_missed_when_deleting(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    folder = inbox(servers, account)

    def take(data: bytes) -> bytes:
        if b"SELECT " in data:
            folder.remove([one.uid for one in folder.messages])
        return data

    async with wire(servers.ports.imap) as line:
        line.upwards = take
        outcome = await bench.fly(bench.trip(account, bench.box(account, port=line.port)))
    assert outcome.end is End.DELIVERED
    assert any("gone before" in warning for warning in outcome.warnings)


async def test_a_mail_that_vanishes_before_it_is_fetched_is_lost(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    folder = inbox(servers, account)

    def take(data: bytes) -> bytes:
        if b"BODY.PEEK[]" in data:
            folder.remove([one.uid for one in folder.messages])
        return data

    async with wire(servers.ports.imap) as line:
        line.upwards = take
        outcome = await bench.fly(bench.trip(account, bench.box(account, port=line.port), timeout_s=0.2))
    assert outcome.end is End.LOST


async def test_of_two_copies_the_first_ends_the_trip(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    trip = bench.trip(account)
    assert trip.send is not None
    twice = replace(trip, send=replace(trip.send, recipients=(account.address, account.address)))
    outcome = await bench.fly(twice)
    assert outcome.end is End.DELIVERED


async def test_lost_after_five_minutes(servers: MailServers) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    account = servers.account()
    others = Untouched(servers, account)
    trip = bench.trip(servers.account("sink@example.test"), bench.box(account), timeout_s=300)
    trip = receiving(trip, interval_s=20.0, step_timeout_s=30.0)
    outcome = await through_time(bench.launch(trip), clock)
    assert outcome.end is End.LOST
    assert outcome.accepted_at_s is not None
    assert 300 <= outcome.ended_at_s - outcome.accepted_at_s < 330
    assert 15 <= len(bench.said("NOOP")) <= 40
    said = [line for line in outcome.transcript if line.text.endswith(("NOOP", "DONE"))]
    waits_s = [done.at_s - look.at_s for look, done in pairwise(said) if done.text == "DONE"]
    assert median(waits_s) == pytest.approx(20 - TIMERS_LATE_S)
    assert len(outcome.left_behind) == 1
    assert "may still come" in outcome.left_behind[0]
    others.check()


async def test_a_server_that_tells_of_mails_at_once_is_hardly_asked_where_many_wait(servers: MailServers) -> None:
    bench = Bench(servers)
    account = servers.account()
    lost = receiving(
        bench.trip(servers.account("sink@example.test"), bench.box(account), timeout_s=0.4), interval_s=5.0
    )
    keep_it_open = [bench.launch(replace(lost, timeout_s=60.0)) for _ in range(25)]
    for _ in range(3):  # the first looks are dense, and one of them may be before the server
        assert (await bench.fly(receiving(bench.trip(account), interval_s=5.0))).end is End.DELIVERED
    asked = len(bench.said("NOOP"))
    assert (await bench.fly(lost)).end is End.LOST
    assert len(bench.said("NOOP")) - asked <= 1  # the last look
    for one in keep_it_open:
        one.cancel()
    await asyncio.wait(keep_it_open)


async def test_a_lost_mail_that_was_to_stay_is_not_named(servers: MailServers) -> None:
    bench = Bench(servers)
    account = servers.account()
    trip = bench.trip(servers.account("sink@example.test"), bench.box(account), timeout_s=0.05)
    outcome = await bench.fly(receiving(trip, delete=Delete(wanted=False)))
    assert (outcome.end, outcome.left_behind) == (End.LOST, ())


async def test_a_mail_that_is_there_before_the_250_is_found(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    async with wire(servers.ports.smtp) as line:
        held: list[bytes] = []

        def hold(data: bytes) -> bytes:
            if servers.ledger.accepted and not held:
                held.append(data)
                return b""
            return data

        line.downwards = hold
        task = bench.launch(bench.trip(account, via=bench.smtp(line.port)))
        await until(lambda: held)
        await until(lambda: servers.ledger.delivered)
        line.say_down(b"".join(held))
        outcome = await asyncio.wait_for(task, 5)
    assert outcome.end is End.DELIVERED
    assert outcome.bracket is not None
    assert account.messages == []


@pytest.mark.parametrize("until_", Until)
async def test_without_a_mailbox_a_trip_ends_accepted(bench: Bench, servers: MailServers, until_: Until) -> None:
    trip = bench.trip(servers.account())
    assert trip.send is not None
    outcome = await bench.fly(replace(trip, receive=None, send=replace(trip.send, until=until_)))
    assert outcome.end is End.ACCEPTED
    assert (outcome.accepted_at_s is not None) is (until_ is Until.DATA)
    assert dict(outcome.hosts).keys() == {"smtp"}


async def test_a_trip_with_no_leg_is_skipped(bench: Bench, servers: MailServers) -> None:
    trip: Trip = replace(bench.trip(servers.account()), send=None, receive=None)
    assert (await bench.fly(trip)).end is End.SKIPPED


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.POP3])
@pytest.mark.parametrize("auth", [Auth.NONE, Auth.PASSWORD])
async def test_a_trip_that_only_connects_says_so_and_leaves(
    bench: Bench, servers: MailServers, protocol: Protocol, auth: Auth
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    trip = replace(bench.trip(account, replace(bench.box(account, protocol), auth=auth)), send=None)
    outcome = await bench.fly(trip)
    assert outcome.end is End.CONNECTED
    assert "connect" in {stage.name for stage in outcome.stages}
    assert ("login" in {stage.name for stage in outcome.stages}) is (auth is Auth.PASSWORD)
    assert "127.0.0.1" in dict(outcome.hosts)["mailbox"]
    others.check()


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.POP3])
@pytest.mark.parametrize("auth", [Auth.NONE, Auth.PASSWORD])
async def test_a_trip_that_cannot_connect_says_why(
    bench: Bench, servers: MailServers, protocol: Protocol, auth: Auth
) -> None:
    account = servers.account()
    trip = replace(bench.trip(account, replace(bench.box(account, protocol, port=1), auth=auth)), send=None)
    outcome = await bench.fly(trip)
    assert (outcome.end, outcome.leg, outcome.stage) == (End.UNREACHABLE, Leg.MAILBOX, "connect")


async def test_a_refused_recipient_ends_the_trip_and_leaves_nothing(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    servers.refuse(account.address, "550 5.7.1 Not today")
    outcome = await bench.fly(bench.trip(account))
    assert (outcome.end, outcome.left_behind) == (End.REJECTED, ())
    assert outcome.replies[-1].text.startswith("550")


async def test_two_trips_share_a_connection_and_one_pays(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    servers.delivery_delay_s = 0.05
    trips = [bench.trip(account) for _ in range(3)]
    outcomes = await asyncio.gather(*map(bench.fly, trips))
    assert [outcome.end for outcome in outcomes] == [End.DELIVERED] * 3
    assert len(bench.said("LOGIN")) == 1
    shared = [
        {stage.shared for stage in outcome.stages if (stage.leg, stage.name) == (Leg.MAILBOX, "login")}
        for outcome in outcomes
    ]
    assert sorted(map(list, shared)) == [[False], [True], [True]]
    assert account.messages == []


@pytest.mark.parametrize(("size_bytes", "fetches_alone"), [(0, False), (200_000, True)], ids=["small", "large"])
async def test_what_comes_together_is_fetched_together_as_far_as_it_is_small(
    bench: Bench, servers: MailServers, size_bytes: int, fetches_alone: bool
) -> None:
    account = servers.account()
    servers.delivery_delay_s = 0.2
    trips = [bench.trip(account) for _ in range(12)]
    if size_bytes:
        filler = (Attachment("filler.bin", size_bytes=size_bytes),)
        trips = [replace(trip, send=replace(trip.send, attachments=filler)) for trip in trips if trip.send]
    outcomes = await asyncio.gather(*map(bench.fly, trips))
    assert [outcome.end for outcome in outcomes] == [End.DELIVERED] * 12
    assert all(len(outcome.mail_received) > size_bytes for outcome in outcomes)
    assert len({outcome.mail_received for outcome in outcomes}) == 12
    fetches = len(bench.said("BODY.PEEK[])"))
    assert (fetches == 12) is fetches_alone
    assert len(bench.said("UID EXPUNGE")) < 12
    assert account.messages == []


async def test_a_fresh_trip_has_its_own_connections(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    trips = [bench.trip(account), replace(bench.trip(account), fresh=True), replace(bench.trip(account), fresh=True)]
    outcomes = await asyncio.gather(*map(bench.fly, trips))
    assert len(bench.said("LOGIN")) == 3
    for outcome in outcomes:
        assert outcome.end is End.DELIVERED
        assert not any(stage.shared for stage in outcome.stages)


async def test_different_ways_to_delete_and_match_share_a_mailbox(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    account.deliver(b"Subject: x\r\n\r\n", "Archive")
    plain = bench.trip(account)
    trips = [
        plain,
        receiving(plain, delete=Delete(wanted=False)),
        receiving(plain, delete=Delete(move_to="Archive"), match=Match.SUBJECT),
    ]
    outcomes = await asyncio.gather(*map(bench.fly, trips))
    assert [outcome.end for outcome in outcomes] == [End.DELIVERED] * 3
    assert len(bench.said("LOGIN")) == 1
    assert len(account.messages) == 1
    assert len(account.messages_in("Archive")) == 2


async def test_a_deletion_does_not_wait_for_one_who_still_sends(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    async with wire(servers.ports.smtp) as line:
        line.dead = True
        slow = bench.launch(bench.trip(account, via=bench.smtp(line.port)))
        await until(lambda: line.open)
        outcome = await asyncio.wait_for(bench.fly(bench.trip(account)), 2)
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
    assert outcome.end is End.DELIVERED
    assert account.messages == []


async def test_one_who_comes_while_another_deletes_finds_the_mailbox_open(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    later: list[asyncio.Task[object]] = []
    async with wire(servers.ports.imap) as line:

        def start(data: bytes) -> bytes:
            if b"UID EXPUNGE" in data and not later:
                later.extend(bench.launch(trip) for _ in range(2))
            return data

        line.upwards = start
        trip = bench.trip(account, bench.box(account, port=line.port))
        outcomes = [await bench.fly(trip), *[await one for one in later]]
    assert len(outcomes) == 3
    assert {outcome.end for outcome in outcomes} == {End.DELIVERED}  # type: ignore[attr-defined]  # outcomes all
    assert not [line for one in outcomes for line in one.transcript if "connecting again" in line.text]  # type: ignore[attr-defined]


async def test_while_nobody_waits_the_server_is_left_in_peace(servers: MailServers) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    account = servers.account()
    async with wire(servers.ports.smtp) as line:
        line.dead = True
        trip = bench.trip(account, via=bench.smtp(line.port))
        assert trip.send is not None
        trip = receiving(replace(trip, send=replace(trip.send, timeout_s=1200.0)), step_timeout_s=30.0)
        task = bench.launch(trip)
        await until(lambda: line.open)
        outcome = await through_time(task, clock, 3.0)
    assert (outcome.end, outcome.leg) == (End.TIMED_OUT, Leg.SMTP)
    assert len(bench.said("IDLE")) <= 2
    assert bench.said("NOOP") == []


async def test_an_error_of_ours_is_raised_not_swallowed(
    bench: Bench, servers: MailServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("mailtrip_checks.mailbox.watch.sight", broken)
    with pytest.raises(ZeroDivisionError):
        await bench.fly(bench.trip(servers.account()))


async def test_a_trip_cannot_wait_at_an_smtp_server(bench: Bench, servers: MailServers) -> None:
    trip = bench.trip(servers.account(), bench.smtp())
    assert (await bench.fly(trip)).end is End.CANCELLED
    assert servers.ledger.accepted == ()
