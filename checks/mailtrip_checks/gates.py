"""What a host allows: how many connections, how many mails a second, how many refused logins.

What is busy is gated, what waits is not: a trip's clock starts when it holds its connection, so that a queue of ours
never stands in the times of a server.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mailtrip_checks.clock import Clock
from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import Cancelled
from mailtrip_checks.trips import Endpoint, Protocol


@dataclass(slots=True)
class _Host:
    connections: asyncio.Semaphore
    users: dict[str, asyncio.Semaphore] = field(default_factory=dict[str, asyncio.Semaphore])
    next_send_at_s: float = 0.0
    refused_logins: int = 0


class Gates:
    """One gate for each host and port that the run speaks to. The first endpoint of a host sets its limits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hosts: dict[tuple[str, int], _Host] = {}

    def _host(self, endpoint: Endpoint) -> _Host:
        key = endpoint.host.lower(), endpoint.port
        if key not in self._hosts:
            self._hosts[key] = _Host(asyncio.Semaphore(endpoint.connections_per_host))
        return self._hosts[key]

    @asynccontextmanager
    async def connection(self, endpoint: Endpoint) -> AsyncGenerator[None]:
        """Hold one of the connections that host and user allow; waits for its turn, first come, first served.

        Raises Cancelled as `check_logins` does, also for what was refused while we waited.
        """
        host = self._host(endpoint)
        user = host.users.setdefault(endpoint.user, asyncio.Semaphore(endpoint.connections_per_user))
        async with user, host.connections:
            self.check_logins(endpoint)
            yield

    async def turn_to_send(self, endpoint: Endpoint) -> None:
        """Wait until `rate` allows one more mail to this host."""
        if endpoint.rate_per_s is None:
            return
        host = self._host(endpoint)
        at_s = max(self._clock.now(), host.next_send_at_s)
        host.next_send_at_s = at_s + 1 / endpoint.rate_per_s
        await self._clock.sleep(at_s - self._clock.now())

    def check_logins(self, endpoint: Endpoint) -> None:
        """Raise Cancelled where so many logins in a row were refused that more of them would lock accounts."""
        refused = self._host(endpoint).refused_logins
        if refused >= endpoint.login_failures:
            error = Cancelled(
                f"{endpoint.host} refused {refused} logins in a row, so no more are tried there",
                advice="Correct the credentials; `login_failures` sets how many refusals are borne.",
            )
            error.leg, error.stage = Leg.SMTP if endpoint.protocol is Protocol.SMTP else Leg.MAILBOX, "login"
            raise error

    def login_was(self, endpoint: Endpoint, *, accepted: bool) -> None:
        """Count a login; an accepted one starts the count anew."""
        host = self._host(endpoint)
        host.refused_logins = 0 if accepted else host.refused_logins + 1


class Turns:
    """One holder at a time for each key: a maildrop is locked by its session (RFC 1939 §4).

    `not_before_s` holds the instant before which a server that spaces logins takes no other (RFC 2449 §6.5).
    """

    def __init__(self) -> None:
        self.not_before_s: defaultdict[object, float] = defaultdict(float)
        self._locks: defaultdict[object, asyncio.Lock] = defaultdict(asyncio.Lock)

    def of(self, key: object) -> asyncio.Lock:
        return self._locks[key]
