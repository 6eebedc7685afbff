"""The SMTP side of a listener: aiosmtpd, bounded in time and memory. Imported only where a trip listens."""

import asyncio
from collections import defaultdict
from typing import AnyStr, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from mailtrip_checks.mailbox.listen import NOT_RELAYED, ListenMailbox
from mailtrip_checks.mailbox.listen_gate import Gate

_TOO_MANY = b"421 4.7.0 Too many connections; try again later\r\n"
_TOO_SLOW = b"421 4.4.2 Too slow; try again\r\n"
_MOST_RECIPIENTS = 100  # RFC 5321 §4.5.3.1.8


class SmtpReceiver(SMTP):
    """One connection. It offers neither TLS nor a login: there is nothing here that a login would open."""

    def __init__(self, mailbox: ListenMailbox) -> None:
        self._mailbox = mailbox
        self._clock = mailbox.clock
        self.heard_at_s = self._clock.now()
        self._gate = Gate(mailbox.may_be_ours)
        self._answered_at_s = self.heard_at_s
        self._bound: asyncio.Task[None] | None = None
        # aiosmtpd has one for all connections of the process, each of which clears it.
        self.command_size_limits = defaultdict(lambda: self.command_size_limit)
        super().__init__(
            _Handler(mailbox, self),
            data_size_limit=mailbox.limits.mail_bytes,
            enable_SMTPUTF8=True,
            ident="mailtrip",
            hostname="mailtrip.invalid",  # RFC 2606 §2: it is nobody's, least of all the client's own
            timeout=2 * mailbox.limits.session_s,  # `_bounded` comes first, and goes by the run's clock
            loop=asyncio.get_running_loop(),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        sessions = self._mailbox.sessions
        sessions.add(self)
        if len(sessions) > self._mailbox.limits.connections:
            self.end(_TOO_MANY)
            return
        self._bound = self.loop.create_task(self._bounded())

    def connection_lost(self, error: Exception | None) -> None:
        self._mailbox.sessions.discard(self)
        if self._bound:
            self._bound.cancel()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self.heard_at_s = self._clock.now()  # before anything is parsed
        if passed := self._gate.passed(data):
            super().data_received(passed)

    async def push(self, status: AnyStr) -> None:
        """Answer; what refuses is noted for who looks for a mail that does not come."""
        self._gate.answered()
        self._answered_at_s = self._clock.now()
        said = status if isinstance(status, str) else status.decode("utf-8", "replace")
        if said[:1] in ("4", "5"):
            self._mailbox.transcript.note(f"{self.peer} was told: {said}")
        await super().push(status)

    def end(self, farewell: bytes = b"") -> None:
        """Cut the connection, with a last word that goes out only if it can at once."""
        transport = cast(asyncio.Transport | None, self.transport)
        if transport is not None:
            if farewell:
                self._mailbox.transcript.note(f"{self.peer} was told: {farewell.decode().strip()}")
                transport.write(farewell)
            transport.abort()

    @property
    def peer(self) -> str:
        """The client's address."""
        return str(self.session.peer[0]) if self.session and self.session.peer else "unknown"

    async def _bounded(self) -> None:
        """End the connection when its time is over, or when so long nothing was completed that could be answered.

        Bytes alone buy no time: a client that trickles them is as slow as one that is silent.
        """
        limits = self._mailbox.limits
        over_at_s = self._clock.now() + limits.session_s
        while (due_at_s := min(over_at_s, self._answered_at_s + limits.step_s)) > self._clock.now():
            await self._clock.sleep(due_at_s - self._clock.now())
        self.end(_TOO_SLOW)


class _Handler:
    """The hooks that aiosmtpd calls; each returns the reply."""

    def __init__(self, mailbox: ListenMailbox, receiver: SmtpReceiver) -> None:
        self._mailbox = mailbox
        self._receiver = receiver

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not self._mailbox.accepts(address):
            return f"{NOT_RELAYED}, not for <{address}>"
        if len(envelope.rcpt_tos) >= _MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  (aiosmtpd's name)
        whence = f"{self._receiver.peer} ({session.host_name})"
        return self._mailbox.take(envelope.original_content or b"", self._receiver.heard_at_s, whence)

    async def handle_exception(self, error: Exception) -> str:
        # Of aiosmtpd, on input that its parser does not stand.
        return f"500 5.5.2 Not understood ({type(error).__name__})"
