"""Trips between in-process servers, over wires that a test can watch, cut and silence."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

from mailtrip_checks.clock import Clock, SystemClock
from mailtrip_checks.identity import new_token, stamp
from mailtrip_checks.journal import Journal
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.run import run_trip
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.trips import Auth, Endpoint, Protocol, Receive, Security, Send, Trip
from mailtrip_checks.wire.smtp import SmtpSession
from mailtrip_checks.world import World
from mailtrip_fixtures import MailAccount, MailServers
from mailtrip_fixtures.store import Folder
from tests.checks.manual_clock import ManualClock

KEY = b"the key of this installation"
BOUND_S = 10.0  # real seconds, after which a test has gone wrong


class Wire:
    """A TCP port in front of another: counts connections, and drops, swallows or changes what goes over them.

    `upwards` and `downwards` see each piece from the client or the server; they may change it, or return None to drop
    the connection.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.open = 0
        self.most_open = 0
        self.total = 0
        self.refusing = False
        self.dead = False
        self.upwards: Callable[[bytes], bytes | None] = lambda data: data
        self.downwards: Callable[[bytes], bytes | None] = lambda data: data
        self._ends: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.refusing:
                writer.transport.abort()
                return
            await self._carry(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.total += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._ends.add((writer, far_writer))
        up = asyncio.create_task(self._pump(reader, far_writer, lambda data: self.upwards(data)))
        down = asyncio.create_task(self._pump(far_reader, writer, lambda data: self.downwards(data)))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if down.done() and not up.done():
                writer.close()  # what was said before the server left still arrives
        finally:
            self.open -= 1
            self._ends.discard((writer, far_writer))
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            for one in (writer, far_writer):
                one.close()
                with suppress(OSError):
                    await one.wait_closed()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes | None]
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if self.dead:
                    continue
                changed = change(data)
                if changed is None:
                    return
                writer.write(changed)
                await writer.drain()

    def say_up(self, data: bytes) -> None:
        """Say this to the server, on every connection."""
        for _, far in self._ends:
            far.write(data)

    def say_down(self, data: bytes) -> None:
        """Say this to the client, on every connection."""
        for near, _ in self._ends:
            near.write(data)

    def drop(self) -> None:
        """Cut every connection."""
        for writer in [writer for ends in self._ends for writer in ends]:
            writer.transport.abort()

    async def end(self) -> None:
        self.drop()
        while self._tasks:
            await asyncio.wait(set(self._tasks))


@asynccontextmanager
async def wire(target: int) -> AsyncGenerator[Wire]:
    """A wire to this port of 127.0.0.1."""
    one = Wire(target)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await one.end()


class Bench:
    """A world over running servers. `fly` runs a trip as the engine would."""

    def __init__(self, servers: MailServers, clock: Clock | None = None) -> None:
        self.servers = servers
        self.clock = clock or SystemClock()
        self.world = World(self.clock, KEY, Masker())
        self.journals: list[Journal] = []

    def smtp(self, port: int = 0) -> Endpoint:
        return Endpoint("smtp", Protocol.SMTP, "127.0.0.1", port or self.servers.ports.smtp, Security.NONE)

    def box(self, account: MailAccount, protocol: Protocol = Protocol.IMAP, port: int = 0) -> Endpoint:
        ports = self.servers.ports
        port = port or (ports.imap if protocol is Protocol.IMAP else ports.pop3)
        password = Secret(account.password)
        return Endpoint(
            protocol.value, protocol, "127.0.0.1", port, Security.NONE, Auth.PASSWORD, account.address, password
        )

    def trip(
        self, account: MailAccount, at: Endpoint | None = None, via: Endpoint | None = None, timeout_s: float = 5.0
    ) -> Trip:
        """A trip to this account, whose looks are dense; change it by `dataclasses.replace` or `receiving`."""
        send = Send(via or self.smtp(), "from@example.test", (account.address,), "from@example.test", timeout_s=5.0)
        receive = Receive(at or self.box(account), interval_s=0.05, step_timeout_s=2.0)
        return Trip("trip", Path("x.trip.yaml"), 1, send, receive, timeout_s=timeout_s)

    def plan(self, *trips: Trip) -> None:
        self.world.mailboxes.plan(trip.receive for trip in trips if trip.send and trip.receive)

    async def fly(self, trip: Trip, *, grace_s: float = 1.0) -> Outcome:
        """Run a trip, planned or not, within bounds."""
        return await asyncio.wait_for(self.launch(trip, grace_s=grace_s), BOUND_S)

    def launch(self, trip: Trip, *, grace_s: float = 1.0) -> "asyncio.Task[Outcome]":
        """Run a trip as a task; its journal is the last of `journals`."""
        trip = self.world.located([trip])[0]
        journal = Journal(trip, self.clock)
        self.journals.append(journal)
        return asyncio.create_task(run_trip(trip, self.world, journal, grace_s=grace_s))

    def idle(self) -> list[SmtpSession]:
        """The SMTP sessions that wait to be handed on, which the pool shows to nobody."""
        return [connection.session for line in vars(self.world.smtp)["_lines"].values() for connection in line.idle]

    def said(self, word: str, port: str = "imap") -> list[str]:
        """The commands that the server heard and that have this word."""
        lines = self.servers.commands("pop3" if port == "pop3" else "smtp" if port == "smtp" else "imap")
        return [line for line in lines if word in line.upper()]


