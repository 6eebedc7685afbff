"""What logging in has in common, whatever the protocol."""

import base64
import re

from mailtrip_checks.errors import LoginFailed
from mailtrip_checks.trips import Endpoint

_TOO_MANY = re.compile(
    r"\[LIMIT\]|too many (\w+ ){0,2}(connections|sessions)|maximum number of (\w+ )?(connections|sessions)"
    r"|(connection|session)s?( count)? (limit|quota)",
    re.IGNORECASE,
)


def too_many(text: str) -> bool:
    """Whether a server says by this that it has all the connections that it bears; not so of refused logins."""
    return bool(_TOO_MANY.search(text))


def credentials(endpoint: Endpoint) -> tuple[str, str]:
    """User and password; the password is empty where none is given."""
    return endpoint.user, endpoint.password.reveal() if endpoint.password else ""


def wire_bytes(text: str) -> bytes:
    """UTF-8; bytes of an environment variable that are none go as they came."""
    return text.encode("utf-8", "surrogateescape")


def sasl_plain(user: str, password: str) -> str:
    """The response of PLAIN in base64 (RFC 4616 §2); raises LoginFailed for a NUL, which it cannot carry."""
    if "\0" in user + password:
        raise LoginFailed("user or password holds a NUL, which PLAIN cannot carry (RFC 4616 §2)")
    return base64.b64encode(wire_bytes(f"\0{user}\0{password}")).decode("ascii")


def other_user(user: str) -> str:
    """What to try after a refusal, because servers differ in what they call the user."""
    local_part, at, _ = user.rpartition("@")
    other = f"`user: {local_part}`, the part before the @" if at else "the whole address as `user`"
    return f"Check user and password; the server may want {other}."
