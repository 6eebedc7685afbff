"""XOAUTH2 and OAUTHBEARER (RFC 7628), whatever the protocol: what the client says, and what a refusal means.

Both say user and token in one response. A server that refuses may first send a challenge that holds a JSON object and
tells why; it ends the exchange once the client has answered that.
"""

import base64
import json
import re
from collections.abc import Collection
from enum import StrEnum
from typing import cast

from mailtrip_checks.errors import LoginFailed, TokenFailed, TripError
from mailtrip_checks.jwt import Claims, claims
from mailtrip_checks.trips import Auth, Endpoint
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.login import wire_bytes
from mailtrip_checks.wire.transcript import Stages

_TOLD_MEMBERS = ("status", "error", "error_description", "schemes", "scope", "openid-configuration")
_LONGEST_TOLD = 300
_EXPIRED = "Get a new token, or let a `token_url` renew it."
_NOT_GOOD_HERE = (
    "Check that the token is for this user, that its scope covers this protocol, and that the account may use it."
)


class Mechanism(StrEnum):
    """What both are called on all three protocols, the one to prefer first."""

    OAUTHBEARER = "OAUTHBEARER"
    XOAUTH2 = "XOAUTH2"


async def hold_token(endpoint: Endpoint, network: Network, stages: Stages) -> str:
    """A good token where the endpoint logs in by one, else nothing; raises TokenFailed or TimedOut.

    Asked for before the connection is opened, so that no stage of the server's holds the time that it takes.
    """
    if endpoint.auth is not Auth.OAUTH2:
        return ""
    try:
        if endpoint.oauth2 is None:
            raise TokenFailed(f"{endpoint.name} has `auth: oauth2` and no token", advice="Write `oauth2: {token: …}`.")
        token = (await network.tokens.get(endpoint.oauth2, network.clock, network.masker)).reveal()
        if not re.fullmatch(r"[!-~]+", token):
            raise TokenFailed("the access token is none: it holds a blank or a character that is not ASCII")
    except TripError as error:
        error.leg, error.stage = stages.leg, "login"
        raise
    return token


def preferred(offered: Collection[str]) -> Mechanism | None:
    """The mechanism to use, the only one that is tried; None where the server offers neither."""
    names = {name.upper() for name in offered}
    return next((mechanism for mechanism in Mechanism if mechanism in names), None)


def response(mechanism: Mechanism, endpoint: Endpoint, token: str) -> str:
    """What the client says, in base64."""
    if mechanism is Mechanism.XOAUTH2:
        said = f"user={endpoint.user}\1auth=Bearer {token}\1\1"
    else:
        identity = endpoint.user.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 §4
        said = f"n,a={identity},\1host={endpoint.host}\1port={endpoint.port}\1auth=Bearer {token}\1\1"
    return base64.b64encode(wire_bytes(said)).decode("ascii")


def last_word(mechanism: Mechanism) -> str:
    """What answers the challenge of a refusal, in base64: Ctrl-A (RFC 7628 §3.2.3), with XOAUTH2 nothing."""
    return "AQ==" if mechanism is Mechanism.OAUTHBEARER else ""


def refusal(
    mechanism: Mechanism, endpoint: Endpoint, token: str, network: Network, *, host: str, challenge: str, reply: str
) -> LoginFailed:
    """What the server's refusal means, by its challenge (base64, may be empty) and by the token where that is a JWT."""
    said = claims(token)
    left_s = said.expires_at_s - network.clock.wall() if said and said.expires_at_s is not None else None
    told = [_told(challenge), _of_itself(said, left_s)]
    why = network.masker.mask("; ".join(filter(None, told))) or "it gave no reason"
    return LoginFailed(
        f"{host} refused the token of {endpoint.user} ({mechanism}): {why}",
        reply=reply,
        advice=_EXPIRED if left_s is not None and left_s <= 0 else _NOT_GOOD_HERE,
    )


def _told(challenge: str) -> str:
    """What the challenge tells: members of its JSON object (RFC 7628 §3.2.2), or its text where it holds none."""
    try:
        text = base64.b64decode(challenge + "=" * (-len(challenge) % 4), validate=True).decode("utf-8", "replace")
    except ValueError:
        return ""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        members = cast(dict[str, object], found)
        named = [(name, members.get(name)) for name in _TOLD_MEMBERS]
        text = ", ".join(f"{name} {value}" for name, value in named if isinstance(value, str | int) and value != "")
    printable = "".join(character if character.isprintable() else " " for character in text).strip()
    return f"it says {printable[:_LONGEST_TOLD]}" if printable else ""


def _of_itself(said: Claims | None, left_s: float | None) -> str:
    """What the token says of itself."""
    if said is None:
        return ""
    told: list[str] = []
    if left_s is not None:
        told.append(f"expired {_span(-left_s)} ago" if left_s <= 0 else f"is good for another {_span(left_s)}")
    if said.audience:
        told.append(f"is for {', '.join(said.audience)[:_LONGEST_TOLD]}")
    return f"the token {' and '.join(told)}" if told else ""


def _span(length_s: float) -> str:
    for unit_s, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if length_s >= 2 * unit_s:
            return f"{length_s / unit_s:.0f} {unit}"
    return f"{length_s:.0f} s"
