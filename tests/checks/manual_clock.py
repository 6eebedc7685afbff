"""A clock that stands still until a test advances it: five minutes pass in a millisecond."""

import asyncio
import heapq
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

ROUNDS = 100  # of the event loop, in which tasks react to one instant; what needs the network needs `until_waiting`
PATIENCE_S = 5.0  # real seconds, after which a test has gone wrong

Result = TypeVar("Result")


@dataclass(order=True, slots=True)
class _Due:
    at_s: float
    number: int
    fire: Callable[[], None] = field(compare=False)


class ManualClock:
    """A `clock.Clock` for tests. It belongs to the event loop that first waits at it.

    What is due fires in the order of its instants, and of its making where those are equal.
    """

    def __init__(self, now_s: float = 1_000.0, wall_s: float = 1_800_000_000.0) -> None:
        self._now_s = now_s
        self._wall_ahead_s = wall_s - now_s
        self._made = 0
        self._due: list[_Due] = []
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_loop = threading.Event()

    def now(self) -> float:
        return self._now_s

    def wall(self) -> float:
        return self._now_s + self._wall_ahead_s

    async def sleep(self, for_s: float) -> None:
        if for_s <= 0:
            await asyncio.sleep(0)
            return
        over = asyncio.Event()
        with self._waiting(self._now_s + for_s, over.set):
            await over.wait()

    @asynccontextmanager
    async def timeout_at(self, instant_s: float) -> AsyncGenerator[None]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as timeout:
            if instant_s <= self._now_s:
                timeout.reschedule(loop.time())
                yield
                return
            with self._waiting(instant_s, lambda: timeout.reschedule(loop.time())):
                yield

    @property
    def waiting(self) -> int:
        """How many sleeps and timeouts have not come to their end."""
        return len(self._due)

    async def until_waiting(self, count: int = 1) -> None:
        """Return once so many sleeps and timeouts wait here; for tasks that must first hear from the network."""
        async with asyncio.timeout(PATIENCE_S):
            while self.waiting < count:
                self._changed.clear()
                await self._changed.wait()

    async def advance(self, for_s: float) -> None:
        """Let so much time pass; each task that becomes ready runs until it waits again, at the instant of its due."""
        until_s = self._now_s + for_s
        await _settle()
        while self._due and self._due[0].at_s <= until_s:
            due = heapq.heappop(self._due)
            self._now_s = max(self._now_s, due.at_s)
            due.fire()
            await _settle()
        self._now_s = until_s

    def from_another_thread(self, doing: Coroutine[None, None, Result]) -> Result:
        """Run this on the clock's loop, for example `clock.advance(300)`, and wait for it.

        Where nobody has waited at the clock yet, wait for the first to come.
        """
        if not self._has_loop.wait(PATIENCE_S) or self._loop is None:
            doing.close()
            raise TimeoutError("nobody waits at this clock")
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(PATIENCE_S)

    @contextmanager
    def _waiting(self, instant_s: float, fire: Callable[[], None]) -> Generator[None]:
        self._made += 1
        due = _Due(instant_s, self._made, fire)
        heapq.heappush(self._due, due)
        self._changed.set()
        self._loop = asyncio.get_running_loop()
        self._has_loop.set()
        try:
            yield
        finally:
            if due in self._due:
                self._due.remove(due)
                heapq.heapify(self._due)


async def _settle() -> None:
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
