"""Steps of aiosmtplib on one connection: pairing, the transcript, and errors that say at which step it stopped."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import aiosmtplib

from mailtrip_checks.errors import Busy, ProtocolError, Refused, TlsFailed, TripError, closed_at_once
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.login import too_many
from mailtrip_checks.wire.smtp_bridge import Bridge
from mailtrip_checks.wire.stream import Stream

GREETING = "the greeting"
_WELCOME = (GREETING, "EHLO", "HELO")
_FAREWELL_S = 2.0
_CLOSING = 421  # "Service not available, closing transmission channel", at any step (RFC 5321 §3.8)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: `text` is the code and its lines, masked, in one line; `good` is what aiosmtplib makes of the code."""

    code: int
    text: str
    good: bool

    @property
    def is_refusal(self) -> bool:
        return 400 <= self.code <= 599


class Dialogue:
    """One step at a time. A step that fails or is cancelled leaves half an answer on the wire: `broken` is then true,
    and all that can be done is to close.
    """

    def __init__(self, stream: Stream, network: Network) -> None:
        self.bridge = Bridge(stream)
        self.client = self.bridge.client
        self.host = stream.host
        self.transcript = stream.transcript
        self.broken = False
        self.network = network

    @property
    def secure(self) -> bool:
        """Whether TLS is on."""
        return self.bridge.stream.secure

    @property
    def usable(self) -> bool:
        """Whether another command may be given."""
        return not self.broken and not self.bridge.ended and not self.bridge.unasked

    async def ask(
        self,
        step: str,
        call: Callable[[], Awaitable[aiosmtplib.SMTPResponse]],
        shows: Callable[[bytes], str | None] | None = None,
    ) -> Answer:
        """Take one step of aiosmtplib's; `shows` is what the transcript shows of it.

        Raises Refused, or Busy, for 421, and ProtocolError where the server closes or sends what is no reply.
        """
        if self.broken:
            raise ProtocolError(f"{step}: the connection to {self.host} was given up before")
        self.broken = True
        self._nothing_unasked()
        self.bridge.shows = shows
        awaited = step if step == GREETING else f"the answer to {step}"
        self.transcript.doing = f"waiting for {awaited} at {self.host}"
        try:
            answer = await self._answer(step, call)
        finally:
            self.bridge.shows = None
        if not 200 <= answer.code <= 599:
            raise self._no_reply(step, answer.text)
        if answer.code == _CLOSING:
            # Not at the login: that may be for refused ones, and to try again would lock the account.
            refused = Busy if step in _WELCOME or too_many(answer.text) else Refused
            raise refused(f"{self.host} ended the session at {step}", reply=answer.text)
        self.broken = False
        return answer

    async def _answer(self, step: str, call: Callable[[], Awaitable[aiosmtplib.SMTPResponse]]) -> Answer:
        try:
            code, text = await call()
        except aiosmtplib.SMTPResponseException as reply:
            return Answer(reply.code, self._shown(reply.code, reply.message), good=False)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise self._closed(step) from error
        except ValueError as error:
            raise ProtocolError(f"{step} cannot be said in SMTP: {error}") from error
        return Answer(code, self._shown(code, text), good=True)

    async def start_tls(self) -> None:
        """The handshake after the server's 220; raises TlsFailed."""
        self.broken = True
        if unasked := self.bridge.unasked:
            what = f"{self.host} sent plain text behind its answer to STARTTLS; somebody may have injected it"
            raise TlsFailed(what, reply=self.network.masker.mask(unasked))
        await self.bridge.stream.start_tls()
        self.broken = False

    async def farewell(self) -> None:
        """QUIT where the connection still works, then close; raises nothing but CancelledError."""
        try:
            if self.usable:
                with suppress(TripError):
                    async with within(self.network.clock, _FAREWELL_S, "QUIT"):
                        await self.ask("QUIT", self.client.quit)
        finally:
            await self.close()

    async def close(self) -> None:
        """Drop the connection."""
        self.broken = True
        await self.bridge.drop()

    def _nothing_unasked(self) -> None:
        # It would be taken for the answer to this step: a late 250 for a mail.
        unasked = self.network.masker.mask(self.bridge.unasked)
        if unasked.startswith(f"{_CLOSING}"):
            raise Refused(f"{self.host} ended the session", reply=unasked)
        if unasked:
            raise ProtocolError(f"{self.host} sent something without being asked", reply=unasked)

    def _no_reply(self, step: str, said: str) -> ProtocolError:
        # aiosmtplib puts words of its own before a line that does not begin with a code.
        said = said.removeprefix("Malformed SMTP response line: ")
        if step == GREETING:
            return ProtocolError(f"{self.host} greeted with `{said}`, which is no SMTP")
        return ProtocolError(f"{self.host} answered {step} with `{said}`, which is no SMTP reply")

    def _closed(self, step: str) -> TripError:
        begun = self.network.masker.mask(self.bridge.unasked)
        if step == GREETING and not begun:
            return closed_at_once(self.host)
        return ProtocolError(f"{self.host} closed the connection at {step}", reply=begun)

    def _shown(self, code: int, text: str) -> str:
        clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        said = " ".join(clean.split("\n")).strip()
        return self.network.masker.mask(f"{code} {said}".strip() if code > 0 else said)
