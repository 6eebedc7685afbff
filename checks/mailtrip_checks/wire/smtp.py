"""The SMTP leg (RFC 5321, AUTH RFC 4954, STARTTLS RFC 3207, SMTPUTF8 RFC 6531), on aiosmtplib's steps."""

import re
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from enum import Enum

from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import Busy, Deferred, ProtocolError, Refused, Rejected, TripError
from mailtrip_checks.outcome import Reply, Stage
from mailtrip_checks.trips import Auth, Endpoint, Until
from mailtrip_checks.wire.connect import Network, StarttlsRefused, secured
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.login import too_many
from mailtrip_checks.wire.sasl_oauth import hold_token
from mailtrip_checks.wire.smtp_dialogue import GREETING, Answer, Dialogue
from mailtrip_checks.wire.smtp_login import log_in
from mailtrip_checks.wire.stream import open_stream
from mailtrip_checks.wire.transcript import Stages, Transcript

_RESET_S = 5.0
_NOT_IMPLEMENTED = (500, 501, 502, 504)
_LINE_END = re.compile(rb"\r\n|\n|\r")
_QUOTED_LOCAL_PART = re.compile(r'"(?:[^"\\]|\\.)*"')


class Phase(Enum):
    """How far a message came. In IN_DATA nobody knows whether the server has it."""

    NOT_SENT = "not sent"
    IN_DATA = "in data"
    ACCEPTED = "accepted"


@dataclass(slots=True)
class Submission:
    """What became of a message, true also where `submit` raised or was cancelled.

    IN_DATA holds from the DATA command to the final reply. Instants are monotonic seconds: just before MAIL is sent,
    and when the bytes of the final 250 came in.
    """

    phase: Phase = Phase.NOT_SENT
    mail_from_at_s: float | None = None
    accepted_at_s: float | None = None
    replies: list[Reply] = field(default_factory=list[Reply])


