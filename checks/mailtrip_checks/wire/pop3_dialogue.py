"""Commands and answers on one POP3 connection: deadlines, pairing, and what the transcript may show."""

from mailtrip_checks.errors import ProtocolError, Refused, TlsFailed, TripError, closed_at_once
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.login import wire_bytes
from mailtrip_checks.wire.pop3_parser import Answer, AnswerParser, Malformed, shown
from mailtrip_checks.wire.stream import Stream

_WITH_NUMBER = ("TOP", "RETR", "DELE")


class Dialogue:
    """One command at a time. A step that fails or is cancelled leaves half an answer on the wire: `broken` is then
    true, and all that can be done is to close.
    """

    def __init__(self, stream: Stream, network: Network, step_timeout_s: float) -> None:
        self.stream = stream
        self.host = stream.host
        self.broken = False
        self.network = network
        self._step_timeout_s = step_timeout_s
        self._parser = AnswerParser()

    async def greeting(self) -> Answer:
        """The server's first line."""
        return await self._answer("the greeting")

    async def ask(self, line: str, *, show: str | None = None, multiline: bool = False) -> Answer:
        """Say a command and wait for its answer; the transcript shows `show` where the line holds a credential."""
        command = _name(show or line)
        if self.broken:
            raise ProtocolError(f"{command}: the connection to {self.host} was given up before")
        # An answer to nothing would be taken for the one to this command: a late +OK for a deletion.
        self._nothing_unasked(ProtocolError, "without being asked")
        self.stream.write(wire_bytes(f"{line}\r\n"), show or line)
        await self._drained(command)
        return await self._answer(command, multiline=multiline)

    async def must(self, line: str, *, multiline: bool = False) -> Answer:
        """A command that must succeed: raises Refused for -ERR."""
        answer = await self.ask(line, multiline=multiline)
        if not answer.ok:
            raise Refused(f"{self.host} refused {_name(line)}", reply=self.said(answer))
        return answer

    async def start_tls(self) -> None:
        """The handshake after the server's +OK to STLS; raises TlsFailed."""
        self._nothing_unasked(TlsFailed, "in plain text behind its answer to STLS; somebody may have injected it")
        self.broken = True
        async with within(self.network.clock, self._step_timeout_s, f"TLS handshake with {self.host}"):
            await self.stream.start_tls()
        self.broken = False

    async def close(self) -> None:
        """Drop the connection."""
        self.broken = True
        self.stream.abort()
        await self.stream.close()

    def said(self, answer: Answer) -> str:
        """The status line as it may be shown."""
        return self._masked(f"{answer.status.value} {answer.text}".strip())

    async def _answer(self, step: str, *, multiline: bool = False) -> Answer:
        transcript = self.stream.transcript
        self.broken = True
        try:
            async with within(self.network.clock, self._step_timeout_s, f"{step} at {self.host}"):
                while (answer := self._parser.take(multiline=multiline)) is None:
                    chunk = await self.stream.read()
                    if not chunk.data:
                        raise self._closed(step)
                    self._parser.feed(chunk.data)
        except Malformed as malformed:
            transcript.received(shown(self._parser.held))
            raise ProtocolError(f"{self.host} answered {step} with {self._masked(str(malformed))}") from malformed
        self.broken = False
        transcript.received(f"{answer.status.value} {answer.text}")
        if answer.body:
            transcript.note(f"{len(answer.body)} bytes follow")  # not shown: they may be a stranger's mail
        return answer

    async def _drained(self, step: str) -> None:
        self.broken = True
        async with within(self.network.clock, self._step_timeout_s, f"{step} at {self.host}"):
            await self.stream.drain()
        self.broken = False

    def _nothing_unasked(self, error: type[TripError], how: str) -> None:
        held = self._parser.held
        if held or self.stream.pending:
            self.broken = True
            self.stream.transcript.received(shown(held))
            raise error(f"{self.host} sent something {how}", reply=self._masked(shown(held)))

    def _closed(self, step: str) -> TripError:
        held = self._masked(shown(self._parser.held))
        self.stream.transcript.received(held)
        if step == "the greeting" and not held:
            return closed_at_once(self.host)
        return ProtocolError(f"{self.host} closed the connection at {step}", reply=held)

    def _masked(self, text: str) -> str:
        return self.network.masker.mask(text)


def _name(line: str) -> str:
    """A command for a sentence, without what may be a credential."""
    word = line.partition(" ")[0]
    return line if word in _WITH_NUMBER else word if word.isalpha() else "the login"
