"""Access tokens for `auth: oauth2`, each got from its source once, and anew before it expires.

A source is a fixed token, a command that prints one, or a token endpoint. A token is a secret: it is hidden as soon as
it is got, in whatever is shown from then on.
"""

import asyncio
import math
from dataclasses import dataclass
from typing import assert_never

from mailtrip_checks.clock import Clock
from mailtrip_checks.errors import TripError
from mailtrip_checks.jwt import claims
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.token_command import printed_token
from mailtrip_checks.token_endpoint import granted_token
from mailtrip_checks.trips import FixedToken, OAuth2, TokenCommand, TokenEndpoint

_RENEWED_BEFORE_S = 60.0  # its end, so that it is still good when the server sees it


@dataclass(frozen=True, slots=True)
class _Fetched:
    token: Secret
    expires_in_s: float | None = None
    refresh_token: Secret | None = None


@dataclass(slots=True)
class _Held:
    """What is known of one source. `refresh_token` is the latest, for it may change with each use (RFC 6749 §6)."""

    fetch: asyncio.Task[_Fetched | TripError] | None = None
    token: Secret | None = None
    renew_at_s: float = math.inf
    refresh_token: Secret | None = None


class Tokens:
    """The tokens of a run. One fetch at a time for each source, whose end all hear who wait for it."""

    def __init__(self) -> None:
        self._held: dict[OAuth2, _Held] = {}

    async def get(self, source: OAuth2, clock: Clock, masker: Masker) -> Secret:
        """A token that is good as far as is known; raises TokenFailed, TimedOut or Unreachable."""
        held = self._held.setdefault(source, _Held())
        if held.token and clock.now() < held.renew_at_s:
            return held.token
        if held.fetch is None or held.fetch.done():
            held.fetch = asyncio.create_task(_fetched(source, held, clock, masker), name="token")
        fetch = held.fetch
        await asyncio.wait({fetch})  # who stops waiting does not stop the others' fetch
        fetched = fetch.result()
        if isinstance(fetched, TripError):
            # A copy for each: an error learns the leg in which it was raised.
            raise type(fetched)(fetched.what, reply=fetched.reply, advice=fetched.advice) from fetched
        return fetched.token

    def refused(self, token: str) -> None:
        """A server refused this token: who asks next gets a new one, where the source can give one."""
        for held in self._held.values():
            if held.token and held.token.reveal() == token:
                held.token = None


async def _fetched(source: OAuth2, held: _Held, clock: Clock, masker: Masker) -> _Fetched | TripError:
    asked_at_s = clock.now()
    try:
        fetched = await _from(source, held.refresh_token, clock, masker)
    except TripError as error:
        return error
    held.token = fetched.token
    held.refresh_token = fetched.refresh_token or held.refresh_token
    held.renew_at_s = math.inf
    if fetched.expires_in_s is not None:
        early_s = min(_RENEWED_BEFORE_S, fetched.expires_in_s / 2)
        held.renew_at_s = asked_at_s + fetched.expires_in_s - early_s
    return fetched


async def _from(source: OAuth2, refresh_token: Secret | None, clock: Clock, masker: Masker) -> _Fetched:
    match source:
        case FixedToken(token):
            masker.add(token)
            return _Fetched(token)
        case TokenCommand():
            printed = await printed_token(source, clock, masker)
            said = claims(printed)
            expires_at_s = said.expires_at_s if said else None
            left_s = None if expires_at_s is None else expires_at_s - clock.wall()
            return _Fetched(Secret(printed), left_s)
        case TokenEndpoint():
            grant = await granted_token(source, refresh_token, clock, masker)
            return _Fetched(grant.token, grant.expires_in_s, grant.refresh_token)
        case _:
            assert_never(source)
