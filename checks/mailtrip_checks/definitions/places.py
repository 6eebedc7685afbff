"""A server written as a URL or by a reserved name, as the mapping that says the same."""

import contextlib
import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from mailtrip_checks.definitions.mistakes import did_you_mean, one_of
from mailtrip_checks.definitions.references import pieces
from mailtrip_checks.definitions.tree import REFERENCE, Map, Text, Tree

EMBEDDED: Final = "embedded"
MX: Final = "mx"
SENDMAIL: Final = "sendmail"
_IN_PROCESS: Final = ("smtp", "imap", "pop3", SENDMAIL)
RESERVED: Final = frozenset({EMBEDDED, MX, SENDMAIL})
DECIDED_BY_PROVIDER: Final = ("host", "port", "security")


class _Scheme(NamedTuple):
    protocol: str
    security: str | None = None
    port: str | None = None


_SCHEMES: Final = {
    "smtp": _Scheme("smtp"),
    "smtps": _Scheme("smtp", "tls"),
    "submission": _Scheme("smtp", port="587"),
    "imap": _Scheme("imap"),
    "imaps": _Scheme("imap", "tls"),
    "pop3": _Scheme("pop3"),
    "pop3s": _Scheme("pop3", "tls"),
}
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_BEHIND_SCHEME: Final = re.compile(
    r"(?:(?P<user>[^:/?#]*)(?::(?P<password>[^/?#]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.%\w-]*\]|[^:/?#@\[\]]*)(?::(?P<port>[^:/?#@]*))?/?"
)
_NOT_A_URL_PART: Final = (
    "is no server's URL; write smtp://user:password@host:port, and in user and password %40 for @, %2F for /, %3A for :"
)
# References stand as one private character each while a URL is cut into its parts.
_FIRST_STAND_IN: Final = 0xF0000


def is_url(text: str) -> bool:
    """Whether it begins like a URL."""
    return _URL.match(text) is not None


def as_mapping(place: Text) -> Map | None:
    """The keys that a URL, `embedded…`, `mx` or `sendmail` stands for; None for anything else, such as a server's name.

    A key that the URL decides by leaving it out is there with None. Raises ValueError, which shows nothing of a URL.
    User and password are percent-decoded, except what comes through a `${…}`.
    """
    if place == EMBEDDED or place.startswith(f"{EMBEDDED}:"):
        return _embedded(place)
    if place == MX:
        return Map(place.at, (("protocol", Text("smtp", place.at)), ("host", place)))
    if place == SENDMAIL:
        return Map(place.at, (("protocol", place),))
    match = _URL.match(place)
    if match is None:
        return None
    scheme_name = match[1].lower()
    if scheme_name not in _SCHEMES:
        near = did_you_mean(scheme_name, _SCHEMES) or f"; write {one_of(_SCHEMES)}"
        raise ValueError(f"has a scheme that is not known{near}")
    references: list[str] = []
    parts = _BEHIND_SCHEME.fullmatch(_without_references(place, match[2], references))
    if parts is None:
        raise ValueError(_NOT_A_URL_PART)
    port = parts["port"]
    if port and not references and not port.isdecimal():
        raise ValueError(_NOT_A_URL_PART)
    scheme = _SCHEMES[scheme_name]
    found: dict[str, Tree] = {
        "protocol": Text(scheme.protocol, place.at, ""),
        "host": _part(place, parts["host"].strip("[]"), references),
        "port": _part(place, port or scheme.port or "", references) if port or scheme.port else None,
        "security": Text(scheme.security, place.at, "") if scheme.security else None,
        "provider": None,
    }
    if parts["user"]:
        found["user"] = _part(place, _decoded(parts["user"]), references)
    if parts["password"] is not None:
        found["password"] = _part(place, _decoded(parts["password"]), references)
    return Map(place.at, found.items())


def cut(value: Tree) -> Tree:
    """A URL as its mapping, and a mapping with a provider with all that the provider decides.

    All else is as it is, and so is a URL with a mistake, which is told where it is used.
    """
    if isinstance(value, Map) and value.get("provider") is not None:
        decided = (key for key in ("protocol", *DECIDED_BY_PROVIDER) if key not in value)
        return Map(value.at, [*value.items(), *((key, None) for key in decided)])
    if isinstance(value, Text) and is_url(value):
        with contextlib.suppress(ValueError):
            return as_mapping(value)
    return value


def _embedded(place: Text) -> Map:
    protocol = place.partition(":")[2]
    if ":" in place and protocol not in _IN_PROCESS:
        raise ValueError(
            f"is no in-process server; write {one_of([EMBEDDED, *(f'{EMBEDDED}:{p}' for p in _IN_PROCESS)])}"
        )
    keys = ("protocol", Text(protocol, place.at) if protocol else None), ("host", Text(EMBEDDED, place.at))
    return Map(place.at, (*keys, ("port", None), ("security", None)))


def _without_references(place: Text, rest: str, references: list[str]) -> str:
    if not place.literal or REFERENCE not in rest:
        return rest
    out = ""
    for piece, is_reference in pieces(rest):
        if is_reference:
            references.append(piece)
        out += chr(_FIRST_STAND_IN + len(references) - 1) if is_reference else piece
    return out


def _decoded(part: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", part):
        raise ValueError("has a bare % in user or password; write it as %25")
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has user or password percent-encoded in something else than UTF-8; use UTF-8") from None


def _part(place: Text, part: str, references: list[str]) -> Text:
    """A part with its references back in it, and with nothing that may be shown."""
    for index, reference in enumerate(references):
        part = part.replace(chr(_FIRST_STAND_IN + index), reference)
    return Text(part, place.at, "")
