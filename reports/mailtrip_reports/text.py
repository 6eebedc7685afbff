"""Text for people: what came from the net or from YAML made harmless, and lengths written in one way."""

import re

# Control characters, surrogates, what XML 1.0 §2.2 forbids, line breaks that only some programs see, and the marks
# that turn the direction of writing: none may steer a terminal, break a line or make a text read as another.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_BREAKS = re.compile(r"\s*\n\s*")


def visible(text: str) -> str:
    r"""The text with each character that cannot be seen written out, as `\x1b` or `\u202e`; keeps \n and \t."""
    return text if text.isprintable() else _UNSEEN.sub(_written_out, text.replace("\r\n", "\n"))


def _written_out(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # a byte that was no character (PEP 383)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


def one_line(text: str) -> str:
    """The text on one line."""
    text = text.strip()
    return text if text.isprintable() else _BREAKS.sub(" ", text).replace("\t", " ")


def shortened(text: str, at_most: int) -> str:
    """The text, or its start and a remark on how much is missing, in about `at_most` characters."""
    if len(text) <= at_most:
        return text
    return f"{text[:at_most]}… ({len(text) - at_most:,} more characters)"


def seconds(length_s: float) -> str:
    """As columns want it: always in seconds, to the millisecond."""
    return f"{length_s:.3f} s"


def brief_length(length_s: float) -> str:
    """As a label wants it: three digits, in the unit that fits."""
    if abs(length_s) < 0.0095:
        return f"{length_s * 1000:.1f} ms"
    if abs(length_s) < 0.9995:
        return f"{length_s * 1000:.0f} ms"
    return f"{length_s:.2f} s" if abs(length_s) < 99.95 else f"{length_s:.0f} s"
