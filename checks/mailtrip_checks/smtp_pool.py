"""SMTP connections, handed from one trip to the next while trips wait for them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random

from mailtrip_checks.ends import Leg
from mailtrip_checks.gates import Gates
from mailtrip_checks.limit import Limit
from mailtrip_checks.mx import MailExchangers
from mailtrip_checks.outcome import Stage
from mailtrip_checks.trips import Send
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.smtp import SmtpSession
from mailtrip_checks.wire.transcript import Excerpt, Stages, Transcript


@dataclass(slots=True)
class _Connection:
    """An open session and what holds its place at the gate."""

    session: SmtpSession
    transcript: Transcript
    warnings: list[str]
    place: AsyncExitStack

    async def close(self) -> None:
        try:
            await self.session.close()
        finally:
            await self.place.aclose()


@dataclass(slots=True)
class _Line:
    """Those who want a session with the same endpoint and HELO name."""

    turns: Limit
    waiting: int = 0
    idle: list[_Connection] = field(default_factory=list[_Connection])


class Dialogue:
    """What a trip sees of its SMTP connections, whether or not they could be opened.

    `handed_on` says that another trip opened the present one. Who waits for one comes by `number`, the lowest first.
    """

    def __init__(self, stages: Stages, number: int = 0) -> None:
        self.stages = stages
        self.number = number
        self.host = ""
        self.handed_on = False
        self.opening: tuple[Stage, ...] = ()
        self.warnings: list[str] = []
        self._transcript: Transcript | None = None
        self._mark = 0
        self._ended: list[Excerpt] = []

    def follows(self, transcript: Transcript, *, handed_on: bool = False) -> None:
        """Report what is said on this connection from now on, too."""
        self.ends()
        self.handed_on = handed_on
        self._transcript = transcript
        self._mark = transcript.mark()

    def ends(self) -> None:
        """What is said from now on is another trip's."""
        if self._transcript:
            self._ended.append(self._transcript.since(self._mark))
        self._transcript = None

    @property
    def doing(self) -> str:
        """What takes the time on the present connection."""
        return self._transcript.doing if self._transcript else ""

    @property
    def said(self) -> tuple[Excerpt, ...]:
        """What was said on each connection while it was the trip's."""
        now = (self._transcript.since(self._mark),) if self._transcript else ()
        return (*self._ended, *now)


class SmtpPool:
    """The SMTP connections of a run, each in use by one trip at a time."""

    def __init__(self, network: Network, gates: Gates, rng: Random | None = None) -> None:
        self._network = network
        self._gates = gates
        self._exchangers = MailExchangers(rng or Random())  # noqa: S311  (it spreads load, and guards nothing)
        self._lines: dict[Hashable, _Line] = {}

    @asynccontextmanager
    async def session(self, send: Send, dialogue: Dialogue, *, own: bool) -> AsyncGenerator[SmtpSession]:
        """A session to `send.via`; the caller's own, opened and closed for it, where `own`.

        Raises what keeps it from being opened; `dialogue` has the evidence either way.
        """
        if own:
            connection = await self._open(send, dialogue)
            try:
                yield connection.session
            finally:
                await connection.close()
            return
        line = self._lines.setdefault((send.via, send.helo), _Line(Limit(send.via.connections_per_user)))
        async with AsyncExitStack() as turn:
            turn.push_async_callback(_trim, line)
            line.waiting += 1
            try:
                await turn.enter_async_context(line.turns.place(dialogue.number))
            finally:
                line.waiting -= 1
            connection = await self._take(line, dialogue) or await self._open(send, dialogue)
            try:
                yield connection.session
            finally:
                dialogue.ends()
                # Kept only for those who wait: an idle connection would hold a place that others may need.
                if connection.session.usable and len(line.idle) < line.waiting:
                    line.idle.append(connection)
                else:
                    await asyncio.shield(connection.close())

    async def _take(self, line: _Line, dialogue: Dialogue) -> _Connection | None:
        """One that was handed on and, as far as can be seen, still works."""
        while line.idle and not line.idle[-1].session.usable:
            await asyncio.shield(line.idle.pop().close())
        if not line.idle:
            return None
        connection = line.idle.pop()
        dialogue.follows(connection.transcript, handed_on=True)
        dialogue.host = connection.session.reached
        dialogue.warnings += connection.warnings
        dialogue.opening = tuple(replace(stage, shared=True) for stage in connection.session.opening)
        return connection

    async def _open(self, send: Send, dialogue: Dialogue) -> _Connection:
        transcript = Transcript(self._network.clock, Leg.SMTP, self._network.masker)
        dialogue.follows(transcript)
        warnings: list[str] = []
        async with AsyncExitStack() as place:
            try:
                session = await self._gates.enter(
                    send.via, place, lambda: self._dial(send, dialogue, transcript, warnings.append), warnings.append
                )
            finally:
                dialogue.warnings += warnings
            session.opening = dialogue.opening
            dialogue.host = session.reached
            return _Connection(session, transcript, warnings, place.pop_all())
        raise AssertionError  # pragma: no cover  (an exit stack swallows nothing)

    async def _dial(
        self, send: Send, dialogue: Dialogue, transcript: Transcript, warn: Callable[[str], None]
    ) -> SmtpSession:
        stages = Stages(self._network.clock, Leg.SMTP)
        opening = self._exchangers.open if send.via.mx else SmtpSession.open
        try:
            async with within(self._network.clock, send.timeout_s, lambda: transcript.doing or leg_to(send)):
                return await opening(
                    send.via, self._network, helo=send.helo, stages=stages, transcript=transcript, warn=warn
                )
        finally:
            dialogue.opening = tuple(stages.taken)

    async def close(self) -> None:
        """Close what is still open."""
        await asyncio.gather(*(connection.close() for line in self._lines.values() for connection in line.idle))


def leg_to(send: Send) -> str:
    """The SMTP leg, where nothing better is known of what takes the time."""
    where = f"{send.via.host}:{send.via.port}" if send.via.port else send.via.host
    return f"the SMTP leg to {where}"


async def _trim(line: _Line) -> None:
    """Close what nobody waits for any more."""
    while len(line.idle) > line.waiting:
        await asyncio.shield(line.idle.pop().close())