def receiving(trip: Trip, **changes: object) -> Trip:
    """The trip with another way to receive."""
    assert trip.receive is not None
    return replace(trip, receive=replace(trip.receive, **changes))  # type: ignore[arg-type]  # names of fields


async def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds, which some other task or thread brings about."""
    async with asyncio.timeout(BOUND_S):
        while not condition():
            await asyncio.sleep(0.002)


async def through_time(task: "asyncio.Task[Outcome]", clock: ManualClock, step_s: float = 1.0) -> Outcome:
    """Let the clock run, `step_s` every few milliseconds, until the task is done.

    The network is real: on a busy machine what is said there must not take longer than the clock allows.
    """
    async with asyncio.timeout(BOUND_S):
        await asyncio.sleep(0.05)
        while not task.done():
            await asyncio.sleep(0.004)
            await clock.advance(step_s)
    return task.result()


async def redeliver(bench: Bench, account: MailAccount, change: Callable[[bytes], bytes]) -> None:
    """Do as a gateway: put the next mail that SMTP accepts, changed, into the account."""
    ledger = bench.servers.ledger
    already = len(ledger.accepted)
    await until(lambda: len(ledger.accepted) > already)
    account.deliver(change(ledger.accepted[already].message))


def mail(subject: str = "hello", **headers: str) -> bytes:
    """A mail; header fields by name, with _ for -."""
    message = EmailMessage()
    message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Somebody's mail.\n")
    return bytes(message)


def of_a_run(token: str, expires: int | None, key: bytes = KEY) -> bytes:
    """A mail as some run sent it."""
    return mail(
        f"mailtrip roundtrip: {{{token}}}",
        X_Mailtrip=stamp(token, expires, key),
        Message_ID=f"<{token.lower()}@x.test>",
    )


FAR = 4_000_000_000
PAST = 1_000_000_000


def strangers() -> list[bytes]:
    """Mails that no trip may touch: of people, of other runs, forged, answered, quoted, bounced."""
    token = new_token()
    line = stamp(token, PAST, KEY)
    ours = f"mailtrip roundtrip: {{{token}}}"
    forged = line[:-4] + ("0000" if line[-4:] != "0000" else "1111")
    report = re.sub(
        rb"Content-Type: [^\n]+", b"Content-Type: multipart/report; boundary=x", of_a_run(new_token(), PAST), count=1
    )
    return [
        mail(),
        of_a_run(new_token(), FAR),
        of_a_run(new_token(), None),
        of_a_run(new_token(), PAST, b"another key"),
        mail(ours, X_Mailtrip=forged, Message_ID=f"<{token.lower()}@x.test>"),
        mail(f"Re: {ours}", In_Reply_To=f"<{token.lower()}@x.test>", X_Mailtrip=line),
        mail("fwd", Message_ID="<1@x.test>", X_Mailtrip=line),
        mail(ours, Message_ID=f"<{token.lower()}@x.test>"),
        report,
    ]


class Untouched:
    """Strangers' mails in a mailbox, the first flagged \\Deleted by somebody; `check` proves they are as were."""

    def __init__(self, servers: MailServers, account: MailAccount) -> None:
        for one in strangers():
            account.deliver(one)
        self._folder = inbox(servers, account)
        self._folder.set_flags(self._folder.messages[0].uid, ["\\Deleted"])
        self._were = self._state()

    def _state(self) -> list[tuple[int, bytes, frozenset[str]]]:
        return [(one.uid, one.raw, one.flags) for one in self._folder.messages]

    def __len__(self) -> int:
        return len(self._were)

    def check(self, more: int = 0) -> None:
        """They lie there as before, and so many mails behind them."""
        state = self._state()
        assert state[: len(self._were)] == self._were
        assert len(state) == len(self._were) + more


def inbox(servers: MailServers, account: MailAccount) -> Folder:
    found = servers.store.account(account.address)
    assert found is not None
    return found.inbox