class SmtpSession:
    """A connection on which messages can be submitted, one at a time; made by `open`.

    `opening` holds the stages that opened it, where the opener puts them.
    """

    def __init__(
        self, dialogue: Dialogue, helo: str, network: Network, stages: Stages, warn: Callable[[str], None]
    ) -> None:
        self.opening: tuple[Stage, ...] = ()
        self._dialogue = dialogue
        self._client = dialogue.client
        self._helo = helo
        self._network = network
        self._stages = stages
        self._warn = warn

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        network: Network,
        *,
        helo: str | None,
        stages: Stages,
        transcript: Transcript,
        warn: Callable[[str], None],
    ) -> "SmtpSession":
        """Connect by the security mode, say EHLO (HELO where that is all the server knows) and log in.

        Stages resolve, connect, tls, login. Not bounded in time: the caller bounds the whole leg. Raises Unresolved,
        Unreachable, TlsFailed, Refused, LoginFailed, TokenFailed, ProtocolError.
        """

        token = await hold_token(endpoint, network, stages)

        async def dial(tls: bool) -> SmtpSession:
            stream = await open_stream(endpoint, network, stages, transcript, tls=tls)
            session = cls(Dialogue(stream, network), helo or _own_name(), network, stages, warn)
            await session._or_close(session._greet())
            return session

        session = await secured(endpoint, dial, warn)
        await session._or_close(session._begin(endpoint, token))
        return session

    @property
    def host(self) -> str:
        """`name:port [address]` of the server."""
        return self._dialogue.host

    @property
    def reached(self) -> str:
        """`host`, and how the connection is secured."""
        return self._dialogue.bridge.stream.reached

    @property
    def usable(self) -> bool:
        """Whether another message can be submitted here."""
        return self._dialogue.usable

    async def close(self) -> None:
        """QUIT where that still makes sense, within 2 s, and close; raises nothing but CancelledError."""
        await self._dialogue.farewell()

    # Opening.

    async def offers_starttls(self) -> bool:
        """Whether EHLO lists STARTTLS."""
        with self._stages.of("connect"):
            await self._hello()
        return self._client.supports_extension("starttls")

    async def starttls(self) -> None:
        """Switch to TLS; raises StarttlsRefused, or TlsFailed for the handshake or for injected plaintext."""
        with self._stages.of("tls"):
            answer = await self._dialogue.ask("STARTTLS", lambda: self._client.execute_command(b"STARTTLS"))
            if answer.code != 220:
                raise StarttlsRefused(f"{self.host} refused STARTTLS", reply=answer.text)
            await self._dialogue.start_tls()
            # What was offered in plain text may be forged (RFC 3207 §4.2). A server that has STARTTLS knows EHLO.
            self._welcomed(await self._ehlo())

    async def _greet(self) -> None:
        with self._stages.of("connect"):
            answer = await self._dialogue.ask(GREETING, self._dialogue.bridge.greeting)
            self._dialogue.broken = answer.code != 220  # no QUIT either: who refuses us may not wait for it
            if answer.is_refusal:
                refused = Busy if too_many(answer.text) else Refused
                raise refused(f"{self.host} refused the session", reply=answer.text)
            if self._dialogue.broken:
                raise ProtocolError(f"{self.host} greeted with what is no SMTP greeting", reply=answer.text)

    async def _begin(self, endpoint: Endpoint, token: str) -> None:
        if self._client.is_ehlo_or_helo_needed:
            with self._stages.of("connect"):
                await self._hello()
        if endpoint.auth is not Auth.NONE:
            with self._stages.of("login"):
                await log_in(self._dialogue, endpoint, token)

    async def _hello(self) -> None:
        answer = await self._ehlo()
        if answer.code in _NOT_IMPLEMENTED:
            answer = await self._dialogue.ask("HELO", lambda: self._client.helo(hostname=self._helo))
        self._welcomed(answer)

    async def _ehlo(self) -> Answer:
        if not re.fullmatch(r"[!-~]+", self._helo):
            raise ProtocolError(f"EHLO cannot be said with the name {self._helo!r}", advice="Write a host name.")
        return await self._dialogue.ask("EHLO", lambda: self._client.ehlo(hostname=self._helo))

    def _welcomed(self, answer: Answer) -> None:
        if not answer.good:
            advice = "The server may not like our name: `helo:` under `send` sets another."
            raise Refused(f"{self.host} refused EHLO", reply=answer.text, advice=advice)

    async def _or_close(self, step: Coroutine[None, None, None]) -> None:
        try:
            await step
        except BaseException:
            await self.close()
            raise

    # Submitting.

    async def submit(
        self,
        sender: str,
        recipients: Sequence[str],
        message: bytes,
        until: Until,
        stages: Stages,
        submission: Submission,
    ) -> None:
        """MAIL, RCPT for each recipient and DATA; with `Until.RCPT` RSET in place of DATA. Stage `submit`.

        The message may have any line ends; it goes with CRLF. Raises Rejected (5xx) or Deferred (4xx) where the server
        refuses the sender, any recipient, or the message: nobody gets it then. Raises Refused for 421, ProtocolError
        otherwise.
        """
        message = _LINE_END.sub(b"\r\n", message)
        with stages.of("submit"):
            mail, *rcpts = (_path(address) for address in (sender, *recipients))
            options = self._options(sender, recipients, message)
            submission.mail_from_at_s = self._network.clock.now()
            try:
                await self._envelope(f"MAIL FROM:{mail}", options, submission)
                for rcpt in rcpts:
                    await self._envelope(f"RCPT TO:{rcpt}", "", submission)
                if until is Until.DATA:
                    await self._data(message, submission)
                else:
                    await self._reset()
            except (Rejected, Deferred):
                await self._reset()
                raise

    def _options(self, sender: str, recipients: Sequence[str], message: bytes) -> str:
        """The parameters of MAIL; raises Rejected where an address needs what the server lacks (RFC 6531 §3.4)."""
        offers = self._client.supports_extension
        international = next((address for address in (sender, *recipients) if not address.isascii()), None)
        options = ""
        if offers("size"):
            options += f" SIZE={len(message)}"
        if not message.isascii():
            if offers("8bitmime"):
                options += " BODY=8BITMIME"
            else:
                self._warn(f"{self.host} does not offer 8BITMIME, but the mail has 8-bit text")
        if international is not None and not offers("smtputf8"):
            raise Rejected(f"{self.host} does not offer SMTPUTF8, which the address {international} needs")
        if offers("smtputf8") and (international is not None or not message.partition(b"\r\n\r\n")[0].isascii()):
            options += " SMTPUTF8"
        return options

    async def _envelope(self, command: str, options: str, submission: Submission) -> None:
        name, line = command[:4], (command + options).encode()
        answer = await self._dialogue.ask(name, lambda: self._client.execute_command(line))
        submission.replies.append(Reply(Leg.SMTP, name, answer.text))
        if answer.is_refusal:
            raise self._refusal(answer, command)
        if answer.code // 100 != 2:
            self._dialogue.broken = True
            raise ProtocolError(f"{self.host} answered {name} out of turn", reply=answer.text)

    async def _data(self, message: bytes, submission: Submission) -> None:
        # aiosmtplib says DATA in one write and the message after the 354 in others.
        shown = iter([None, f"({len(message)} bytes of mail)"])
        submission.phase = Phase.IN_DATA
        try:
            answer = await self._dialogue.ask("DATA", lambda: self._client.data(message), lambda _: next(shown, ""))
        except Refused as refused:
            submission.phase = Phase.NOT_SENT
            submission.replies.append(Reply(Leg.SMTP, "DATA", refused.reply))
            raise
        submission.replies.append(Reply(Leg.SMTP, "DATA", answer.text))
        if answer.good:
            submission.phase = Phase.ACCEPTED
            submission.accepted_at_s = self._dialogue.bridge.replied_at_s
        elif answer.is_refusal:
            submission.phase = Phase.NOT_SENT
            raise self._refusal(answer, "the message")
        else:
            self._dialogue.broken = True
            raise ProtocolError(f"{self.host} answered DATA out of turn", reply=answer.text)

    async def _reset(self) -> None:
        """RSET, so that the next message finds a clean session; where that fails there is none on this connection."""
        try:
            async with within(self._network.clock, _RESET_S, "RSET"):
                answer = await self._dialogue.ask("RSET", lambda: self._client.execute_command(b"RSET"))
            self._dialogue.broken = answer.code != 250
        except TripError:
            self._dialogue.broken = True

    def _refusal(self, answer: Answer, what: str) -> TripError:
        if answer.code >= 500:
            return Rejected(f"{self.host} rejected {what}", reply=answer.text)
        return Deferred(f"{self.host} deferred {what}", reply=answer.text)


def _path(address: str) -> str:
    """`<address>`. Not aiosmtplib's own quoting, which takes an address for a header and may cut it short."""
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", address) or re.search(
        r"[\s<>]", _QUOTED_LOCAL_PART.sub("", address, count=1)
    ):
        what = f"the address {address!r} cannot stand in an SMTP command"
        raise ProtocolError(what, advice="Write the address alone, without a name, blanks or brackets.")
    return f"<{address}>"


def _own_name() -> str:
    """This machine's name for EHLO where it is a full one, else an address literal (RFC 5321 §4.1.4)."""
    name = socket.gethostname()
    return name if name.isascii() and "." in name else "[127.0.0.1]"
