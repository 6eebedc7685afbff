"""Maildrops that are busy, slow to let us in again, or unsure of what they deleted."""

import asyncio
import re
from collections.abc import Generator
from dataclasses import replace

import pytest

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.secrets import Secret
from mailtrip_checks.trips import Protocol, Security
from mailtrip_fixtures import MailServers
from tests.checks.manual_clock import ManualClock
from tests.checks.trip_bench import Bench, Untouched, receiving, through_time, until, wire

pytestmark = pytest.mark.asyncio


@pytest.fixture
def servers() -> Generator[MailServers]:
    with MailServers(catch_all=True, tls="none") as running:
        yield running


async def test_a_maildrop_that_somebody_holds_is_waited_for(servers: MailServers) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    account = servers.account()
    owner = object()
    store = servers.store.account(account.address)
    assert store is not None
    assert store.acquire_maildrop(owner)
    trip = bench.trip(account, bench.box(account, Protocol.POP3), timeout_s=60)
    task = bench.launch(receiving(trip, step_timeout_s=30.0))
    for _ in range(3):
        await until(lambda: clock.waiting == 1 and not task.done())
        await clock.advance(1.0)
        await asyncio.sleep(0.01)
    store.release_maildrop(owner)
    outcome = await through_time(task, clock, 0.2)
    assert outcome.end is End.DELIVERED
    assert any("trying again" in line.text for line in outcome.transcript)


@pytest.mark.parametrize("held", ["before", "after"])
async def test_a_maildrop_that_stays_busy_ends_the_trip_as_refused(servers: MailServers, held: str) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    account = servers.account()
    store = servers.store.account(account.address)
    assert store is not None
    servers.delivery_delay_s = 3600
    if held == "before":
        assert store.acquire_maildrop(servers)
    trip = bench.trip(account, bench.box(account, Protocol.POP3), timeout_s=60)
    task = bench.launch(receiving(trip, step_timeout_s=30.0, interval_s=5.0))
    if held == "after":
        await until(lambda: servers.ledger.accepted)
        await until(lambda: store.acquire_maildrop(servers))
    outcome = await through_time(task, clock, 0.5)
    assert outcome.end is End.REFUSED
    assert "somebody else has the maildrop open" in outcome.what
    assert len(outcome.left_behind) == (held == "after")
    assert 3 < len(bench.said("PASS", "pop3")) < 40


async def test_the_time_between_two_logins_is_kept_by_all_trips_of_a_maildrop() -> None:
    with MailServers(catch_all=True, tls="none", pop3_login_delay_s=1) as servers:
        bench = Bench(servers)
        account = servers.account()
        others = Untouched(servers, account)
        at = bench.box(account, Protocol.POP3)
        trips = [bench.trip(account, at), replace(bench.trip(account, at), fresh=True)]
        outcomes = await asyncio.gather(*map(bench.fly, trips))
        assert [outcome.end for outcome in outcomes] == [End.DELIVERED] * 2
        others.check()
        assert not any("LOGIN-DELAY]" in line.text for outcome in outcomes for line in outcome.transcript)


async def test_a_last_look_waits_for_the_next_login(servers: MailServers) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    account = servers.account()
    servers.delivery_delay_s = 3600

    async with wire(servers.ports.pop3) as line:
        line.downwards = lambda data: re.sub(rb"\r\nUIDL\r\n", b"\r\nUIDL\r\nLOGIN-DELAY 120\r\n", data)
        trip = bench.trip(account, bench.box(account, Protocol.POP3, line.port), timeout_s=100)
        outcome = await through_time(bench.launch(receiving(trip, step_timeout_s=20.0)), clock, 0.5)
    assert outcome.end is End.LOST
    assert len(bench.said("PASS", "pop3")) == 2


@pytest.mark.parametrize("place", [rb"UIDL", rb"TOP", rb"RETR"])
async def test_a_session_that_breaks_before_it_deletes_is_repeated(servers: MailServers, place: bytes) -> None:
    bench = Bench(servers)
    account = servers.account()
    others = Untouched(servers, account)
    seen: list[bytes] = []

    def cut(data: bytes) -> bytes | None:
        if place in data and servers.ledger.accepted:
            seen.append(data)
            return None if len(seen) == 1 else data
        return data

    async with wire(servers.ports.pop3) as line:
        line.upwards = cut
        outcome = await bench.fly(bench.trip(account, bench.box(account, Protocol.POP3, line.port)))
    assert outcome.end is End.DELIVERED
    assert len(seen) >= 2
    others.check()


