"""What a host allows: how many connections, how many mails a second, how many refused logins.

What is busy is gated, what waits is not: a trip's clock starts when it holds its connection, so that a queue of ours
never stands in the times of a server.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from mailtrip_checks.clock import Clock
from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import Busy, Cancelled, LoginFailed
from mailtrip_checks.limit import Limit
from mailtrip_checks.trips import Auth, Endpoint, Protocol

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
# A server may count a connection for a while after it was closed.
LINGERS_S = 10.0

_Session = TypeVar("_Session")


@dataclass(slots=True)
class _Host:
    connections: Limit
    users: dict[str, Limit] = field(default_factory=dict[str, Limit])
    left_at_s: float = -math.inf
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
            self._hosts[key] = _Host(Limit(endpoint.connections_per_host))
        return self._hosts[key]

    def _limits(self, endpoint: Endpoint) -> tuple[Limit, Limit]:
        host = self._host(endpoint)
        return host.users.setdefault(endpoint.user, Limit(endpoint.connections_per_user)), host.connections

    async def enter(
        self,
        endpoint: Endpoint,
        place: AsyncExitStack,
        dial: Callable[[], Awaitable[_Session]],
        warn: Callable[[str], None],
    ) -> _Session:
        """The session that `dial` opens, once host and user allow one more; `place` holds its place from then on.

        Where the server has too many connections, and ours are among them, no more are opened from then on than it
        bears, `warn` is told, and it is asked again. Raises what `login` raises.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            async with AsyncExitStack() as held:
                await held.enter_async_context(self.connection(endpoint))
                try:
                    session = await self.login(endpoint, dial)
                except Busy as busy:
                    self._back_off(endpoint, busy, warn)
                else:
                    self._serves(endpoint)
                    held.callback(self._left, endpoint)
                    place.push_async_callback(held.pop_all().aclose)
                    return session
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def login(self, endpoint: Endpoint, dial: Callable[[], Awaitable[_Session]]) -> _Session:
        """The session that `dial` opens; its login counts. Raises what `dial` and `check_logins` raise."""
        self.check_logins(endpoint)
        try:
            session = await dial()
        except LoginFailed:
            self._login_was(endpoint, accepted=False)
            raise
        self._login_was(endpoint, accepted=True)
        return session

    def _back_off(self, endpoint: Endpoint, busy: Busy, warn: Callable[[str], None]) -> None:
        """Keep to what the server bears; raises `busy` where none of the connections there is ours."""
        host = self._host(endpoint)
        if not host.connections.served and self._clock.now() - host.left_at_s > LINGERS_S:
            raise busy
        of_user, of_host = self._limits(endpoint)
        limit = of_user if busy.of_user else of_host
        if limit.refused():
            whose = f" of {endpoint.user}" if busy.of_user else ""
            said = f": it said {busy.reply!r}" if busy.reply else ""
            warn(f"{endpoint.host} bears no more than {limit.most} connections{whose} at once{said}")

    def _serves(self, endpoint: Endpoint) -> None:
        for limit in self._limits(endpoint):
            limit.serves()

    def _left(self, endpoint: Endpoint) -> None:
        self._host(endpoint).left_at_s = self._clock.now()
        for limit in self._limits(endpoint):
            limit.left()

    @asynccontextmanager
    async def connection(self, endpoint: Endpoint) -> AsyncGenerator[None]:
        """Hold one of the connections that host and user allow; waits for its turn, first come, first served."""
        user, host = self._limits(endpoint)
        async with user.place(), host.place():
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

    def _login_was(self, endpoint: Endpoint, *, accepted: bool) -> None:
        """Count a login; an accepted one starts the count anew. A connection without a login counts as none."""
        if endpoint.auth is Auth.NONE:
            return
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
