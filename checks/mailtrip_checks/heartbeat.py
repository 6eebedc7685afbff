"""What the loop itself adds to the times that it measures, and what keeps that small.

A loop that is late, because something computes on it or beside it, notes bytes late too. So it looks at itself: a beat
is due every 20 ms, and how late it comes is how late anything may have been noted just then.
"""

import asyncio
import math
import time
from bisect import bisect_left, bisect_right
from contextlib import ExitStack

from mailtrip_checks.garbage import collect_young, rare_full_collections

BEAT_S = 0.02
NOTED_S = 0.002  # less is what epoll, which waits whole milliseconds, and the other work of one turn take
MOST_NOTED = 100_000


class Heartbeat:
    """The lag of the loop, from `start` to `stop`, and again; full garbage collections are rare meanwhile.

    A stall is seen less the part of a beat that had passed when it began. All but `lag_s` is called on the loop.
    """

    def __init__(self) -> None:
        # Of each stall noted: sorted, for one begins after the other has ended.
        self._began_at_s: list[float] = []
        self._ended_at_s: list[float] = []
        self._lengths_s: list[float] = []
        self._due_at_s = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._beats = 0
        self._many = False
        self._rare_collections = ExitStack()

    def start(self, *, many: bool = False) -> None:
        """Beat; nothing where it beats already. Where `many` trips fly, each beat searches young garbage, too."""
        self._many |= many
        if self._timer is None:
            self._rare_collections.enter_context(rare_full_collections())
            self._next(asyncio.get_running_loop())

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._due_at_s, self._many = None, math.inf, False
            self._rare_collections.close()

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_at_s = loop.time() + BEAT_S
        self._timer = loop.call_at(self._due_at_s, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        if now_s - self._due_at_s > NOTED_S:
            self._note(self._due_at_s, now_s)
        self._beats += 1
        if self._many:
            collect_young(self._beats)
        self._next(loop)

    def _note(self, began_at_s: float, ended_at_s: float) -> None:
        self._began_at_s.append(began_at_s)
        self._ended_at_s.append(ended_at_s)
        self._lengths_s.append(ended_at_s - began_at_s)
        if len(self._lengths_s) > MOST_NOTED:
            for noted in (self._began_at_s, self._ended_at_s, self._lengths_s):
                del noted[: MOST_NOTED // 2]

    def lag_s(self, since_s: float, until_s: float) -> float:
        """The longest time for which the loop stood still between two of its instants; 0 where that was below 2 ms."""
        first, behind = bisect_right(self._ended_at_s, since_s), bisect_left(self._began_at_s, until_s)
        noted_s = max(self._lengths_s[first:behind], default=0.0)
        # What has come in is read before the beat that is late by the same stall.
        now_s = min(until_s, time.monotonic())  # the loop's clock
        overdue_s = now_s - max(self._due_at_s, since_s)
        return max(min(noted_s, until_s - since_s), overdue_s if overdue_s > NOTED_S else 0.0)
