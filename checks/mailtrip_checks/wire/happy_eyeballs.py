"""The first of a host's addresses that answers, both families in a race (Happy Eyeballs, RFC 8305)."""

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import NamedTuple

from mailtrip_checks.clock import Clock

ATTEMPT_DELAY_S = 0.25  # RFC 8305 §5
NO_ANSWER = "no answer so far"


class Address(NamedTuple):
    """A socket's family, and its address as that family writes it: host and port first."""

    family: int
    parts: tuple[object, ...]


def interleaved(addresses: Iterable[Address]) -> list[Address]:
    """The families in turn, that of the first address first, each in the order given (RFC 8305 §4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address.family, []).append(address)
    return [address for address in chain.from_iterable(zip_longest(*families.values())) if address is not None]


async def first_connected(
    addresses: Sequence[Address],
    make: Callable[[int, int, int], socket.socket],
    clock: Clock,
    attempt_delay_s: float,
    failed: Callable[[Address, str], None],
) -> socket.socket | None:
    """A connected, non-blocking socket to one of the addresses; None where each has failed.

    The next is tried when an attempt has failed, or has taken `attempt_delay_s` seconds. `failed` hears why an address
    did not connect, also of those that are given up at the end. Sockets of theirs are closed, also when cancelled.
    """
    waiting = deque(addresses)
    attempts: list[asyncio.Task[socket.socket | None]] = []
    try:
        while waiting or attempts:
            if waiting:
                attempts.append(asyncio.create_task(_attempt(waiting.popleft(), make, failed)))
            await _first_done(attempts, clock, attempt_delay_s if waiting else None)
            for attempt in [one for one in attempts if one.done()]:
                attempts.remove(attempt)
                if sock := attempt.result():
                    return sock
        return None
    finally:
        await _give_up(attempts)


async def _attempt(
    address: Address, make: Callable[[int, int, int], socket.socket], failed: Callable[[Address, str], None]
) -> socket.socket | None:
    try:
        return await _connect(make(address.family, socket.SOCK_STREAM, 0), address)
    except OSError as error:
        failed(address, _reason(error))
        return None
    except asyncio.CancelledError:
        failed(address, NO_ANSWER)
        raise


async def _connect(sock: socket.socket, address: Address) -> socket.socket:
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address.parts)
    except BaseException:
        sock.close()
        raise
    return sock


async def _first_done(
    attempts: Iterable[asyncio.Task[socket.socket | None]], clock: Clock, for_s: float | None
) -> None:
    """Return once an attempt is done, or `for_s` seconds have passed."""
    if for_s is None:
        await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
        return
    with suppress(TimeoutError):
        async with clock.timeout_at(clock.now() + for_s):
            await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)


async def _give_up(attempts: Sequence[asyncio.Task[socket.socket | None]]) -> None:
    for attempt in attempts:
        if not attempt.cancel() and not attempt.exception() and (sock := attempt.result()):
            sock.close()  # it connected, too, at the same instant
    if attempts:
        await asyncio.wait(attempts)


def _reason(error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return "connection refused"
    return (error.strerror or str(error)).lower()
