"""IMAP's answers, taken from bytes without I/O (RFC 3501 §7 and §9, RFC 9051 §7).

Bytes in, responses out, whatever the pieces in which they come. A response is one line, or several that literals hold
together: a line that ends in `{n}` goes on behind the n bytes that follow it. Only server data carries literals; the
text of a status response may end in `{5}` and mean nothing by it.

The parser never raises: what is no IMAP becomes a `Garbled`, and nothing comes after it.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

LONGEST_LITERAL = 128 * 1024 * 1024  # bytes, all literals of one response together
LONGEST_LINE = 8 * 1024 * 1024  # bytes, without literals; a SEARCH that lists a million UIDs has about as many
DEEPEST_LIST = 50

# Longer than the line that a transcript keeps: it masks first and cuts then, so no half of a secret can remain.
_SHOWN_LINE = 8_000

# An atom, number or string as bytes, a list as a tuple, NIL as None.
Value: TypeAlias = "bytes | tuple[Value, ...] | None"


class Condition(StrEnum):
    """What a status response says (RFC 3501 §7.1)."""

    OK = "OK"
    NO = "NO"
    BAD = "BAD"
    BYE = "BYE"
    PREAUTH = "PREAUTH"


@dataclass(frozen=True, slots=True)
class Status:
    """`tag` is None for an untagged one; `code` is in upper case, empty where the server gave none."""

    tag: str | None
    condition: Condition
    code: str
    arguments: str
    text: str
    shown: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Data:
    """Untagged server data: `* [number] NAME rest`, the name in upper case.

    `rest` alternates text and literals, and begins and ends with text.
    """

    number: int | None
    name: str
    rest: tuple[bytes, ...] = field(repr=False)
    shown: str
    at_s: float

    def words(self) -> list[str]:
        """The rest as words, for data without strings and lists: CAPABILITY, SEARCH."""
        return self.rest[0].decode("utf-8", "backslashreplace").split()

    def values(self) -> tuple[Value, ...]:
        """The rest as values; raises ValueError where brackets or quotes do not match."""
        return _values(self.rest)


@dataclass(frozen=True, slots=True)
class Continuation:
    """`+`: the server waits for more of the command."""

    text: str
    shown: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Garbled:
    """The server sent something that is no IMAP; `reason` says what it did ("sent …"), for a sentence."""

    reason: str
    shown: str
    at_s: float


Response: TypeAlias = Status | Data | Continuation | Garbled

_STATUS = re.compile(
    rb"(?P<tag>[^\s+(){%\"\\]+) +(?P<condition>OK|NO|BAD|BYE|PREAUTH)(?: +(?P<text>.*))?", re.IGNORECASE | re.DOTALL
)
_DATA = re.compile(rb"\* +(?:(?P<number>[0-9]{1,20}) +)?(?P<name>[^\s()\[\]{\"]+)(?P<rest>.*)", re.DOTALL)
_CONTINUATION = re.compile(rb"\+(?: (?P<text>.*))?", re.DOTALL)
# A code ends at the first `]` that a space or the line's end follows: flags in PERMANENTFLAGS may hold a `]`.
_CODE = re.compile(r"\[(?P<code>[^\s\]]+)(?: (?P<arguments>.*?))?\](?= |$) *(?P<text>.*)", re.DOTALL)
_LITERAL = re.compile(rb"~?\{([0-9]+)\+?\}\Z")
_TOKEN = re.compile(
    rb"""\s* (?: (?P<bracket>[()])
      | "(?P<quoted> [^"\\]* (?:\\.[^"\\]*)* )"
      | (?P<atom> BODY \[ (?: [^]"] | "[^"]{0,99}+" ){0,300}+ \] [^\s()]* | [^\s()"]+ ) )""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9]{1,20}")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


class Parser:
    """Feed it what came; it gives back the responses that are complete."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._parts: list[bytes] = []
        self._literal = bytearray()
        self._missing_bytes: int | None = None  # of the literal that is being read
        self._text_bytes = 0
        self._literal_bytes = 0
        self._dead = False

    @property
    def unfinished(self) -> str:
        """The beginning of a response that is not complete; empty between responses."""
        begun = self._parts[0] if self._parts else bytes(self._line[:_SHOWN_LINE])
        return _text(begun[:_SHOWN_LINE])

    def feed(self, data: bytes, at_s: float) -> list[Response]:
        """Take bytes that came at `at_s`; each response bears the instant of the bytes that completed it."""
        responses: list[Response] = []
        position = 0
        while position < len(data) and not self._dead:
            if self._missing_bytes is not None:
                position = self._take_literal(data, position, self._missing_bytes)
                continue
            end = data.find(b"\n", position)
            piece = data[position:] if end < 0 else data[position:end]
            position = len(data) if end < 0 else end + 1
            self._line += piece
            self._text_bytes += len(piece)
            if self._text_bytes > LONGEST_LINE:
                responses.append(self._garbled(f"sent a line of more than {LONGEST_LINE} bytes", at_s))
            elif end >= 0:
                responses += self._end_line(at_s)
        return responses

    def _take_literal(self, data: bytes, position: int, missing_bytes: int) -> int:
        piece = data[position : position + missing_bytes]
        self._literal += piece
        self._missing_bytes = missing_bytes - len(piece)
        if not self._missing_bytes:
            self._parts.append(bytes(self._literal))
            self._literal.clear()
            self._missing_bytes = None
        return position + len(piece)

    def _end_line(self, at_s: float) -> list[Response]:
        line = bytes(self._line).removesuffix(b"\r")
        self._line.clear()
        literal = _LITERAL.search(line) if line.endswith(b"}") and self._is_data(line) else None
        if literal is None:
            parts = (*self._parts, line)
            self._parts = []
            self._text_bytes = self._literal_bytes = 0
            response = _response(parts, at_s)
            self._dead = isinstance(response, Garbled)
            return [response] if response is not None else []
        digits = literal[1].lstrip(b"0") or b"0"
        self._literal_bytes += int(digits) if len(digits) <= 12 else LONGEST_LITERAL + 1
        if self._literal_bytes > LONGEST_LITERAL:
            return [self._garbled(f"announced more than {LONGEST_LITERAL} bytes in one answer", at_s)]
        self._parts.append(line[: literal.start()])
        self._missing_bytes = int(digits)
        return []

    def _is_data(self, line: bytes) -> bool:
        return bool(self._parts) or (line.startswith(b"* ") and not _STATUS.match(line))

    def _garbled(self, reason: str, at_s: float) -> Garbled:
        self._dead = True
        return Garbled(reason, "", at_s)


def _response(parts: tuple[bytes, ...], at_s: float) -> Response | None:
    """The response in these parts; None for an empty line, which some servers send and none means."""
    line = parts[0]
    if status := _STATUS.fullmatch(line):
        return _status(status, at_s)
    if line.startswith(b"*") and (data := _DATA.fullmatch(line)):
        number = int(data["number"]) if data["number"] else None
        return Data(number, _text(data["name"]).upper(), (data["rest"], *parts[1:]), _shown(parts), at_s)
    if continuation := _CONTINUATION.fullmatch(line):
        return Continuation(_text(continuation["text"] or b""), _shown(parts), at_s)
    if not line.strip():
        return None
    return Garbled("sent what is no IMAP", _shown(parts), at_s)


def _status(status: re.Match[bytes], at_s: float) -> Status:
    tag = _text(status["tag"])
    text = _text(status["text"] or b"")
    code = _CODE.fullmatch(text) if text.startswith("[") else None
    return Status(
        None if tag == "*" else tag,
        Condition(_text(status["condition"]).upper()),
        code["code"].upper() if code else "",
        code["arguments"] or "" if code else "",
        code["text"] if code else text,
        _shown((status[0],)),
        at_s,
    )


def _text(wire: bytes) -> str:
    return wire.decode("utf-8", "backslashreplace")


def _shown(parts: tuple[bytes, ...]) -> str:
    """How a transcript shows a response: literals by their size alone, for they may be of a stranger's mail."""
    shown = [_text(parts[0][:_SHOWN_LINE])]
    for literal, after in zip(parts[1::2], parts[2::2], strict=False):
        shown.append(f"{{{len(literal)} bytes}}")
        shown.append(_text(after[:_SHOWN_LINE]))
    return "".join(shown)


def _values(parts: tuple[bytes, ...]) -> tuple[Value, ...]:
    lists: list[list[Value]] = [[]]
    for index, part in enumerate(parts):
        if index % 2:
            lists[-1].append(part)
        else:
            _take_tokens(part.rstrip(), lists)
    if len(lists) != 1:
        raise ValueError("a list that does not end")
    return tuple(lists[0])


def _take_tokens(text: bytes, lists: list[list[Value]]) -> None:
    """Read the values of a text into the innermost of the open lists."""
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError("a quoted string that does not end")
        position = token.end()
        if token["atom"] is not None:
            lists[-1].append(None if token["atom"].upper() == b"NIL" else token["atom"])
        elif token["quoted"] is not None:
            lists[-1].append(_ESCAPE.sub(rb"\1", token["quoted"]))
        elif token["bracket"] == b"(":
            if len(lists) > DEEPEST_LIST:
                raise ValueError(f"lists more than {DEEPEST_LIST} deep")
            lists.append([])
        elif len(lists) == 1:
            raise ValueError("a list that ends before it begins")
        else:
            ended = tuple(lists.pop())
            lists[-1].append(ended)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a FETCH response told of a mail; None for what it left out. A header or message that is NIL is empty."""

    uid: int | None
    header: bytes | None = field(repr=False)
    message: bytes | None = field(repr=False)
    number: int = field(default=0, compare=False)
    """The mail's sequence number."""


def as_number(text: str) -> int | None:
    """The number that the text is; None where it is none, or longer than any of IMAP's."""
    return int(text) if _NUMBER.fullmatch(text) else None


def fetched(data: Data) -> Fetched:
    """Read `* n FETCH (…)`, its items in any order; raises ValueError where it is none."""
    values = data.values()
    if len(values) != 1 or not isinstance(values[0], tuple):
        raise ValueError("FETCH without its list of items")
    uid: int | None = None
    header: bytes | None = None
    message: bytes | None = None
    for key, value in zip(values[0][0::2], values[0][1::2], strict=False):
        name = key.upper() if isinstance(key, bytes) else b""
        content = value if isinstance(value, bytes) else b""
        if name == b"UID":
            uid = as_number(_text(content))
        elif name.startswith(b"BODY[HEADER"):
            header = content
        elif name == b"BODY[]":
            message = content
    return Fetched(uid, header, message, data.number or 0)
