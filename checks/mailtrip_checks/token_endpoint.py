"""A token endpoint, asked for an access token (RFC 6749 §4.4 client credentials, §6 refresh token) by httpx.

httpx is an extra and takes 0.1 s to import, so it is imported only here and only when a token is asked for.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import math
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from mailtrip_checks.clock import Clock
from mailtrip_checks.errors import TokenFailed
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.trips import TokenEndpoint
from mailtrip_checks.wire.deadline import within

if TYPE_CHECKING:
    import httpx

WITHIN_S = 30.0
_MOST_BYTES = 1024 * 1024
_ADVICE_BY_ERROR = {
    "invalid_grant": "The refresh token is good no more (expired, revoked, or another client's): get a new one.",
    "invalid_client": "Check `client_id` and `client_secret`; a client secret may have expired.",
    "unauthorized_client": "The client may not use this grant: see its registration.",
    "invalid_scope": "Check `scope`: the server does not know it, or does not grant it to this client.",
}
_ADVICE = "Check `token_url`, `client_id` and what else stands under `oauth2`."


@dataclass(frozen=True, slots=True)
class Grant:
    """A token as it was granted; `refresh_token` where the server gave a new one."""

    token: Secret
    expires_in_s: float | None
    refresh_token: Secret | None


async def granted_token(source: TokenEndpoint, refresh_token: Secret | None, clock: Clock, masker: Masker) -> Grant:
    """Ask once; `refresh_token` replaces the definition's. Raises TokenFailed, or TimedOut after 30 s."""
    form = _form(source, refresh_token or source.refresh_token)
    where = _shown(source.url)
    async with within(clock, WITHIN_S, f"the token endpoint {where}"):
        status, body = await _post(source.url, form, where)
    answer = _members(body)
    token, renewed = (_secret(answer, name, masker) for name in ("access_token", "refresh_token"))
    if status == 200 and token:
        return Grant(token, _seconds(answer.get("expires_in")), renewed)
    if status == 200:
        raise TokenFailed(f"the token endpoint {where} answered without an access_token", advice=_ADVICE)
    code, description = (masker.mask(_line(answer.get(name))) for name in ("error", "error_description"))
    said = ": ".join(filter(None, (code, description)))
    raise TokenFailed(
        f"the token endpoint {where} gave no token: {said or f'HTTP {status} without a reason'}",
        reply=f"HTTP {status} {code}".strip(),
        advice=_ADVICE_BY_ERROR.get(code, _ADVICE),
    )


def _form(source: TokenEndpoint, refresh_token: Secret | None) -> dict[str, str]:
    form = {"client_id": source.client_id}
    if source.client_secret:
        form["client_secret"] = source.client_secret.reveal()
    if source.scope:
        form["scope"] = source.scope
    if refresh_token:
        return {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal(), **form}
    return {"grant_type": "client_credentials", **form}


async def _post(url: str, form: dict[str, str], where: str) -> tuple[int, bytes]:
    """Status and body; a redirect is not followed, for it would take the secrets elsewhere."""
    try:
        # In a thread: the import and the system's authorities would hold up the trips that are in flight.
        context = await asyncio.to_thread(_tls_for_httpx)
    except ModuleNotFoundError as error:
        what = f"the token endpoint {where} needs httpx, which is not installed"
        raise TokenFailed(what, advice="Run `pip install 'pytest-mailtrip[oauth]'`.") from error
    import httpx

    try:
        async with (
            httpx.AsyncClient(verify=context, timeout=WITHIN_S) as client,
            client.stream("POST", url, data=form, headers={"Accept": "application/json"}) as response,
        ):
            return response.status_code, await _body(response)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        reason = str(error) or type(error).__name__
        raise TokenFailed(f"the token endpoint {where} cannot be asked: {reason}", advice=_ADVICE) from error


def _tls_for_httpx() -> ssl.SSLContext:
    """The system's authorities, as for mail; raises ModuleNotFoundError where there is no httpx."""
    importlib.import_module("httpx")
    return ssl.create_default_context()


async def _body(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MOST_BYTES:
            break
    return body


def _members(body: bytes) -> dict[str, object]:
    """A JSON object's members; nothing where it is none."""
    try:
        said: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, object], said) if isinstance(said, dict) else {}


def _secret(answer: dict[str, object], name: str, masker: Masker) -> Secret | None:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        return None
    secret = Secret(value)
    masker.add(secret)
    return secret


def _seconds(value: object) -> float | None:
    """`expires_in`, which some servers write as text."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) and value is not True else math.nan
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None


def _line(value: object) -> str:
    return " ".join(value.split())[:500] if isinstance(value, str) else ""


def _shown(url: str) -> str:
    """The URL without its query, which is nobody's business."""
    return url.partition("?")[0]
