"""Values that nobody may see, and the mask that hides them in every encoding in which they travel."""

import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

MASK = "***"
# A shorter value is hidden only where it stands alone: masking every "a" would make a report unreadable
# and show by its gaps what the secret was.
SHORTEST_ANYWHERE = 4
_BASE64_CHARACTER = re.compile(r"[A-Za-z0-9+/]")
_BASE64_WORD = re.compile(r"[A-Za-z0-9+/]{2,}={0,2}")
_HEX = re.compile(r"%[0-9A-F]{2}")
# Left as they are by those who encode a password in a URL: nothing, the path's slash, RFC 3986's sub-delims.
_UNQUOTED = ("", "/", "!$&'()*+,;=", "!$&'()*+,;=:@/")
_MOST_REMEMBERED = 4096  # masked texts
_FEW = 64  # beginnings of secrets


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A text that shows itself only to `reveal()`; str, repr and f-strings give the mask."""

    _value: str

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__


class Masker:
    """Replaces every secret it knows, plain or encoded, by `***`.

    Encodings: as is; percent-encoded; backslash-escaped as in IMAP's quoted strings, JSON and repr, also one in the
    other; and base64, where the whole word goes that holds the secret, which covers AUTH PLAIN, AUTH LOGIN and XOAUTH2
    whatever stands before the secret. The cost does not grow with the number of secrets.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._by_start: defaultdict[str, set[str]] = defaultdict(set)
        self._base64_cores: set[str] = set()
        self._short: set[str] = set()
        self._alone: re.Pattern[str] | None = None
        self._known: set[str] = set()
        self._masked: dict[str, str] = {}
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret) -> None:
        """Hide this one too, from now on."""
        value = secret.reveal()
        if not value or value in self._known:
            return
        self._known.add(value)
        raw = _bytes(value)
        cores = {_base64_core(raw, shift) for shift in range(3)} if len(raw) >= SHORTEST_ANYWHERE else set[str]()
        self._base64_cores |= cores
        for form in _forms(value) | cores:
            if len(form) >= SHORTEST_ANYWHERE:
                self._by_start[form[:SHORTEST_ANYWHERE]].add(form)
            else:
                self._short.add(form)
        if self._short:
            shorts = "|".join(re.escape(form) for form in sorted(self._short, key=len, reverse=True))
            self._alone = re.compile(rf"(?<![^\s\"'=:(\[{{<,;])(?:{shorts})(?![^\s\"'@)\]}}>,;])")
        # Another one, not this one emptied: who masks in another thread just now may not know the secret yet.
        self._masked = {}

    def mask(self, text: str) -> str:
        """The text with each secret replaced. What servers say over and over is looked at once."""
        remembered = self._masked
        known = remembered.get(text)
        if known is None:
            if len(remembered) >= _MOST_REMEMBERED:
                remembered.clear()
            known = remembered[text] = self._mask(text)
        return known

    def _mask(self, text: str) -> str:
        if not self._may_hold(text):
            return text
        masked: list[str] = []
        end = 0
        for start, stop in _merged(self._spans(text)):
            masked += text[end:start], MASK
            end = stop
        return "".join((*masked, text[end:])) if end else text

    def _may_hold(self, text: str) -> bool:
        """With few secrets most texts are soon known to hold none."""
        few = self._alone is None and len(self._by_start) <= _FEW
        return not few or any(start in text for start in self._by_start)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        for start in range(len(text) - SHORTEST_ANYWHERE + 1):
            for form in self._by_start.get(text[start : start + SHORTEST_ANYWHERE], ()):
                if text.startswith(form, start):
                    yield start, start + len(form)
                    if form in self._base64_cores:
                        yield _base64_word(text, start)
        if self._alone:
            yield from (match.span() for match in self._alone.finditer(text))
            yield from (match.span() for match in _BASE64_WORD.finditer(text) if self._holds_short(match[0]))

    def _holds_short(self, word: str) -> bool:
        """Is the word base64 of a short secret, alone or as the last part of AUTH PLAIN's answer?"""
        try:
            plain = base64.b64decode(word, validate=True).decode()
        except ValueError:
            return False
        return plain.rpartition("\0")[2] in self._short


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The spans in order, those that overlap as one: of two secrets that do, no part may stay."""
    begin = stop = -1
    for start, end in sorted(spans):
        if start >= stop:
            if stop > begin:
                yield begin, stop
            begin = start
        stop = max(stop, end)
    if stop > begin:
        yield begin, stop


def _base64_word(text: str, place: int) -> tuple[int, int]:
    """The whole word at this place: the characters around a secret's own hold some of its bits."""
    start = place
    while start and _BASE64_CHARACTER.match(text, start - 1):
        start -= 1
    word = _BASE64_WORD.match(text, start)
    return word.span() if word else (place, place)


def _bytes(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that YAML let through
        return value.encode("utf-8", "surrogatepass")


def _forms(value: str) -> set[str]:
    raw = _bytes(value)
    percent = {quote(raw, safe=unquoted) for unquoted in _UNQUOTED} | {quote_plus(raw)}
    lower = {_HEX.sub(lambda found: found[0].lower(), form) for form in percent}
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return (
        percent | lower | _escaped(value) | _escaped(quoted) | {value, quoted, raw.decode("utf-8", "backslashreplace")}
    )


def _escaped(value: str) -> set[str]:
    """As JSON and repr write it within a longer text, whose quotation marks may be of either kind."""
    marks = "'\""
    shown = {repr(marks + value)[4:-1], ascii(marks + value)[4:-1], repr(marks.encode() + _bytes(value))[5:-1]}
    return {
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        *shown,
        *(form.replace("\\'", "'") for form in shown),
    }


def _base64_core(raw: bytes, shift: int) -> str:
    """The characters of base64 that depend on `raw` alone when `shift` bytes stand before it in its triplet."""
    encoded = base64.b64encode(b"\0" * shift + raw).decode("ascii")
    first = (0, 2, 3)[shift]
    whole = (shift + len(raw)) * 8 // 6
    return encoded[first:whole]
