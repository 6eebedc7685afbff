"""POP3 answers without I/O (RFC 1939 §3, RFC 2449, RFC 5034).

An answer is one status line, `+OK text` or `-ERR text`, or `+ text` where the server wants more of an AUTH dialogue.
After the `+OK` to some commands (CAPA, UIDL, TOP, RETR) a body follows: lines up to one that holds a single dot; a
dot is put before every line of the body that begins with one. Nothing on the wire says which kind it is, so whoever
takes an answer says what was asked for. Lines end in CRLF; a bare LF is taken too, because servers send it.
"""

from dataclasses import dataclass, field
from enum import Enum

LONGEST_LINE_BYTES = 1024 * 1024
LARGEST_BODY_BYTES = 128 * 1024 * 1024


class Malformed(ValueError):
    """The server sent what is no POP3 answer."""


class Status(Enum):
    """How a status line begins."""

    OK = "+OK"
    ERR = "-ERR"
    MORE = "+"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer: `text` of the status line, and the body without its dots, line ends as they came."""

    status: Status
    text: str
    body: bytes = field(default=b"", repr=False)

    @property
    def ok(self) -> bool:
        return self.status is Status.OK


class AnswerParser:
    """Cuts what comes in, in whatever pieces, into answers."""

    def __init__(self, longest_line: int = LONGEST_LINE_BYTES, largest_body: int = LARGEST_BODY_BYTES) -> None:
        self._longest_line = longest_line
        self._largest_body = largest_body
        self._held = bytearray()
        self._searched = 0
        self._status: Answer | None = None
        self._body = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what came in."""
        self._held += data

    @property
    def held(self) -> bytes:
        """What came in and belongs to no answer taken so far; the start of it, for a message to a person."""
        return bytes(self._held[:200])

    def take(self, *, multiline: bool) -> Answer | None:
        """The next answer, or None until more was fed; `multiline` where `+OK` has a body. Raises Malformed."""
        if self._status is None:
            line = self._line()
            if line is None:
                return None
            self._status = _status(line)
        status = self._status
        if multiline and status.ok and not self._body_is_complete():
            return None
        self._status = None
        body, self._body = bytes(self._body), bytearray()
        return Answer(status.status, status.text, body)

    def _body_is_complete(self) -> bool:
        while (line := self._line()) is not None:
            if line in (b".\r\n", b".\n"):
                return True
            self._body += line[1:] if line.startswith(b".") else line
            if len(self._body) > self._largest_body:
                raise Malformed(f"an answer of more than {self._largest_body} bytes")
        return False

    def _line(self) -> bytes | None:
        end = self._held.find(b"\n", self._searched) + 1
        if (end or len(self._held)) > self._longest_line:
            raise Malformed(f"a line of more than {self._longest_line} bytes")
        if not end:
            self._searched = len(self._held)
            return None
        line = bytes(self._held[:end])
        del self._held[:end]
        self._searched = 0
        return line


def _status(line: bytes) -> Answer:
    word, _, text = line.rstrip(b"\r\n").partition(b" ")
    try:
        status = Status(word.decode("ascii").upper())
    except ValueError:
        raise Malformed(f"{shown(line)!r}, which is neither +OK nor -ERR") from None
    return Answer(status, shown(text))


def shown(data: bytes) -> str:
    """Bytes of the server as text; what is no UTF-8 stands as an escape."""
    return data[:500].decode("utf-8", "backslashreplace").strip()
