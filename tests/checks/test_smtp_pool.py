"""SMTP connections that are handed from trip to trip."""

import asyncio
import re
from collections.abc import Generator
from dataclasses import replace
from itertools import pairwise

import pytest

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.secrets import Secret
from mailtrip_checks.trips import Auth, Send, Trip
from mailtrip_fixtures import MailServers
from tests.checks.manual_clock import ManualClock
from tests.checks.trip_bench import Bench, Wire, through_time, until, wire

pytestmark = pytest.mark.asyncio


@pytest.fixture
def servers() -> Generator[MailServers]:
    with MailServers(catch_all=True, tls="none") as running:
        yield running


@pytest.fixture
def bench(servers: MailServers) -> Bench:
    return Bench(servers)


def sending(bench: Bench, port: int = 0, connections: int = 1, address: str = "to@example.test") -> Trip:
    """A trip that only sends."""
    via = replace(bench.smtp(port), connections_per_user=connections)
    return replace(bench.trip(bench.servers.account(address), via=via), receive=None)


def send_of(trip: Trip) -> Send:
    assert trip.send is not None
    return trip.send


async def fly_all(bench: Bench, trip: Trip, count: int) -> list[Outcome]:
    return list(await asyncio.gather(*(bench.fly(trip) for _ in range(count))))


def limit_of(line: Wire, mails: int, farewell: bytes) -> None:
    """Let the server refuse with this any MAIL after so many on one connection, or hang up where it is empty."""
    counts = [0]

    def count(data: bytes) -> bytes | None:
        if data.startswith(b"EHLO"):
            counts[0] = 0
        if data.startswith(b"MAIL"):
            counts[0] += 1
            if counts[0] > mails:
                return farewell or None
        return data

    line.upwards = count


async def test_a_session_is_handed_on_and_only_its_opener_pays(bench: Bench, servers: MailServers) -> None:
    async with wire(servers.ports.smtp) as line:
        outcomes = await fly_all(bench, sending(bench, line.port), 5)
        assert {outcome.end for outcome in outcomes} == {End.ACCEPTED}
        assert (line.total, line.most_open) == (1, 1)
        await until(lambda: not line.open)
    paid = [[stage.shared for stage in outcome.stages if stage.name == "connect"] for outcome in outcomes]
    assert paid == [[False]] + [[True]] * 4
    for outcome in outcomes:
        said = "\n".join(line.text for line in outcome.transcript)
        assert said.count("MAIL FROM") == 1
        assert ("EHLO" in said) is (outcome is outcomes[0])


async def test_an_own_session_is_not_shared(bench: Bench, servers: MailServers) -> None:
    async with wire(servers.ports.smtp) as line:
        trip = replace(sending(bench, line.port, connections=2), fresh=True)
        await fly_all(bench, trip, 5)
        assert line.total == 5
        assert line.most_open <= 2


@pytest.mark.parametrize("farewell", [b"", b"XYZZY\r\n"])
async def test_a_session_that_dies_when_it_is_handed_on_fails_no_trip(
    bench: Bench, servers: MailServers, farewell: bytes
) -> None:
    async with wire(servers.ports.smtp) as line:
        limit_of(line, 2, farewell)
        if farewell:
            line.downwards = lambda data: b"421 4.7.0 Enough\r\n" if data.startswith((b"500", b"502")) else data
        outcomes = await fly_all(bench, sending(bench, line.port), 6)
        assert [(outcome.end, outcome.what) for outcome in outcomes] == [(End.ACCEPTED, "")] * 6
        assert line.most_open <= 1
        assert line.total <= 5
    assert len(servers.ledger.accepted) == 6
    assert any("421 4.7.0" in line.text for line in outcomes[2].transcript) is bool(farewell)


async def test_a_session_that_dies_after_mail_was_accepted_is_told(bench: Bench, servers: MailServers) -> None:
    async with wire(servers.ports.smtp) as line:
        seen: list[bytes] = []

        def cut(data: bytes) -> bytes | None:
            if data.startswith(b"RCPT"):
                seen.append(data)
            return None if len(seen) == 2 and data.startswith(b"RCPT") else data

        line.upwards = cut
        outcomes = await fly_all(bench, sending(bench, line.port), 3)
    assert [outcome.end for outcome in outcomes] == [End.ACCEPTED, End.PROTOCOL_ERROR, End.ACCEPTED]


