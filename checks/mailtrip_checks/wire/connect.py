"""From an endpoint to a connection: address, socket, and the five security modes."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeVar, cast

from mailtrip_checks.clock import Clock
from mailtrip_checks.errors import TlsFailed, Unreachable, Unresolved
from mailtrip_checks.secrets import Masker
from mailtrip_checks.tokens import Tokens
from mailtrip_checks.trips import Endpoint, Family, Security
from mailtrip_checks.wire.happy_eyeballs import ATTEMPT_DELAY_S, Address, first_connected, interleaved
from mailtrip_checks.wire.tls import TlsContexts, TlsNotOffered
from mailtrip_checks.wire.transcript import Stages, Transcript
from mailtrip_checks.wire.wake_ups import WakeUps

_FAMILIES = {Family.ANY: socket.AF_UNSPEC, Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class Network:
    """What all connections of a run share."""

    clock: Clock
    masker: Masker = field(default_factory=Masker)
    contexts: TlsContexts = field(default_factory=TlsContexts)
    tokens: Tokens = field(default_factory=Tokens)
    wake_ups: WakeUps = field(default_factory=WakeUps)


class StarttlsRefused(TlsFailed):
    """STARTTLS was offered, but the server said no to it; the connection still works in plain."""


class Session(Protocol):
    """What `secured` needs of a client that has read its greeting."""

    async def offers_starttls(self) -> bool: ...

    async def starttls(self) -> None:
        """Switch to TLS; raises StarttlsRefused, or TlsFailed for the handshake."""

    async def close(self) -> None: ...


AnySession = TypeVar("AnySession", bound=Session)
_Result = TypeVar("_Result")


async def secured(
    endpoint: Endpoint, dial: Callable[[bool], Awaitable[AnySession]], warn: Callable[[str], None]
) -> AnySession:
    """Connect by the endpoint's security mode; `dial(tls)` opens a connection and reads its greeting.

    A fall-back happens only where the server has no TLS to offer, is a new plain connection (or the plain one that
    stands), and is said by `warn`, as is that no certificate is verified. A failed handshake or a bad certificate never
    falls back.
    """
    where = f"{endpoint.host}:{endpoint.port}"
    security = endpoint.security
    _warn_if_unverified(endpoint, warn)
    if security in (Security.TLS, Security.TLS_IF_AVAILABLE):
        try:
            return await dial(True)
        except TlsNotOffered:
            if security is Security.TLS:
                raise
            warn(f"{where} offers no TLS from the first byte: the connection is not encrypted")
            return await dial(False)
    session = await dial(False)
    if security is Security.NONE:
        return session
    try:
        if await session.offers_starttls():
            await session.starttls()
        elif security is Security.STARTTLS:
            raise TlsNotOffered(f"{where} does not offer STARTTLS, which this definition requires")
        else:
            warn(f"{where} does not offer STARTTLS: the connection is not encrypted")
    except StarttlsRefused as refused:
        await session.close()
        if security is Security.STARTTLS:
            raise
        warn(f"{where} refused STARTTLS ({refused.reply}): the connection is not encrypted")
        return await dial(False)
    except BaseException:
        await session.close()
        raise
    return session


def _warn_if_unverified(endpoint: Endpoint, warn: Callable[[str], None]) -> None:
    if endpoint.security is not Security.NONE and not endpoint.trust.verify:
        warn(f"{endpoint.host}:{endpoint.port} may show any certificate: `verify: false`")


async def open_socket(
    endpoint: Endpoint,
    network: Network,
    stages: Stages,
    transcript: Transcript,
    make: Callable[[int, int, int], socket.socket] = socket.socket,
    *,
    attempt_delay_s: float = ATTEMPT_DELAY_S,
) -> socket.socket:
    """A connected, non-blocking socket; stages `resolve` and `connect`. Raises Unresolved or Unreachable.

    Of several addresses the first that answers is taken, both families in a race; the transcript tells of the others.
    `make(family, type, protocol)` lets a caller pass its own class.
    """
    failures: list[str] = []

    def failed(address: Address, reason: str) -> None:
        host, port = address.parts[:2]
        failures.append(f"{host}: {reason}")
        transcript.note(f"{host} port {port}: {reason}")

    transcript.doing = f"looking up {endpoint.host}"
    with stages.of("resolve"):
        addresses = interleaved(await _resolve(endpoint))
    transcript.doing = f"connecting to {endpoint.host}:{endpoint.port}"
    with stages.of("connect"):
        sock = await first_connected(addresses, make, network.clock, attempt_delay_s, failed)
        if sock is None:
            raise Unreachable(f"{endpoint.host}:{endpoint.port} cannot be reached ({'; '.join(failures)})")
        return sock


async def _resolve(endpoint: Endpoint) -> list[Address]:
    if endpoint.addresses:
        return [found for address in endpoint.addresses for found in await _resolve(_at(endpoint, address))]
    look_up = partial(socket.getaddrinfo, endpoint.host, endpoint.port, _FAMILIES[endpoint.family], socket.SOCK_STREAM)
    try:
        found = look_up(flags=socket.AI_NUMERICHOST)  # an address needs no resolver, and no thread to wait in
    except (OSError, UnicodeError):
        try:
            found = await _in_thread(look_up)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a host name"
            kind = "" if endpoint.family is Family.ANY else f" {endpoint.family}"
            raise Unresolved(f"no{kind} address for {endpoint.host}: {reason}") from error
    return [Address(family, parts) for family, _, _, _, parts in found]


async def _in_thread(call: Callable[[], _Result]) -> _Result:
    """The call's result, from a thread of its own that nobody waits for at the end.

    The loop's own executor has few threads, which a dead resolver would hold from every other trip.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def settle(result: _Result | None, error: OSError | UnicodeError | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast(_Result, result))

    def run() -> None:
        result, failure = None, None
        try:
            result = call()
        except (OSError, UnicodeError) as error:
            failure = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="mailtrip resolver", daemon=True).start()
    return await future


def _at(endpoint: Endpoint, address: str) -> Endpoint:
    return replace(endpoint, host=address, addresses=())


def peer(endpoint: Endpoint, sock: object) -> str:
    """`name:port [address]` of a connected socket, for reports."""
    address = ""
    with suppress(OSError, AttributeError, IndexError, TypeError):
        address = f" [{sock.getpeername()[0]}]"  # type: ignore[attr-defined]  # a transport's socket has no common type
    return f"{endpoint.host}:{endpoint.port}{address}"
