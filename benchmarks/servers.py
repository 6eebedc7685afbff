"""Our mail servers in a process of their own, so that what they cost stands in no candidate's account."""

import asyncio
import re
import ssl
from collections import defaultdict
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from typing import ClassVar, cast

import pytest

from mailtrip_fixtures.ledger import Kind
from mailtrip_fixtures.servers import MailServers
from mailtrip_fixtures.services import PortName, Ports, Services

_TOKEN = re.compile(rb"^X-(?:Mailtrip|Bench|Mailcheck-Token): ([^;\r\n]+)", re.M | re.I)
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Event:
    """What the servers saw of a mail; `token` is whatever names it in its header.

    `at_s` is on the clock that nobody sets, `wall_s` Unix time.
    """

    kind: Kind
    address: str
    token: str
    at_s: float
    wall_s: float


@dataclass(slots=True)
class Count:
    """Connections to a port: how many were opened in all, and how many at once at most."""

    opened: int = 0
    now: int = 0
    peak: int = 0


class _CountingServices(Services):
    """What listens, with a count of its connections, which only the servers' thread writes."""

    counts: ClassVar[defaultdict[str, Count]] = defaultdict(Count)

    def _smtp(self, port: PortName, context: ssl.SSLContext) -> Callable[[], asyncio.Protocol]:
        return self._counted(port, super()._smtp(port, context))

    def _imap(self, port: PortName, context: ssl.SSLContext | None) -> Callable[[], asyncio.Protocol]:
        return self._counted(port, super()._imap(port, context))

    def _pop3(self, port: PortName, context: ssl.SSLContext, *, secure: bool) -> Callable[[], asyncio.Protocol]:
        return self._counted(port, super()._pop3(port, context, secure=secure))

    def _counted(self, port: str, make: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        def made() -> asyncio.Protocol:
            count = self.counts[port]
            count.opened += 1
            count.now += 1
            count.peak = max(count.peak, count.now)
            protocol = make()
            lost = protocol.connection_lost

            def connection_lost(error: Exception | None) -> None:
                count.now -= 1
                lost(error)

            # On the object: it is of one of many classes, which asyncio calls by this name alone.
            protocol.connection_lost = connection_lost  # type: ignore[method-assign,assignment]
            return protocol

        return made


class Served:
    """The servers as a benchmark steers them: called from its process, run in theirs."""

    def __init__(self, imap_without: Collection[str]) -> None:
        # Patched, because MailServers makes them itself; it is alone in its process.
        pytest.MonkeyPatch().setattr("mailtrip_fixtures.servers.Services", _CountingServices)
        self._counts = _CountingServices.counts
        self._servers = MailServers(imap_without=imap_without).start()
        self._delivered = 0

    def ports(self) -> Ports:
        """Where they listen, on 127.0.0.1."""
        return self._servers.ports

    def add_accounts(self, addresses: Collection[str], password: str) -> None:
        """Make these accounts, all with one password; those that are there stay."""
        for address in addresses:
            self._servers.account(address, password)

    def delay(self, seconds: float) -> None:
        """Deliver so long after the final 250, from now on."""
        self._servers.delivery_delay_s = seconds

    def fill(self, address: str, message: bytes, count: int) -> None:
        """Put so many copies of a mail into an INBOX."""
        account = self._servers.account(address)
        for _ in range(count):
            account.deliver(message)

    def wait_for_deliveries(self, count: int) -> None:
        """Until there were so many since the last call; a mail is delivered a moment after its 250."""
        self._delivered += count
        self._servers.ledger.wait_for("delivered", self._delivered, timeout_s=60)

    def mark(self) -> int:
        """Where the ledger ends now."""
        return len(self._servers.ledger.entries())

    def events(self, since: int) -> list[Event]:
        """What the ledger holds since this mark."""
        return [
            Event(entry.kind, entry.address, _token(entry.message), entry.at_s, entry.wall_s)
            for entry in self._servers.ledger.entries()[since:]
        ]

    def connections(self) -> dict[str, Count]:
        """By port, counted anew from here on."""
        counted = dict(self._counts)
        for port, count in counted.items():
            self._counts[port] = Count(now=count.now, peak=count.now)
        return counted


class _Process(BaseManager):
    """The process in which they run."""


_Process.register("Served", Served)


@contextmanager
def servers(imap_without: Collection[str] = ()) -> Generator[Served]:
    """The servers, in a process that ends with this context."""
    with _Process(ctx=get_context("spawn")) as process:
        yield cast(Served, getattr(process, "Served")(tuple(imap_without)))  # noqa: B009  (made by `register`)


def _token(message: bytes) -> str:
    found = _TOKEN.search(message[:_HEAD_BYTES])
    return found[1].decode("ascii", "replace") if found else ""
