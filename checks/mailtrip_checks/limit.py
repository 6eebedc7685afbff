"""How many connections a server bears: as many as it is said to, or fewer, once it has refused more."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Limit:
    """Places that are taken, first come, first served; `most` of them at once, and `served` by the server now."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.served = 0
        self._configured = most
        self._taken = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """Hold a place; waits for one."""
        if self._taken < self.most and not self._queue:
            self._taken += 1
        else:
            await self._turn()
        try:
            yield
        finally:
            self._taken -= 1
            self._let_in()

    async def _turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had just come
                self._taken -= 1
            self._let_in()
            raise

    def _let_in(self) -> None:
        while self._queue and self._taken < self.most:
            turn = self._queue.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)

    def serves(self) -> None:
        """The server took one more; that many it bears, whatever it said to another."""
        self.served += 1
        self.most = max(self.most, min(self.served, self._configured))
        self._let_in()

    def left(self) -> None:
        """One that was served is gone."""
        self.served -= 1

    def refused(self) -> bool:
        """The server bears no more than it serves now; whether that is news."""
        most = max(self.served, 1)
        news, self.most = most < self.most, min(most, self.most)
        return news
