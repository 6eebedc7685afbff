"""Values that nobody may see, and the mask that hides them in every encoding in which they travel."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

MASK = "***"
# A shorter value is hidden only where it stands alone: masking every "a" would make a report unreadable
# and show by its gaps what the secret was.
SHORTEST_ANYWHERE = 4


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

    Encodings: as is, percent-encoded, backslash-escaped (IMAP quoted strings, JSON), and base64 at each of the
    three alignments, which covers AUTH PLAIN, AUTH LOGIN and XOAUTH2 whatever stands before the secret.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret) -> None:
        """Hide this one too, from now on."""
        forms = _forms(secret.reveal())
        if not forms <= self._forms:
            self._forms |= forms
            # The longest first, or a part would be replaced and the rest left standing.
            self._pattern = re.compile("|".join(_pattern(form) for form in sorted(self._forms, key=_longest_first)))

    def mask(self, text: str) -> str:
        """The text with each secret replaced."""
        return self._pattern.sub(MASK, text) if self._pattern else text


def _longest_first(form: str) -> tuple[int, str]:
    return -len(form), form


def _pattern(form: str) -> str:
    escaped = re.escape(form)
    return escaped if len(form) >= SHORTEST_ANYWHERE else rf"(?<![^\s\"'=:]){escaped}(?![^\s\"'@])"


def _forms(value: str) -> set[str]:
    if not value:
        return set()
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    ascii_escaped = value.encode("unicode_escape").decode("ascii")
    forms = {value, escaped, ascii_escaped, repr(value)[1:-1], quote(value, safe=""), quote(value)}
    raw = value.encode()
    if len(raw) >= SHORTEST_ANYWHERE:
        forms |= {_base64_core(raw, shift) for shift in range(3)}
    return {form for form in forms if form}


def _base64_core(raw: bytes, shift: int) -> str:
    """The characters of base64 that depend on `raw` alone when `shift` bytes stand before it in its triplet."""
    encoded = base64.b64encode(b"\0" * shift + raw).decode("ascii")
    first = (0, 2, 3)[shift]
    whole = (shift + len(raw)) * 8 // 6
    return encoded[first:whole]
