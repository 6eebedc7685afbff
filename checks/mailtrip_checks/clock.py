"""The one module that reads the time and sleeps; everything else is given a clock."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Clock(Protocol):
    """What the domain needs of time. All instants are seconds of one monotonic clock."""

    def now(self) -> float:
        """The monotonic instant, in seconds."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    async def sleep(self, for_s: float) -> None:
        """Return after `for_s` seconds; at once where that is not positive."""
        ...

    def timeout_at(self, instant_s: float) -> AbstractAsyncContextManager[object]:
        """Cancel the body at `instant_s` and raise TimeoutError from the `async with`."""
        ...


class SystemClock:
    """The machine's own time. `now` is the running event loop's clock, `time.monotonic`."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, for_s: float) -> None:
        await asyncio.sleep(max(for_s, 0))

    def timeout_at(self, instant_s: float) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout_at(instant_s)
