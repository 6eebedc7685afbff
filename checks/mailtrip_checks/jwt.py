"""What a token says of itself where it is a JWT (RFC 7519). Nothing is verified: it only helps to explain a refusal."""

import base64
import json
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True, slots=True)
class Claims:
    """`expires_at_s` is Unix time in seconds (`exp`), `audience` whom the token is for (`aud`)."""

    expires_at_s: float | None = None
    audience: tuple[str, ...] = ()


def claims(token: str) -> Claims | None:
    """The token's claims; None where it is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        said: object = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    payload = cast(dict[str, object], said)
    expires, audience = payload.get("exp"), payload.get("aud")
    named = cast(list[object], audience) if isinstance(audience, list) else [audience]
    return Claims(
        expires_at_s=expires if isinstance(expires, int | float) and not isinstance(expires, bool) else None,
        audience=tuple(name for name in named if isinstance(name, str)),
    )
