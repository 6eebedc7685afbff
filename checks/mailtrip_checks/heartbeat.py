"""What the loop itself adds to the times that it measures, and what keeps that small.

A loop that is late, because something computes on it or beside it, notes bytes late too. So it looks at itself: a beat
is due every 20 ms, and how late it comes is how late anything may have been noted just then.
"""

import asyncio
import gc

from mailtrip_checks.clock import Clock

BEAT_S = 0.02
WINDOW_S = 0.25


class Heartbeat:
    """The lag of the loop, from `start` to `stop`, and again; both are called on the loop.

    Meanwhile full garbage collections are kept short. They stop every thread until each object has been looked at, half
    a second for 10,000 trips; what is frozen is not looked at, and is freed as ever once nothing refers to it. Only
    cycles of objects wait until `stop`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_at_s = clock.now()
        self._greatest_s: list[float] = []  # lag in each window since then
        self._due_at_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Beat; nothing where it beats already."""
        if self._timer is None:
            self._next()

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            gc.unfreeze()

    def _next(self) -> None:
        loop = asyncio.get_running_loop()
        self._due_at_s = loop.time() + BEAT_S
        self._timer = loop.call_at(self._due_at_s, self._beat)

    def _beat(self) -> None:
        self._note(max(asyncio.get_running_loop().time() - self._due_at_s, 0.0))
        self._next()

    def _note(self, lag_s: float) -> None:
        window = self._window(self._clock.now())
        if window >= len(self._greatest_s):
            self._greatest_s += [0.0] * (window + 1 - len(self._greatest_s))
            gc.freeze()
        self._greatest_s[window] = max(self._greatest_s[window], lag_s)

    def _window(self, instant_s: float) -> int:
        return max(int((instant_s - self._began_at_s) / WINDOW_S), 0)

    def lag_s(self, since_s: float, until_s: float) -> float:
        """The greatest lag between these instants, or a quarter of a second around them."""
        return max(self._greatest_s[self._window(since_s) : self._window(until_s) + 1], default=0.0)
