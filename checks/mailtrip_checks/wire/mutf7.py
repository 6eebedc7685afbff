"""Modified UTF-7, in which IMAP4rev1 names its folders (RFC 3501 §5.1.3)."""

import base64
import re

_SHIFTED = re.compile("[^ -~]+")
_ENCODED = re.compile(rb"&([^-]*)-")


def encode(name: str) -> bytes:
    """The name of a folder as it travels; lone surrogates pass through."""
    return _SHIFTED.sub(lambda run: _shift(run[0]), name.replace("&", "&-")).encode("ascii")


def decode(wire: bytes) -> str:
    """The name of a folder as a person reads it; raises ValueError for what no `encode` writes."""
    plain: list[str] = []
    end = 0
    for shifted in _ENCODED.finditer(wire):
        plain += _direct(wire[end : shifted.start()]), _unshift(shifted[1]) if shifted[1] else "&"
        end = shifted.end()
    return "".join((*plain, _direct(wire[end:])))


def _shift(run: str) -> str:
    encoded = base64.b64encode(run.encode("utf-16-be", "surrogatepass"), altchars=b"+,")
    return f"&{encoded.rstrip(b'=').decode('ascii')}-"


def _unshift(encoded: bytes) -> str:
    padded = encoded.replace(b",", b"/") + b"=" * (-len(encoded) % 4)
    return base64.b64decode(padded, validate=True).decode("utf-16-be", "surrogatepass")


def _direct(wire: bytes) -> str:
    if b"&" in wire:
        raise ValueError(f"a shift that does not end: {wire!r}")
    return wire.decode("ascii")