async def test_a_new_session_that_dies_is_told_and_not_repeated(bench: Bench, servers: MailServers) -> None:
    async with wire(servers.ports.smtp) as line:
        line.upwards = lambda data: None if data.startswith(b"MAIL") else data
        outcome = await bench.fly(sending(bench, line.port))
        assert (outcome.end, outcome.leg) == (End.PROTOCOL_ERROR, Leg.SMTP)
        assert line.total == 1


async def test_a_session_that_was_closed_while_it_lay_idle_is_not_taken(bench: Bench, servers: MailServers) -> None:
    async with wire(servers.ports.smtp) as line:
        first = bench.launch(sending(bench, line.port))
        second = bench.launch(sending(bench, line.port))
        while not (idle := bench.idle()):
            await asyncio.sleep(0)
        await idle[0].close()
        ends = [(await asyncio.wait_for(task, 5)).end for task in (first, second)]
        assert ends == [End.ACCEPTED] * 2
        assert line.total == 2


async def test_refused_recipients_leave_the_session_good(bench: Bench, servers: MailServers) -> None:
    servers.refuse("no@example.test", "550 5.1.1 No")
    async with wire(servers.ports.smtp) as line:
        trips = [
            sending(bench, line.port, address=address)
            for address in ("no@example.test", "to@example.test", "no@example.test", "to@example.test")
        ]
        outcomes = await asyncio.gather(*map(bench.fly, trips))
        assert line.total == 1
    assert [outcome.end for outcome in outcomes] == [End.REJECTED, End.ACCEPTED] * 2


async def test_after_so_many_refused_logins_no_more_are_tried(bench: Bench, servers: MailServers) -> None:
    trip = sending(bench)
    via = replace(send_of(trip).via, auth=Auth.PLAIN, user="nobody", password=Secret("wrong"), login_failures=3)
    trip = replace(trip, send=replace(send_of(trip), via=via))
    outcomes = await fly_all(bench, trip, 5)
    assert [outcome.end for outcome in outcomes] == [End.LOGIN_FAILED] * 3 + [End.CANCELLED] * 2
    assert {(outcome.leg, outcome.stage) for outcome in outcomes} == {(Leg.SMTP, "login")}
    assert len(bench.said("AUTH", "smtp")) == 3


async def test_the_rate_is_kept(servers: MailServers) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    trip = sending(bench)
    trip = replace(trip, send=replace(send_of(trip), via=replace(send_of(trip).via, rate_per_s=0.1)))
    tasks = [bench.launch(trip) for _ in range(4)]
    outcomes = [await through_time(task, clock, 0.5) for task in tasks]
    begun = sorted(outcome.mail_from_at_s or 0 for outcome in outcomes)
    assert all(later - earlier > 9 for earlier, later in pairwise(begun))


async def test_who_gives_up_waiting_leaves_no_connection_behind(bench: Bench, servers: MailServers) -> None:
    async with wire(servers.ports.smtp) as line:
        first = bench.launch(sending(bench, line.port))
        second = bench.launch(sending(bench, line.port))
        while not bench.idle():
            await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        await until(lambda: not line.open)
        assert bench.idle() == []
        assert (await bench.fly(sending(bench, line.port))).end is End.ACCEPTED


async def test_closing_the_pool_closes_what_lies_idle(bench: Bench, servers: MailServers) -> None:
    async with wire(servers.ports.smtp) as line:
        first = bench.launch(sending(bench, line.port))
        second = bench.launch(sending(bench, line.port))
        while not bench.idle():
            await asyncio.sleep(0)
        await bench.world.smtp.close()
        await asyncio.gather(first, second)
        await until(lambda: not line.open)


async def test_a_server_that_hangs_costs_its_leg_and_no_more(servers: MailServers) -> None:
    clock = ManualClock()
    bench = Bench(servers, clock)
    async with wire(servers.ports.smtp) as line:
        line.upwards = lambda data: b"" if data.startswith(b"RCPT") else data
        task = bench.launch(sending(bench, line.port))
        await until(lambda: bench.said("MAIL", "smtp"))
        outcome = await through_time(task, clock, 0.1)
    assert (outcome.end, outcome.leg, outcome.stage) == (End.TIMED_OUT, Leg.SMTP, "submit")
    assert re.match(r"waiting for the answer to RCPT at \S+:\d+ \[127\.0\.0\.1\]: no answer within ", outcome.what)
    assert outcome.duration_s <= 6
