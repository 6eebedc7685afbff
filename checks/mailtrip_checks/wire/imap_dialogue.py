"""Commands and answers on one IMAP connection: tags, deadlines, and what the server says unasked."""

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mailtrip_checks.errors import Busy, ProtocolError, Refused, TlsFailed, TripError, closed_at_once
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.imap_command import Part, encode
from mailtrip_checks.wire.imap_parser import Condition, Continuation, Data, Garbled, Parser, Response, Status, as_number
from mailtrip_checks.wire.login import too_many
from mailtrip_checks.wire.stream import Stream

_LOGOUT_S = 5.0
_EXCERPT = 200
_MOST_RISES = 1_000  # of `exists` that are remembered; a mail that came before them counts as told by the first
_LOG_ADVICE = "The server ended the session: its text or its log says why."


class CommandRefused(Refused):
    """The server answered a command with NO or BAD."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended, and all that came before that, unasked things among it."""

    final: Status
    untagged: tuple[Data | Status, ...]

    @property
    def ok(self) -> bool:
        return self.final.condition is Condition.OK

    def data(self, name: str) -> list[Data]:
        """The server data of this name."""
        return [response for response in self.untagged if isinstance(response, Data) and response.name == name]

    def number(self, code: str) -> int | None:
        """The number of a response code, wherever in the answer it stands."""
        for response in (*self.untagged, self.final):
            if isinstance(response, Status) and response.code == code:
                return as_number(response.arguments)
        return None


