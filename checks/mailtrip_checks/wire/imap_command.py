"""IMAP's commands, made into bytes without I/O: strings, literals, sets of UIDs (RFC 3501 §4, §9; RFC 7888)."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

LONGEST_SET = 7_000  # bytes; RFC 7162 §4 asks for lines below 8192
_LONGEST_QUOTED = 1_000  # bytes
_QUOTABLE = re.compile(rb"[ -~]*")


@dataclass(frozen=True, slots=True)
class Literal:
    """A string that travels behind its length; any bytes but NUL."""

    octets: bytes


Part = bytes | Literal


def astring(value: bytes) -> Part:
    """A string as the argument of a command: quoted where it can be, else a literal; raises ValueError for a NUL."""
    if b"\0" in value:
        raise ValueError("IMAP cannot carry a NUL")
    if len(value) > _LONGEST_QUOTED or not _QUOTABLE.fullmatch(value):
        return Literal(value)
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def encode(tag: str, parts: Iterable[Part], capabilities: Collection[str]) -> list[bytes]:
    """The command in pieces, of which each but the first waits for the server's `+`.

    With LITERAL+, and for short ones with LITERAL-, literals need no `+`.
    """
    longest_unasked = -1
    if "LITERAL+" in capabilities:
        longest_unasked = 1 << 62
    elif "LITERAL-" in capabilities:
        longest_unasked = 4096
    pieces: list[bytes] = []
    line = bytearray(tag.encode("ascii"))
    for part in parts:
        line += b" "
        if isinstance(part, bytes):
            line += part
            continue
        size_bytes = len(part.octets)
        if size_bytes <= longest_unasked:
            line += b"{%d+}\r\n" % size_bytes
        else:
            pieces.append(bytes(line) + b"{%d}\r\n" % size_bytes)
            line.clear()
        line += part.octets
    return [*pieces, bytes(line) + b"\r\n"]


def uid_sets(uids: Iterable[int]) -> Iterator[str]:
    """The UIDs as sequence sets, neighbours joined into ranges, each set short enough for one command."""
    texts = [str(first) if first == last else f"{first}:{last}" for first, last in _ranges(sorted(set(uids)))]
    batch: list[str] = []
    length = 0
    for text in texts:
        if batch and length + len(text) + 1 > LONGEST_SET:
            yield ",".join(batch)
            batch, length = [], 0
        batch.append(text)
        length += len(text) + 1
    if batch:
        yield ",".join(batch)


def _ranges(uids: list[int]) -> Iterator[tuple[int, int]]:
    if not uids:
        return
    first = last = uids[0]
    for uid in uids[1:]:
        if uid != last + 1:
            yield first, last
            first = uid
        last = uid
    yield first, last
