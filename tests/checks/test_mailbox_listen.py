"""Mail that comes to us: what trips get of it, and what strangers do not."""

import asyncio
import smtplib
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from mailtrip_checks.clock import Clock, SystemClock
from mailtrip_checks.ends import End, Leg
from mailtrip_checks.identity import new_token
from mailtrip_checks.journal import Journal
from mailtrip_checks.judge import channels
from mailtrip_checks.mailbox.listen import LARGEST_HEADER_BYTES, Limits, ListenMailbox
from mailtrip_checks.mailbox.listen_gate import HEAD_BYTES
from mailtrip_checks.mailbox.waiting import Common
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.run import run_trip
from mailtrip_checks.secrets import Masker
from mailtrip_checks.trips import Channel, Endpoint, Match, Protocol, Receive, Security, Send, Trip
from mailtrip_checks.world import World
from tests.checks.manual_clock import ManualClock
from tests.checks.trip_bench import BOUND_S, FAR, KEY, PAST, of_a_run, strangers, through_time, until
from tests.ports import free_port

pytestmark = pytest.mark.asyncio
HERE = "127.0.0.1"
TO = "probe@collector.test"
T = TypeVar("T")


def at(port: int, *accept: str) -> Endpoint:
    return Endpoint("collector", Protocol.LISTEN, HERE, port, Security.NONE, accept=accept or (TO,))


class Stranger:
    """A listener on a free port with one who waits there, and a client that is nobody's friend."""

    def __init__(self, mailbox: ListenMailbox, token: str) -> None:
        self.mailbox = mailbox
        self.waiter = mailbox.join(token, mailbox.receive)
        self.port = mailbox.port

    async def doing(self, what: Callable[[smtplib.SMTP], T]) -> T:
        """Let the client do something, in a thread."""

        def do() -> T:
            with smtplib.SMTP(HERE, self.port, timeout=BOUND_S) as client:
                return what(client)

        return await asyncio.wait_for(asyncio.to_thread(do), BOUND_S)

    async def sends(self, message: bytes, to: str = TO) -> tuple[int, bytes]:
        """The answer to this mail."""

        def send(client: smtplib.SMTP) -> tuple[int, bytes]:
            client.ehlo()
            client.mail("a@stranger.test")
            code, said = client.rcpt(to)
            return client.data(message) if code == 250 else (code, said)

        return await self.doing(send)

    def noted(self) -> str:
        return "\n".join(line.text for line in self.mailbox.transcript.since(0).lines())


TOKEN = new_token()
LIMITS = Limits()


@asynccontextmanager
async def listening(
    limits: Limits = LIMITS, clock: Clock | None = None, receive: Receive | None = None
) -> AsyncGenerator[Stranger]:
    world = World(clock or SystemClock(), KEY, Masker())
    mailbox = ListenMailbox(receive or Receive(at(0)), Common(world.network, world.gates, KEY), limits)
    await mailbox.opened()
    try:
        yield Stranger(mailbox, TOKEN)
    finally:
        await mailbox.close()
        assert not mailbox.sessions


async def test_a_mail_is_taken_once_and_its_copies_are_thrown_away() -> None:
    async with listening() as stranger:
        assert (await stranger.sends(of_a_run(TOKEN, FAR)))[0] == 250
        arrival = await stranger.mailbox.arrival(stranger.waiter, 0)
        assert arrival.sighting.token == TOKEN
        assert (arrival.stages, arrival.bracket.missed_at_s) == ((), arrival.bracket.seen_at_s)
        assert b"Somebody's mail." in arrival.mail
        assert (await stranger.sends(of_a_run(TOKEN, FAR)))[0] == 250
        assert "came again" in stranger.noted()


async def test_what_is_not_proved_ours_is_refused_and_stays_with_whoever_brought_it() -> None:
    async with listening() as stranger:
        answers = [await stranger.sends(one) for one in strangers()]
        assert {code for code, _ in answers} == {550}
        assert {said for _, said in answers} == {b"5.7.1 Not a mail of this run"}
        assert not stranger.waiter.arrived.done()