class Dialogue:
    """One command at a time. A step that fails or is cancelled leaves half an answer on the wire: `broken` is then
    true, and all that can be done is to close.
    """

    def __init__(self, stream: Stream, network: Network, step_timeout_s: float) -> None:
        self.stream = stream
        self.network = network
        self.broken = False
        self.capabilities: frozenset[str] | None = None
        self.exists = 0
        self.exists_at_s = 0.0
        self.rises = 0
        self._told: deque[tuple[int, float]] = deque(maxlen=_MOST_RISES)
        self.idle_refused = False
        self.clock = network.clock
        self._masker = network.masker
        self._step_timeout_s = step_timeout_s
        self._parser = Parser()
        self._responses: deque[Response] = deque()
        self._commands = 0
        self._leaving = False
        self._closed_by_server = False

    def masked(self, text: str) -> str:
        """Text of the server as it may be shown."""
        return self._masker.mask(text)

    def _excerpt(self, text: str) -> str:
        # Masked before it is cut: half a secret would not be recognized.
        return repr(self.masked(text)[:_EXCERPT])

    @asynccontextmanager
    async def unbounded(self, doing: str) -> AsyncGenerator[None, None]:
        """Hold the dialogue broken until the body ends well."""
        self._break(doing)
        yield
        self.broken = False

    @asynccontextmanager
    async def step(self, doing: str) -> AsyncGenerator[None, None]:
        """The same, within the step's timeout; `doing` completes "the server closed the connection while …"."""
        self._break(doing)
        async with within(self.clock, self._step_timeout_s, lambda: f"{doing} at {self.stream.host}"):
            yield
        self.broken = False

    def _break(self, doing: str) -> None:
        if self.broken:
            raise ProtocolError(f"{doing}: the connection to {self.stream.host} was given up before")
        self.broken = True

    # Reading.

    async def greeting(self) -> Status:
        """The server's first line: OK or PREAUTH.

        Raises Refused for BYE, ProtocolError for what is no IMAP, Unreachable where the server closed at once.
        """
        host = self.stream.host
        async with self.step("waiting for the greeting"):
            response = await self._receive()
        match response:
            case None if self._parser.unfinished:
                said = self._excerpt(self._parser.unfinished)
                raise ProtocolError(f"{host} closed the connection in the middle of its greeting: {said}")
            case None:
                raise closed_at_once(host)
            case Status(tag=None, condition=Condition.OK | Condition.PREAUTH):
                return response
            case Status(tag=None, condition=Condition.BYE):
                text = self.masked(response.text)
                refused = Busy if response.code == "LIMIT" or too_many(text) else Refused
                raise refused(f"{host} refuses the connection: {text}", reply=text)
            case Garbled(shown=""):
                raise ProtocolError(f"{host} {response.reason} in place of a greeting")
            case _:
                raise ProtocolError(f"{host} sent no IMAP greeting: {self._excerpt(response.shown)}")

    async def next(self, doing: str) -> Status | Data | Continuation:
        """The next response; raises ProtocolError where none can come any more."""
        return self._good(await self._receive(), doing)

    def ready(self, doing: str) -> Status | Data | Continuation | None:
        """The next response if it has come already; raises ProtocolError where none can come any more."""
        response = self._take()
        return None if response is None and not self._closed_by_server else self._good(response, doing)

    def _good(self, response: Response | None, doing: str) -> Status | Data | Continuation:
        match response:
            case None:
                raise self._closed(doing, "")
            case Garbled():
                said = f": {self._excerpt(response.shown)}" if response.shown else ""
                raise ProtocolError(f"{self.stream.host} {response.reason} while {doing}{said}")
            case Status(tag=None, condition=Condition.BYE) if not self._leaving:
                raise self._closed(doing, response.text)
            case _:
                return response

    async def _receive(self) -> Response | None:
        """The next response, noted; None once the server has closed."""
        while (response := self._take()) is None and not self._closed_by_server:
            await self.stream.arrives()
        return response

    def _take(self) -> Response | None:
        """The next response, noted, if it has come already."""
        while not self._responses:
            chunk = self.stream.read_nowait()
            if chunk is None or not chunk.data:
                self._closed_by_server = chunk is not None
                return None
            self._responses.extend(self._parser.feed(chunk.data, chunk.at_s))
        response = self._responses.popleft()
        self.stream.transcript.received(response.shown)
        self._note(response)
        return response

    def _note(self, response: Response) -> None:
        """Keep what may come at any time (RFC 3501 §5.2, §7): capabilities, and the number of mails."""
        match response:
            case Status(code="CAPABILITY"):
                self.capabilities = frozenset(response.arguments.upper().split())
            case Data(name="CAPABILITY"):
                self.capabilities = frozenset(word.upper() for word in response.words())
            case Data(number=int(number), name="EXISTS"):
                if number > self.exists:
                    self.rises += 1
                    self.exists_at_s = response.at_s
                    self._told.append((number, response.at_s))
                self.exists = number
            case Data(number=int(gone), name="EXPUNGE"):
                self.exists = max(self.exists - 1, 0)
                # What comes behind the one that is gone has moved up by one (RFC 3501 §7.4.1).
                moved = [(count - (count >= gone), at_s) for count, at_s in self._told]
                self._told = deque(moved, maxlen=_MOST_RISES)
            case _:
                pass

    def folder_left(self) -> None:
        """What was told of a folder holds no longer."""
        self.exists = 0
        self._told.clear()

    def told_at_s(self, number: int) -> float:
        """When the bytes came that told of the mail with this sequence number."""
        return next((at_s for count, at_s in self._told if count >= number), self.exists_at_s)

    def _closed(self, doing: str, text: str) -> ProtocolError | Busy:
        reply = self.masked(text)
        said = f": {reply}" if reply else ""
        what = f"{self.stream.host} closed the connection while {doing}{said}"
        if too_many(text):
            return Busy(what, reply=reply, of_user=True)
        return ProtocolError(what, reply=reply, advice=_LOG_ADVICE)

    # Commands.

    async def command(self, doing: str, *parts: Part, shown: str | None = None) -> Answer:
        """Say a command and wait for its end; the transcript shows `shown` instead where it holds a credential."""
        tag = self.new_tag()
        pieces = encode(tag, parts, self.capabilities or ())
        return await self.exchange(doing, tag, pieces, shown)

    async def ask(self, doing: str, *parts: Part) -> Answer:
        """A command that must succeed: raises CommandRefused for NO and BAD."""
        answer = await self.command(doing, *parts)
        if not answer.ok:
            raise self.refusal(doing, answer.final)
        return answer

    def refusal(self, doing: str, final: Status) -> CommandRefused:
        text = self.masked(final.text)
        return CommandRefused(f"{self.stream.host} answered {final.condition} when {doing}: {text}", reply=text)

    async def exchange(self, doing: str, tag: str, pieces: Sequence[bytes], shown: str | None) -> Answer:
        """Send the pieces, each but the first when the server asks for it, and wait for the end of the command."""
        async with self.step(doing):
            self.send(pieces[0], None if shown is None else f"{tag} {shown}")
            await self.stream.drain()
            return await self.finish(doing, tag, pieces[1:], None if shown is None else "***")

    async def finish(self, doing: str, tag: str, pieces: Sequence[bytes] = (), shown: str | None = None) -> Answer:
        """Wait for the end of the command with this tag, giving a piece for each `+`; within a `step`."""
        waiting = deque(pieces)
        untagged: list[Data | Status] = []
        while True:
            response = await self.next(doing)
            match response:
                case Continuation() if waiting:
                    self.send(waiting.popleft(), shown)
                    await self.stream.drain()
                case Continuation():
                    pass
                case Status(tag=None) | Data():
                    untagged.append(response)
                case Status():
                    self.check_tag(doing, tag, response)
                    return Answer(response, tuple(untagged))

    def check_tag(self, doing: str, tag: str | None, status: Status) -> None:
        """Raises ProtocolError where a command is answered that we did not give."""
        if status.tag != tag:
            what = f"{self.stream.host} answered a command {status.tag!r} that was not given, while {doing}"
            raise ProtocolError(what)

    def new_tag(self) -> str:
        self._commands += 1
        return f"a{self._commands}"

    def send(self, data: bytes, shown: str | None = None) -> None:
        self.stream.write(data, shown)

    # The connection.

    async def start_tls(self) -> None:
        """The handshake after the server's OK; what it said in plain is forgotten (RFC 3501 §6.2.1)."""
        if self._responses or self._parser.unfinished:
            what = f"{self.stream.host} sent plaintext behind its answer to STARTTLS: somebody may have injected it"
            raise TlsFailed(what)
        async with self.step("the TLS handshake"):
            await self.stream.start_tls()
        self._parser = Parser()
        self.capabilities = None

    async def leave(self) -> None:
        """LOGOUT where the connection still works, then close; raises nothing but CancelledError."""
        try:
            if not self.broken:
                self._leaving = True
                async with within(self.clock, _LOGOUT_S, "logging out"):
                    await self.command("logging out", b"LOGOUT")
        except TripError:
            pass  # the session is over, whatever the server thinks of it
        finally:
            await self.close()

    async def close(self) -> None:
        """Drop the connection."""
        self.broken = True
        self.stream.abort()
        await self.stream.close()