class DeletionFault:
    """Does something at a command of the sessions that delete."""

    def __init__(self, place: bytes, *does: bytes | None) -> None:
        self.place = place
        self.left = list(does)
        self.marks = 0

    def __call__(self, data: bytes) -> bytes | None:
        self.marks += b"DELE" in data
        if self.marks and self.place in data and self.left:
            return self.left.pop(0)
        return data


IN_A_DELETION = pytest.mark.parametrize("place", [rb"DELE", rb"QUIT"])


@IN_A_DELETION
async def test_a_deletion_that_broke_off_is_done_by_another_session(servers: MailServers, place: bytes) -> None:
    bench = Bench(servers)
    account = servers.account()
    others = Untouched(servers, account)
    fault = DeletionFault(place, None)
    async with wire(servers.ports.pop3) as line:
        line.upwards = fault
        outcome = await bench.fly(bench.trip(account, bench.box(account, Protocol.POP3, line.port)))
    assert (outcome.end, outcome.left_behind) == (End.DELIVERED, ())
    [warning] = outcome.warnings
    assert warning.startswith("the deletion needed a second connection, for the first one broke: ")
    assert fault.marks == 2
    others.check()


async def test_a_mail_that_went_though_the_answer_did_not_come_is_deleted(servers: MailServers) -> None:
    bench = Bench(servers)
    account = servers.account()
    others = Untouched(servers, account)
    fault, lost = DeletionFault(b""), list[bytes]()

    def lose_the_answer_to_quit(data: bytes) -> bytes | None:
        if servers.ledger.deleted and not lost:
            lost.append(data)
            return None
        return data

    async with wire(servers.ports.pop3) as line:
        line.upwards, line.downwards = fault, lose_the_answer_to_quit
        outcome = await bench.fly(bench.trip(account, bench.box(account, Protocol.POP3, line.port)))
    assert (outcome.end, len(outcome.warnings), outcome.left_behind) == (End.DELIVERED, 1, ())
    assert fault.marks == 1
    others.check()


@IN_A_DELETION
@pytest.mark.parametrize("does", [(None, None), (b"XYZZY 1\r\n",)], ids=["broken twice", "refused"])
async def test_a_deletion_that_breaks_off_twice_or_is_refused_leaves_the_mail_undeleted_and_named(
    servers: MailServers, place: bytes, does: tuple[bytes | None, ...]
) -> None:
    bench = Bench(servers)
    account = servers.account()
    others = Untouched(servers, account)
    fault = DeletionFault(place, *does)
    async with wire(servers.ports.pop3) as line:
        line.upwards = fault
        outcome = await bench.fly(bench.trip(account, bench.box(account, Protocol.POP3, line.port)))
    assert (outcome.end, outcome.leg, outcome.stage) == (End.UNDELETED, Leg.MAILBOX, "delete")
    assert len(outcome.left_behind) == 1
    assert fault.marks == len(does)
    others.check(more=1)


async def test_the_second_try_deletes_no_mail_that_is_not_proved_again(servers: MailServers) -> None:
    bench = Bench(servers)
    account = servers.account()
    others = Untouched(servers, account)
    fault = DeletionFault(b"QUIT", None)
    async with wire(servers.ports.pop3) as line:
        line.upwards = fault
        line.downwards = lambda data: re.sub(rb"mac=....", b"mac=0000", data) if fault.marks else data
        outcome = await bench.fly(bench.trip(account, bench.box(account, Protocol.POP3, line.port)))
    assert outcome.end is End.UNDELETED
    assert "could not be proved ours again" in outcome.what
    assert fault.marks == 1
    others.check(more=1)


async def test_the_second_try_waits_for_the_maildrop_that_the_broken_session_still_holds(
    servers: MailServers,
) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    account = servers.account()
    fault, busy = DeletionFault(b"QUIT", None), [b"-ERR [IN-USE] maildrop locked\r\n"] * 3
    async with wire(servers.ports.pop3) as line:

        def upwards(data: bytes) -> bytes | None:
            logs_in = data.startswith(b"PASS") and fault.marks
            line.downwards = lambda answer: busy.pop() if logs_in and busy else answer
            return fault(data)

        line.upwards = upwards
        trip = bench.trip(account, bench.box(account, Protocol.POP3, line.port), timeout_s=60)
        outcome = await through_time(bench.launch(receiving(trip, step_timeout_s=30.0)), clock, 0.2)
    assert (outcome.end, len(outcome.warnings), busy) == (End.DELIVERED, 1, [])
    looks = [line.at_s for line in outcome.transcript if "trying again" in line.text]
    assert looks[-1] - looks[0] >= 2.0


