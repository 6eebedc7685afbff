"""Whose mail it is. The rule that outranks every feature: what is not proved ours is never touched.

A trip's mail bears a token of 128 random bits, written as a GUID, in its subject, in its Message-ID and in

    X-Mailtrip: <token>; expires=<unix time or "never">; mac=<HMAC-SHA256 over both>

whose key belongs to the installation. The MAC vouches for the line, not for the mail around it: a reply, a quote, a
forward or a bounce can carry the line along. So a mail is ours only if its own top header holds exactly one such line,
the MAC holds, Message-ID or subject carries the same token, it is no multipart/report, and it answers no mail with
that token.
"""

import fcntl
import hashlib
import hmac
import os
import re
import secrets
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mailtrip_checks.headers import decoded, fields
from mailtrip_checks.trips import Match

HEADER = "X-Mailtrip"
KEY_VARIABLE = "MAILTRIP_KEY"
_TOKEN = "[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}"  # noqa: S105  (a pattern, no password)
_STAMP = re.compile(rf"({_TOKEN});[ \t]*expires=(never|[0-9]{{1,12}});[ \t]*mac=([0-9a-f]{{64}})")
_TOKENS = re.compile(_TOKEN, re.IGNORECASE)
_COMMENT_OR_SPACE = re.compile(r"\([^()]*\)|[\s\"]")


def new_token() -> str:
    """128 random bits as an upper-case GUID."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16))).upper()


def stamp(token: str, expires: int | None, key: bytes) -> str:
    """The value of X-Mailtrip; `expires` in Unix seconds, None for a mail that no later run may remove."""
    until = "never" if expires is None else str(expires)
    return f"{token}; expires={until}; mac={_mac(token, until, key)}"


def _mac(token: str, until: str, key: bytes) -> str:
    return hmac.new(key, f"{token};{until}".encode(), hashlib.sha256).hexdigest()


class Kind(Enum):
    """What a mail is to us. Only OURS may be deleted in a mailbox that others use too."""

    OURS = "ours"
    STRIPPED = "stripped"  # Message-ID and subject carry a token, our header is gone: it arrived, through a gateway
    ECHO = "echo"  # the subject carries a token: a new mail that answers ours
    REPORT = "report"  # multipart/report about a mail of ours; never a delivery


@dataclass(frozen=True, slots=True)
class Sighting:
    """A mail that bears a token; `expires` in Unix seconds, None for never or where the header is not ours."""

    kind: Kind
    token: str
    expires: int | None = None


def sight(header: bytes, key: bytes) -> Sighting | None:
    """What the mail with this header block is to us; None for a mail that has nothing to do with us."""
    named = fields(header)
    stamps = [value for name, value in named if name == HEADER.lower()]
    message_ids = _tokens(named, "message-id")
    subjects = _tokens(named, "subject")
    if any(name == "content-type" and _is_report(value) for name, value in named):
        return _first(Kind.REPORT, subjects or message_ids)
    ours = _STAMP.fullmatch(stamps[0]) if len(stamps) == 1 else None
    if ours and hmac.compare_digest(_mac(ours[1], ours[2], key), ours[3]):
        answered = _tokens(named, "in-reply-to", "references")
        if ours[1] in (message_ids | subjects) - answered:
            return Sighting(Kind.OURS, ours[1], None if ours[2] == "never" else int(ours[2]))
    if not stamps and message_ids & subjects:
        return _first(Kind.STRIPPED, message_ids & subjects)
    return _first(Kind.ECHO, subjects)


def _tokens(named: list[tuple[str, str]], *names: str) -> set[str]:
    text = " ".join(decoded(value) for name, value in named if name in names)
    return {token.upper() for token in _TOKENS.findall(text)}


def _is_report(content_type: str) -> bool:
    return _COMMENT_OR_SPACE.sub("", content_type).lower().startswith("multipart/report")


def _first(kind: Kind, tokens: set[str]) -> Sighting | None:
    # A mail with several tokens (a digest, a quoted thread) speaks for none of them.
    return Sighting(kind, next(iter(tokens))) if len(tokens) == 1 else None


def counts_as_arrival(sighting: Sighting, match: Match) -> bool:
    """Whether the mail ends the waiting of the trip whose token it bears."""
    if match is Match.SUBJECT:
        return sighting.kind is not Kind.REPORT
    return sighting.kind in (Kind.OURS, Kind.STRIPPED)


def may_delete(sighting: Sighting, *, dedicated: bool) -> bool:
    """Whether the mail may be deleted: ours, or any arrival in a mailbox that nobody else uses."""
    return sighting.kind is Kind.OURS or (dedicated and sighting.kind is not Kind.REPORT)


def has_expired(sighting: Sighting | None, wall_s: float) -> bool:
    """Whether it is a mail of ours that, at this Unix time, no run waits for any more."""
    return (
        sighting is not None
        and sighting.kind is Kind.OURS
        and sighting.expires is not None
        and sighting.expires < wall_s
    )


def installation_key(environ: dict[str, str]) -> tuple[bytes, bool]:
    """The key of this installation, and whether it was made just now.

    MAILTRIP_KEY, else the file `mailtrip/key` (mode 0600) in the user's state folder (XDG_STATE_HOME), which is made
    when first needed. Raises OSError where it can be neither read nor written.
    """
    given = environ.get(KEY_VARIABLE, "").strip()
    if given:
        return given.encode("utf-8", "surrogateescape"), False
    path = _state_folder(environ) / "mailtrip" / "key"
    key = _read(path)
    if key:
        return key, False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path.parent):  # of two processes that come here together, the second reads the first one's key
        key = _read(path)
        if key:
            return key, False
        return _make_key(path), True


def _state_folder(environ: dict[str, str]) -> Path:
    try:
        return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError as error:
        raise FileNotFoundError(f"{error}; set {KEY_VARIABLE}, HOME or XDG_STATE_HOME") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().strip()
    except FileNotFoundError:
        return b""


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _make_key(path: Path) -> bytes:
    key = secrets.token_hex(32).encode()
    draft = path.with_name(f"key.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
    draft.replace(path)  # put in place whole: who reads without the lock sees all of it or nothing
    return key