async def test_a_mail_of_an_earlier_run_that_has_expired_is_taken_and_thrown_away() -> None:
    async with listening() as stranger:
        assert (await stranger.sends(of_a_run(new_token(), PAST)))[0] == 250
        assert (await stranger.sends(of_a_run(new_token(), FAR)))[0] == 550


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda raw: raw.replace(b"X-Mailtrip: ", b"X-Other: "), "(stripped)"),
        (lambda raw: b"Subject: Re: {" + TOKEN.encode() + b"}\r\n\r\nhello\r\n", "(echo)"),
    ],
)
async def test_what_only_bears_the_token_is_taken_where_nobody_else_gets_mail(
    change: Callable[[bytes], bytes], why: str
) -> None:
    async with listening() as stranger:
        assert (await stranger.sends(change(of_a_run(TOKEN, FAR))))[0] == 550
        assert f"does not prove itself ours {why}, so it was refused" in stranger.noted()
        assert not stranger.waiter.arrived.done()
    dedicated = Receive(at(0), mailbox_is_dedicated=True, match=Match.SUBJECT)
    async with listening(receive=dedicated) as stranger:
        assert (await stranger.sends(change(of_a_run(TOKEN, FAR))))[0] == 250
        assert stranger.waiter.arrived.done()


async def test_a_header_that_would_take_long_to_read_is_refused() -> None:
    async with listening() as stranger:
        long = b"X-Much: " + b"x" * 70 + b"\r\n"
        huge = long * (LARGEST_HEADER_BYTES // len(long) + 1) + of_a_run(TOKEN, FAR)
        assert (await stranger.sends(huge))[0] == 550
        assert not stranger.waiter.arrived.done()


@pytest.mark.parametrize("to", ["other@collector.test", "probe@elsewhere.test", "probe", "probe%elsewhere.test@x.test"])
async def test_no_other_recipient_is_accepted(to: str) -> None:
    async with listening() as stranger:
        code, said = await stranger.sends(of_a_run(TOKEN, FAR), to)
        assert code in (550, 553)
        assert b"5.7.1" in said or b"5.1.3" in said


@pytest.mark.parametrize(
    ("pattern", "to", "accepted"),
    [
        ("*@Collector.test", "any@collector.TEST", True),
        ("p-?@*.test", "p-1@a.b.test", True),
        ("p-?@*.test", "p-12@a.test", False),
        ("*@collector.test", "any@collector.test.evil", False),
    ],
)
async def test_patterns_are_of_whole_addresses(pattern: str, to: str, accepted: bool) -> None:
    async with listening(receive=Receive(at(0, pattern))) as stranger:
        assert ((await stranger.sends(of_a_run(TOKEN, FAR), to))[0] == 250) is accepted


async def test_a_mail_for_too_many_recipients_is_told_so() -> None:
    def ask(client: smtplib.SMTP) -> list[int]:
        client.ehlo()
        client.mail("a@stranger.test")
        return [client.rcpt(TO)[0] for _ in range(101)]

    async with listening() as stranger:
        assert await stranger.doing(ask) == [250] * 100 + [452]


async def test_garbage_is_answered_and_never_followed() -> None:
    garbage = [
        b"\0\1",
        b"\xff\xfe",
        b"",
        b"AUTH PLAIN AAAA",
        b"DATA",
        b"STARTTLS",
        b"VRFY \xff",
        b"MAIL FROM:<" + b"(" * 450 + b"@x>",
        b"MAIL FROM:<\xff@x>",
        b"RCPT TO:<probe@collector.test>",
        b"NOOP " + b"x" * 100_000,
    ]
    async with listening() as stranger:
        for one in garbage:
            reader, writer = await asyncio.open_connection(HERE, stranger.port)
            writer.write(b"EHLO x\r\n" + one + b"\r\nQUIT\r\n")
            lines = (await asyncio.wait_for(reader.read(), BOUND_S)).splitlines()
            writer.close()
            assert lines[-1].startswith(b"221")
            assert b"250 2.1.5 Ok" not in lines
        assert not stranger.waiter.arrived.done()
        assert (await stranger.sends(of_a_run(TOKEN, FAR)))[0] == 250


async def test_too_long_lines_and_too_large_mails_are_refused() -> None:
    async with listening(Limits(mail_bytes=5_000)) as stranger:
        assert (await stranger.sends(of_a_run(TOKEN, FAR) + b"x" * 2_000))[0] == 500
        assert (await stranger.sends(of_a_run(TOKEN, FAR) + b"x\r\n" * 3_000))[0] == 552
        assert not stranger.waiter.arrived.done()


async def test_of_a_large_mail_that_is_not_ours_only_the_head_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    take = ListenMailbox.take

    def spy(mailbox: ListenMailbox, mail: bytes, came_at_s: float, whence: str) -> str:
        held.append(len(mail))
        return take(mailbox, mail, came_at_s, whence)

    monkeypatch.setattr(ListenMailbox, "take", spy)
    large = b"some more\r\n" * 200_000
    async with listening() as stranger:
        for other in (of_a_run(new_token(), FAR, b"another key"), b""):
            assert (await stranger.sends(other + large))[0] == 550
        assert max(held) < 2 * HEAD_BYTES
        assert (await stranger.sends(of_a_run(TOKEN, FAR) + large))[0] == 250
        assert (await stranger.sends(of_a_run(new_token(), PAST) + large))[0] == 250
        assert held[2] > len(large)


async def test_one_connection_too_many_is_told_so() -> None:
    async with listening(Limits(connections=2)) as stranger:
        held = [await asyncio.open_connection(HERE, stranger.port) for _ in range(2)]
        for reader, _ in held:
            assert (await reader.readline()).startswith(b"220")
        reader, writer = await asyncio.open_connection(HERE, stranger.port)
        assert (await reader.readline()).startswith(b"421 4.7.0")
        for _, each in [*held, (reader, writer)]:
            each.close()
        await until(lambda: not stranger.mailbox.sessions)
        assert (await stranger.sends(of_a_run(TOKEN, FAR)))[0] == 250


ENVELOPE = b"EHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<probe@collector.test>\r\nDATA\r\n"


@pytest.mark.parametrize(("says", "last"), [(b"NOOP\r\n", b"250"), (ENVELOPE, b"354"), (ENVELOPE + b"X", b"354")])
async def test_a_client_that_trickles_is_as_slow_as_one_that_is_silent(says: bytes, last: bytes) -> None:
    clock = ManualClock()
    async with listening(Limits(step_s=10, session_s=1_000), clock) as stranger:
        reader, writer = await asyncio.open_connection(HERE, stranger.port)
        assert (await reader.readline())[:3] == b"220"
        writer.write(says)
        while not (await asyncio.wait_for(reader.readline(), BOUND_S)).startswith(last):
            pass
        for _ in range(9):
            writer.write(b"x")
            await clock.advance(1)
        assert stranger.mailbox.sessions
        await clock.advance(1)
        assert await rest(reader) == [b"421 4.4.2 Too slow; try again\r\n"]
        writer.close()


async def test_a_client_that_goes_on_and_on_is_ended_too() -> None:
    clock = ManualClock()
    async with listening(Limits(step_s=10, session_s=50), clock) as stranger:
        reader, writer = await asyncio.open_connection(HERE, stranger.port)
        await reader.readline()
        for _ in range(9):
            writer.write(b"NOOP\r\n")
            assert (await reader.readline())[:3] == b"250"
            await clock.advance(5)
        await clock.advance(5)
        assert await rest(reader) == [b"421 4.4.2 Too slow; try again\r\n"]
        writer.close()


async def rest(reader: asyncio.StreamReader) -> list[bytes]:
    """The last lines before the connection ended, in whatever way."""
    lines: list[bytes] = []
    async with asyncio.timeout(BOUND_S):
        while True:
            try:
                line = await reader.readline()
            except ConnectionError:
                return lines
            if not line:
                return lines
            if not line.startswith((b"250", b"354", b"220")):
                lines.append(line)


# Trips.


class Flight:
    """Trips that send straight to the port on which they listen."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.world = World(self.clock, KEY, Masker())
        self.port = free_port()
        self.journals: list[Journal] = []

    def trip(self, to: str = TO, timeout_s: float = 5.0, port: int = 0) -> Trip:
        via = Endpoint("out", Protocol.SMTP, HERE, port or self.port, Security.NONE)
        send = Send(via, "from@example.test", (to,), "from@example.test", timeout_s=5.0)
        return Trip("trip", Path("x.trip.yaml"), 1, send, Receive(at(self.port, to)), timeout_s=timeout_s)

    def launch(self, trip: Trip) -> "asyncio.Task[Outcome]":
        self.journals.append(Journal(trip, self.clock))
        return asyncio.create_task(run_trip(trip, self.world, self.journals[-1], grace_s=0.4))

    async def fly(self, trip: Trip) -> Outcome:
        return await asyncio.wait_for(self.launch(trip), BOUND_S)


@asynccontextmanager
async def flying(clock: Clock | None = None) -> AsyncGenerator[Flight]:
    flight = Flight(clock)
    try:
        yield flight
    finally:
        await flight.world.smtp.close()
        await flight.world.mailboxes.close()


async def test_a_trip_is_delivered_to_us_and_what_we_did_not_see_stays_empty() -> None:
    async with flying() as flight:
        outcome = await flight.fly(flight.trip())
    assert (outcome.end, outcome.warnings, outcome.left_behind) == (End.DELIVERED, (), ())
    assert {stage.name for stage in outcome.stages if stage.leg is not Leg.SMTP} == {"transit"}
    assert set(channels(outcome)) == {Channel.SMTP, Channel.TRANSIT, Channel.TOTAL}
    assert outcome.token.encode() in outcome.mail_received
    assert dict(outcome.hosts)["mailbox"] == f"{HERE}:{flight.port}"
    assert any(f"the mail {outcome.token} came from 127.0.0.1" in line.text for line in outcome.transcript)


async def test_trips_share_a_port_each_accepting_its_own_also_one_after_the_other() -> None:
    async with flying() as flight:
        trips = [replace(flight.trip(f"p{n}@collector.test"), fresh=bool(n % 2)) for n in range(6)]
        outcomes = await asyncio.gather(*map(flight.fly, trips))
        outcomes.append(await flight.fly(trips[0]))
    assert [outcome.end for outcome in outcomes] == [End.DELIVERED] * 7
    assert len({outcome.token for outcome in outcomes}) == 7


async def test_a_port_in_use_is_named_and_other_trips_run() -> None:
    async with flying() as flight:
        with socket.create_server((HERE, flight.port)):
            outcome = await flight.fly(flight.trip())
        assert (outcome.end, outcome.leg, outcome.stage) == (End.UNREACHABLE, Leg.MAILBOX, "listen")
        assert outcome.what == f"cannot listen on port {flight.port} of 127.0.0.1: it is in use"
        assert f"what listens on port {flight.port}" in outcome.advice
        assert outcome.mail_sent == b""
        assert (await flight.fly(flight.trip())).end is End.DELIVERED


async def test_an_address_that_is_not_of_this_machine_is_told() -> None:
    async with flying() as flight:
        trip = flight.trip()
        elsewhere = replace(trip, receive=Receive(replace(at(flight.port), host="192.0.2.1")))
        outcome = await flight.fly(elsewhere)
    assert outcome.end is End.UNREACHABLE
    assert f"cannot listen on port {flight.port} of 192.0.2.1" in outcome.what
    assert "an address of this machine" in outcome.advice


@pytest.mark.parametrize(("code", "says"), [(13, "this user may not"), (5, "Input/output error")])
async def test_what_else_keeps_us_from_listening_is_told(monkeypatch: pytest.MonkeyPatch, code: int, says: str) -> None:
    async def create_server(*_: object, **__: object) -> None:
        raise OSError(code, "Input/output error")

    async with flying() as flight:
        monkeypatch.setattr(asyncio.get_running_loop(), "create_server", create_server)
        outcome = await flight.fly(flight.trip())
    assert outcome.end is End.UNREACHABLE
    assert says in outcome.what


async def test_all_addresses_of_the_machine_are_listened_on_where_none_is_named() -> None:
    async with flying() as flight:
        trip = flight.trip()
        assert trip.send
        everywhere = Receive(replace(at(flight.port), host="*"))
        outcome = await flight.fly(replace(trip, receive=everywhere))
        assert outcome.end is End.DELIVERED
        assert dict(outcome.hosts)["mailbox"] == f"*:{flight.port}"


async def test_a_mail_that_does_not_come_is_lost() -> None:
    clock = ManualClock()
    async with flying(clock) as flight, listening() as elsewhere:
        trip = flight.trip(timeout_s=60, port=elsewhere.port)
        journal = Journal(trip, clock)
        elsewhere.mailbox.join(journal.token, elsewhere.mailbox.receive)  # which swallows it
        task = asyncio.create_task(run_trip(trip, flight.world, journal, grace_s=0.4))
        outcome = await through_time(task, clock)
    assert outcome.end is End.LOST
    assert outcome.what == f"accepted, and it did not come to {HERE}:{flight.port} in time"
    assert f"does it know the way to port {flight.port} of this machine" in outcome.advice
    (left,) = outcome.left_behind
    assert left.endswith(
        "on its way to collector: it may still come; while nobody listens there, its sender keeps it,"
        " and gives it up in the end"
    )


async def test_a_cancelled_trip_still_takes_its_mail_or_names_it() -> None:
    async with flying() as flight, listening() as elsewhere:
        trip = flight.trip(timeout_s=60, port=elsewhere.port)
        tasks = []
        for _ in range(2):
            tasks.append(flight.launch(trip))
            elsewhere.mailbox.join(flight.journals[-1].token, elsewhere.mailbox.receive)
        comes, never = flight.journals
        await until(lambda: comes.submission.accepted_at_s and never.submission.accepted_at_s)
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)

        def forward() -> None:
            with smtplib.SMTP(HERE, flight.port, timeout=BOUND_S) as client:
                client.sendmail("a@x.test", [TO], comes.mail_sent)

        await asyncio.to_thread(forward)
        await asyncio.wait(tasks, timeout=BOUND_S)
        assert all(task.cancelled() for task in tasks)
        assert comes.left_behind == []
        assert len(never.left_behind) == 1