async def test_the_last_look_waits_a_moment_for_a_maildrop_that_is_busy(servers: MailServers) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    account = servers.account()
    store = servers.store.account(account.address)
    assert store is not None
    servers.delivery_delay_s = 3600
    trip = receiving(bench.trip(account, bench.box(account, Protocol.POP3), timeout_s=60), interval_s=3600.0)
    task = bench.launch(receiving(trip, step_timeout_s=30.0))
    await until(lambda: servers.ledger.accepted)
    await until(lambda: store.acquire_maildrop(servers))
    outcome = await through_time(task, clock, 0.25)
    assert outcome.end is End.REFUSED
    looks = [line.at_s for line in outcome.transcript if line.text.startswith("-ERR")]
    assert looks[-1] - looks[-2] >= 1.0


async def test_a_mail_that_reads_otherwise_as_a_whole_is_not_deleted(servers: MailServers) -> None:
    bench = Bench(servers)
    account = servers.account()
    heads: list[bytes] = []

    def lie(data: bytes) -> bytes:
        if b"octets" in data and b"X-Mailtrip" in data:
            heads.append(data)
            return data.replace(b"X-Mailtrip", b"X-Mailtrap")
        return data

    async with wire(servers.ports.pop3) as line:
        line.downwards = lambda data: lie(data) if bench.said("RETR", "pop3") else data
        outcome = await bench.fly(bench.trip(account, bench.box(account, Protocol.POP3, line.port)))
    assert heads
    assert outcome.end is End.UNDELETED
    assert "could not be proved ours again" in outcome.what
    assert len(account.messages) == 1
    assert bench.said("DELE", "pop3") == []


async def test_two_trips_find_their_mails_in_one_session_and_one_pays(servers: MailServers) -> None:
    bench = Bench(servers)
    account = servers.account()
    async with wire(servers.ports.pop3) as line:
        at = bench.box(account, Protocol.POP3, line.port)
        servers.delivery_delay_s = 0.2
        first, second = bench.trip(account, at), bench.trip(account, at)
        outcomes = await asyncio.gather(bench.fly(first), bench.fly(second))
        assert [outcome.end for outcome in outcomes] == [End.DELIVERED] * 2
        assert line.most_open == 1
    finds = [sorted(stage.shared for stage in one.stages if stage.name == "delete") for one in outcomes]
    assert sorted(finds) == [[False], [True]] or finds == [[False], [False]]
    assert account.messages == []


async def test_a_refused_login_at_a_look_ends_the_trip_and_is_not_repeated(servers: MailServers) -> None:
    bench = Bench(servers)
    account = servers.account()
    async with wire(servers.ports.pop3) as line:
        line.upwards = lambda data: re.sub(rb"PASS [^\r]*", b"PASS no", data) if servers.ledger.accepted else data
        outcome = await bench.fly(bench.trip(account, bench.box(account, Protocol.POP3, line.port), timeout_s=60))
    assert (outcome.end, len(outcome.left_behind)) == (End.LOGIN_FAILED, 1)
    assert len(bench.said("PASS", "pop3")) == 2


async def test_after_so_many_refused_logins_no_more_are_tried(servers: MailServers) -> None:
    bench = Bench(servers)
    account = servers.account()
    at = replace(bench.box(account, Protocol.POP3), password=Secret("wrong"), login_failures=3)
    ends = [(await bench.fly(bench.trip(account, at))).end for _ in range(5)]
    assert ends == [End.LOGIN_FAILED] * 3 + [End.CANCELLED] * 2
    assert len(bench.said("PASS", "pop3")) == 3


async def test_what_each_session_warns_of_is_told_once(servers: MailServers) -> None:
    bench = Bench(servers)
    account = servers.account()
    at = replace(bench.box(account, Protocol.POP3), security=Security.STARTTLS_IF_AVAILABLE)
    outcome = await bench.fly(bench.trip(account, at))
    assert outcome.end is End.DELIVERED
    assert len(bench.said("PASS", "pop3")) >= 2
    assert len(outcome.warnings) == 1
