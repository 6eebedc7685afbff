"""A trip that is stopped: in every phase it ends within its grace, and what stays is named."""

import asyncio
import time
from collections.abc import Generator
from dataclasses import replace

import pytest

from mailtrip_checks.ends import End
from mailtrip_checks.trips import Protocol
from mailtrip_checks.wire.smtp import Phase
from mailtrip_fixtures import MailServers
from tests.checks.manual_clock import ManualClock
from tests.checks.trip_bench import Bench, Untouched, receiving, until, wire

pytestmark = pytest.mark.asyncio
GRACE_S = 0.2
SLACK_S = 1.5  # to leave a dead mailbox in haste, and for a slow machine


@pytest.fixture
def servers() -> Generator[MailServers]:
    with MailServers(catch_all=True, tls="none") as running:
        yield running


@pytest.fixture
def bench(servers: MailServers) -> Bench:
    return Bench(servers)


async def stop(task: "asyncio.Task[object]") -> None:
    """Cancel and wait; asserts that the trip passes the cancellation on, in time."""
    began_s = time.monotonic()
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
    assert time.monotonic() - began_s < GRACE_S + SLACK_S


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.POP3])
async def test_while_the_mailbox_does_not_answer(bench: Bench, servers: MailServers, protocol: Protocol) -> None:
    account = servers.account()
    async with wire(servers.ports.imap) as line:
        line.dead = True
        task = bench.launch(bench.trip(account, bench.box(account, protocol, line.port)), grace_s=GRACE_S)
        await until(lambda: line.open)
        await stop(task)
        await until(lambda: not line.open)
    assert bench.journals[0].left_behind == []
    assert servers.ledger.accepted == ()


async def test_while_it_waits_for_its_turn(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    async with wire(servers.ports.smtp) as line:
        line.dead = True
        via = replace(bench.smtp(line.port), connections_per_user=1)
        holds = bench.launch(bench.trip(account, via=via), grace_s=GRACE_S)
        await until(lambda: line.open)
        waits = bench.launch(bench.trip(account, via=via), grace_s=GRACE_S)
        await asyncio.sleep(0.05)
        await stop(waits)
        await stop(holds)
        assert line.total == 1
        await until(lambda: not line.open)
    assert [journal.left_behind for journal in bench.journals] == [[], []]


@pytest.mark.parametrize("step", [b"EHLO", b"MAIL", b"RCPT"])
async def test_before_data_nothing_is_sent(bench: Bench, servers: MailServers, step: bytes) -> None:
    account = servers.account()
    async with wire(servers.ports.smtp) as line:
        reached: list[bytes] = []

        def silence(data: bytes) -> bytes:
            if data.startswith(step):
                reached.append(data)
                return b""
            return data

        line.upwards = silence
        task = bench.launch(bench.trip(account, via=bench.smtp(line.port)), grace_s=GRACE_S)
        await until(lambda: reached)
        await stop(task)
        await until(lambda: not line.open)
    assert servers.ledger.accepted == ()
    assert bench.journals[0].left_behind == []


async def test_a_server_that_never_answers_the_final_dot_leaves_a_mail_that_is_named(
    bench: Bench, servers: MailServers
) -> None:
    account = servers.account("sink@example.test")
    async with wire(servers.ports.smtp) as line:
        line.downwards = lambda data: data if not servers.ledger.accepted else b""
        trip = bench.trip(account, bench.box(servers.account()), via=bench.smtp(line.port))
        task = bench.launch(trip, grace_s=GRACE_S)
        await until(lambda: servers.ledger.accepted)
        assert bench.journals[0].submission.phase is Phase.IN_DATA
        await stop(task)
    assert len(bench.journals[0].left_behind) == 1


async def test_a_mail_whose_answer_comes_within_the_grace_is_waited_for_and_deleted(
    bench: Bench, servers: MailServers
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    async with wire(servers.ports.smtp) as line:
        held: list[bytes] = []
        line.upwards = lambda data: (held.append(data) or b"") if data.endswith(b"\r\n.\r\n") else data  # type: ignore[func-returns-value]  # a statement, in a lambda
        task = bench.launch(bench.trip(account, via=bench.smtp(line.port)), grace_s=3.0)
        await until(lambda: held)
        task.cancel()
        await asyncio.sleep(0.05)
        line.say_up(b"".join(held))
        await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
    assert bench.journals[0].left_behind == []
    assert len(servers.ledger.deleted) == 1
    others.check()


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.POP3])
async def test_a_mail_that_comes_within_the_grace_is_deleted(
    bench: Bench, servers: MailServers, protocol: Protocol
) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    servers.delivery_delay_s = 0.1
    task = bench.launch(bench.trip(account, bench.box(account, protocol)), grace_s=3.0)
    await until(lambda: bench.journals[0].submission.phase is Phase.ACCEPTED)
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
    assert bench.journals[0].left_behind == []
    others.check()
    assert len(servers.ledger.deleted) == 1
    assert bench.journals[0].outcome(End.CANCELLED).bracket is not None


