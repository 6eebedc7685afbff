"""How many connections a server bears: as many as it is said to, or fewer, once it has refused more."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Limit:
    """Places, `most` of them at once, and `served` by the server now.

    Of those who wait the lowest number comes first; of equal ones, who came first.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.served = 0
        self._configured = most
        self._taken = 0
        self._queue: list[tuple[int, int, asyncio.Future[None]]] = []
        self._came = itertools.count()

    @asynccontextmanager
    async def place(self, number: int = 0) -> AsyncGenerator[None]:
        """Hold a place; waits for one."""
        if self._taken < self.most and not self._queue:
            self._taken += 1
        else:
            await self._turn(number)
        try:
            yield
        finally:
            self._taken -= 1
            self._let_in()

    async def _turn(self, number: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (number, next(self._came), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had just come
                self._taken -= 1
            self._let_in()
            raise

    def _let_in(self) -> None:
        while self._queue and self._taken < self.most:
            _, _, turn = heapq.heappop(self._queue)
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
