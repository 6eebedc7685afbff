"""What a scalar can be: each function takes what the file holds and gives the value.

All raise ValueError, whose text says what is wrong and what to write instead. A function for secrets shows nothing.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from mailtrip_checks.definitions.mistakes import did_you_mean, one_of
from mailtrip_checks.definitions.tree import Items, Map, Text, is_file
from mailtrip_checks.secrets import Secret

_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_LONGEST_S: Final = 30 * 24 * 3600.0
_SIZES: Final = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "KiB": 1024, "MiB": 1024**2}
_LARGEST_BYTES: Final = 1000**3
_SIZE: Final = re.compile(r"(\d{1,12})\s?([kKM]i?B|B)", re.ASCII)
_RATE: Final = re.compile(r"(\d{1,6}(?:\.\d+)?)/([smh])", re.ASCII)
_ADDRESS: Final = re.compile(
    r"""(?:[^\s<>()\[\]\\,;:@"\x00-\x1f\x7f]+|"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*")@[^\s<>()\\,;@"]+"""
)
_HOST: Final = re.compile(r"[^\s/@:\[\]?#%\\\x00-\x1f\x7f]+|[0-9a-fA-F:.]+(?:%[\w.-]+)?")
_FINGERPRINT: Final = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)
_TOKEN_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:]+\]|[^\s/@:?#\[\]\x00-\x1f\x7f]+)(?::\d{1,5})?(?:[/?][!-~]*)?",
    re.IGNORECASE | re.ASCII,
)
_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
_RESOLVER: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)|([0-9a-fA-F:]+))(?::(\d{1,5}))?", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_TAG: Final = re.compile(r"[a-z][a-z0-9-]*")
_SHOWN: Final = 60

Word = TypeVar("Word", bound=StrEnum)


def shown(text: Text) -> str:
    """The value as its author wrote it, in backquotes, or "it" for a part of a URL."""
    if not text.written:
        return "it"
    clean = _CONTROL.sub("�", text.written)
    return f"`{clean[:_SHOWN]}…`" if len(clean) > _SHOWN else f"`{clean}`"


def text(value: object) -> Text:
    """One scalar."""
    if isinstance(value, Text):
        return value
    kind = "null" if value is None else "a mapping" if isinstance(value, Map) else "a list"
    raise ValueError(f"is {kind}; write one value, in quotes if it holds any of `{{}}[],:#`")


def plain(value: object) -> str:
    """Any text, of any number of lines."""
    return str(text(value))


def line(value: object) -> str:
    """A text of one line, without control characters."""
    found = text(value)
    if _CONTROL.search(found):
        raise ValueError("holds a line break or control character; write one line")
    return str(found)


def filled_line(value: object) -> str:
    """A text of one line that is not empty."""
    found = line(value)
    if not found.strip():
        raise ValueError("is empty; write a value")
    return found


def reason(value: object) -> str:
    """Why a trip is skipped, or expected to fail."""
    found = filled_line(value)
    if found.lower() in {"true", "false", "yes", "no"}:
        raise ValueError(f"`{found}` tells nobody why; write the reason, or leave the key out")
    return found


def secret(value: object) -> Secret:
    """A password; nothing of it is ever shown."""
    found = text(value)
    if not found:
        raise ValueError("is empty; set the variable or file that it comes from")
    if any(character in found for character in "\0\r\n"):
        raise ValueError("holds a line break or NUL, which no login can carry; give one line")
    return Secret(str(found))


def boolean(value: object) -> bool:
    """true or false, as YAML 1.2 has them."""
    found = text(value)
    if found.lower() not in {"true", "false"}:
        raise ValueError(f"{shown(found)} is neither true nor false; write one of the two")
    return found.lower() == "true"


def duration_s(value: object) -> float:
    """`250ms`, `30s`, `2m30s`, `1h`: seconds, above zero."""
    found = text(value)
    if not _DURATION.fullmatch(found):
        unit = f"; write {found}s" if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", found, re.ASCII) and found.literal else ""
        raise ValueError(f"{shown(found)} is no duration{unit or '; write it as 250ms, 30s, 2m30s or 1h'}")
    length_s = sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION_PART.findall(found))
    if length_s < 0.001:
        raise ValueError(f"{shown(found)} would never wait; write 100ms or more")
    if length_s > _LONGEST_S:
        raise ValueError(f"{shown(found)} is longer than 30 days; write less")
    return length_s


def send_timeout_s(value: object) -> float:
    """The SMTP leg's limit: at most 900 seconds."""
    length_s = duration_s(value)
    if length_s > 900:
        raise ValueError(f"{shown(text(value))} is more than an SMTP leg may take; write 900s or less")
    return length_s


def size_bytes(value: object) -> int:
    """`100B`, `5kB`, `5MB`, `1MiB`: bytes."""
    found = text(value)
    match = _SIZE.fullmatch(found)
    if match is None:
        raise ValueError(f"{shown(found)} is no size; write it as 100kB, 5MB or 1MiB")
    size = int(match[1]) * _SIZES[match[2]]
    if not 0 < size <= _LARGEST_BYTES:
        raise ValueError(f"{shown(found)} is not between 1B and 1000MB; write a size between the two")
    return size


def rate_per_s(value: object) -> float:
    """`20/s`, `90/m`: a second."""
    found = text(value)
    match = _RATE.fullmatch(found)
    if match is None or not float(match[1]):
        raise ValueError(f"{shown(found)} is no rate; write it as 20/s, 90/m or 500/h")
    return float(match[1]) / _UNITS_S[match[2]]


def whole(lowest: int, highest: int) -> Callable[[object], int]:
    """A whole number between the two."""

    def parse(value: object) -> int:
        found = text(value)
        if not re.fullmatch(r"\d{1,9}", found, re.ASCII) or not lowest <= int(found) <= highest:
            raise ValueError(f"{shown(found)} is no whole number from {lowest} to {highest}; write one")
        return int(found)

    return parse


def word(
    words: type[Word], *, not_yet: frozenset[str] = frozenset(), meant: Mapping[str, Word] = MappingProxyType({})
) -> Callable[[object], Word]:
    """One of a closed set; `meant` are other names of its words, to suggest."""

    def parse(value: object) -> Word:
        found = text(value)
        known = [word.value for word in words]
        if found in known:
            return words(found)
        if found in not_yet:
            raise ValueError(f"`{found}` is not supported yet; write {one_of(known)}")
        other = meant.get(found.lower())
        near = f"; did you mean `{other}`?" if other else did_you_mean(found, known) or f"; write {one_of(known)}"
        raise ValueError(f"{shown(found)} is not one of {', '.join(known)}{near}")

    return parse


def address(value: object) -> str:
    """A mail address, without display name or angle brackets."""
    found = text(value)
    if not _ADDRESS.fullmatch(found) or _CONTROL.search(found):
        raise ValueError(f"{shown(found)} is no mail address; write it as name@example.com, without a name or <>")
    return str(found)


def address_pattern(value: object) -> str:
    """Addresses by `*` and `?`, in a domain that is named."""
    found = text(value)
    local, _, domain = found.rpartition("@")
    if not local or not domain or re.search(r"[\s<>,;]", found) or _CONTROL.search(found):
        raise ValueError(f"{shown(found)} is no pattern of addresses; write it as *@example.com or probe-*@example.com")
    if not re.search(r"[^*?.\[\]]", domain):
        raise ValueError(f"{shown(found)} would take mail for every domain; name the domain that is sent here")
    return str(found)


def host(value: object) -> str:
    """A host name or IP address, without port."""
    found = text(value)
    if not _HOST.fullmatch(found):
        # What holds an @ may be user and password.
        named = "is no host" if "@" in found[1:] else f"{shown(found)} is no host"
        raise ValueError(f"{named}; write a name or an address only, the port under `port`")
    return str(found)


def token_url(value: object) -> str:
    """Where tokens are granted: https, or http within this machine, without user or password in it."""
    found = text(value)
    match = _TOKEN_URL.fullmatch(found)
    if match is None:
        raise ValueError("is no token endpoint; write a URL such as https://login.example.com/token")
    if match["scheme"].lower() == "http" and match["host"].lower() not in _LOOPBACK:
        raise ValueError("would send secrets in plain text; write https://")
    return str(found)


def resolver(value: object) -> tuple[str, int]:
    """Address and port of a DNS server: `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:5353`."""
    found = text(value)
    match = _RESOLVER.fullmatch(found)
    address, port = (match[1] or match[2] or match[3], int(match[4] or 53)) if match else ("", 0)
    try:
        ip_address(address)
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise ValueError(f"{shown(found)} is no resolver's address; write it as 192.0.2.53 or 127.0.0.1:5353")
    return address, port


def command(value: object) -> tuple[str, ...]:
    """A program and its arguments; the program's path is relative to the file that names it."""
    if not isinstance(value, Items) or not value:
        raise ValueError("is no command; write a list, as in `[/usr/sbin/sendmail, -i]`")
    program, *arguments = map(text, value)
    if not program or any("\0" in word for word in (program, *arguments)):
        raise ValueError("names no program; write its path first")
    path = str(program.at.path.parent / program) if "/" in program else str(program)
    return path, *map(str, arguments)


def helo(value: object) -> str:
    """What follows EHLO: printable ASCII without blanks."""
    found = text(value)
    if not re.fullmatch(r"[!-~]+", found):
        raise ValueError(f"{shown(found)} is no HELO name; write a host name in ASCII, or an address as [192.0.2.1]")
    return str(found)


def tag(value: object) -> Text:
    """A tag that can become a pytest mark."""
    found = text(value)
    if not _TAG.fullmatch(found) or found in {"and", "or", "not"}:
        raise ValueError(f"{shown(found)} is no tag; write lower-case letters, digits and -, and not and, or, not")
    return found


def fingerprint(value: object) -> str:
    """The hexadecimal SHA-256 of a certificate, lower case, without colons."""
    found = text(value)
    match = _FINGERPRINT.fullmatch(found[:7] + found[7:].replace(":", ""))
    if match is None:
        raise ValueError(f"{shown(found)} is no fingerprint; write sha256: and 64 hexadecimal digits")
    return match[1].lower()


def file_path(value: object) -> Path:
    """A file that is there; relative to the file that names it."""
    found = text(value)
    if not found or "\0" in found:
        raise ValueError("names no file; write a path, relative to this file")
    path = found.at.path.parent / found
    if not is_file(path):
        raise ValueError(f"{shown(found)} is no file; write a path relative to {found.at.path.name}")
    return path