async def test_a_mail_that_does_not_come_within_the_grace_is_named(bench: Bench, servers: MailServers) -> None:
    servers.delivery_delay_s = 3600
    account = servers.account()
    task = bench.launch(bench.trip(account, timeout_s=60), grace_s=GRACE_S)
    await until(lambda: bench.journals[0].submission.phase is Phase.ACCEPTED)
    await stop(task)
    [named] = bench.journals[0].left_behind
    assert bench.journals[0].token in named
    assert account.address in named


async def test_with_a_dead_mailbox_the_grace_holds_and_the_mail_is_named(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    async with wire(servers.ports.imap) as line:
        trip = receiving(bench.trip(account, bench.box(account, port=line.port), timeout_s=60), step_timeout_s=60.0)
        servers.delivery_delay_s = 3600
        task = bench.launch(trip, grace_s=GRACE_S)
        await until(lambda: bench.journals[0].submission.phase is Phase.ACCEPTED)
        line.dead = True
        await stop(task)
        await until(lambda: not line.open)
    assert len(bench.journals[0].left_behind) == 1


@pytest.mark.parametrize("answers", [True, False])
async def test_while_it_deletes(bench: Bench, servers: MailServers, answers: bool) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    async with wire(servers.ports.imap) as line:
        held: list[bytes] = []
        line.upwards = lambda data: (held.append(data) or b"") if b"UID STORE" in data else data  # type: ignore[func-returns-value]  # a statement, in a lambda
        trip = receiving(bench.trip(account, bench.box(account, port=line.port)), step_timeout_s=60.0)
        task = bench.launch(trip, grace_s=GRACE_S)
        await until(lambda: held)
        task.cancel()
        await asyncio.sleep(0.02)
        if answers:
            line.say_up(held[0])
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()
        await until(lambda: not line.open)
    others.check(more=not answers)
    assert len(bench.journals[0].left_behind) == (not answers)


@pytest.mark.parametrize("phase", [Phase.IN_DATA, Phase.ACCEPTED])
async def test_a_second_cancel_cuts_the_clean_up_short_and_names_the_mail(
    bench: Bench, servers: MailServers, phase: Phase
) -> None:
    account = servers.account()
    servers.delivery_delay_s = 3600
    async with wire(servers.ports.smtp) as line:
        if phase is Phase.IN_DATA:
            line.downwards = lambda data: data if not servers.ledger.accepted else b""
        task = bench.launch(bench.trip(account, via=bench.smtp(line.port), timeout_s=60), grace_s=60.0)
        await until(lambda: servers.ledger.accepted and bench.journals[0].submission.phase is phase)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.02)
        await asyncio.wait({task}, timeout=3)
        assert task.cancelled()
    assert len(bench.journals[0].left_behind) == 1


async def test_a_mail_that_was_delivered_and_stays_needs_no_clean_up(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    async with wire(servers.ports.imap) as line:
        leaves: list[bytes] = []
        line.upwards = lambda data: (leaves.append(data) or b"") if b"LOGOUT" in data else data  # type: ignore[func-returns-value]  # a statement, in a lambda
        task = bench.launch(bench.trip(account, bench.box(account, port=line.port)), grace_s=GRACE_S)
        await until(lambda: leaves)
        await stop(task)
    assert bench.journals[0].left_behind == []
    assert account.messages == []


async def test_others_at_the_mailbox_do_not_notice(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    servers.delivery_delay_s = 0.3
    stays, goes = bench.launch(bench.trip(account)), bench.launch(bench.trip(account), grace_s=0.05)
    await until(lambda: all(journal.submission.phase is Phase.ACCEPTED for journal in bench.journals))
    await stop(goes)
    outcome = await asyncio.wait_for(stays, 5)
    assert outcome.end is End.DELIVERED
    assert len(bench.said("LOGIN")) == 1
    assert len(bench.journals[1].left_behind) == 1


async def test_the_grace_is_one_for_data_and_mailbox(servers: MailServers) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    async with wire(servers.ports.smtp) as line:
        line.downwards = lambda data: data if not servers.ledger.accepted else b""
        account = servers.account("sink@example.test")
        trip = bench.trip(account, bench.box(servers.account()), bench.smtp(line.port))
        task = bench.launch(receiving(trip, step_timeout_s=60.0), grace_s=20.0)
        await until(lambda: servers.ledger.accepted)
        task.cancel()
        began_s = clock.now()
        while not task.done():
            await asyncio.sleep(0.001)
            await clock.advance(0.25)
            assert clock.now() - began_s <= 21
    assert len(bench.journals[0].left_behind) == 1
