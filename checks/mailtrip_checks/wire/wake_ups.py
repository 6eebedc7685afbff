"""A bound on what one turn of the loop does, so that it soon looks again at what has come in."""

import asyncio
from collections import deque
from typing import Final

AT_ONCE: Final = 16


class WakeUps:
    """Wakes those who wait for bytes, but only `AT_ONCE` of them in a turn of the loop; the others go on in the next.

    Where thousands of mails come at once, hundreds of connections have something to read in the same turn. What came
    later would be noted only when all of them had worked it off, and its time would be wrong by that much.
    """

    def __init__(self) -> None:
        self._left = AT_ONCE
        self._due: deque[tuple[asyncio.Event, ...]] = deque()
        self._is_renewing = False

    def ring(self, *events: asyncio.Event) -> None:
        """Set all of them together, in this turn or as soon as it is their turn; on the loop."""
        if not self._left:
            self._due.append(events)
            return
        self._left -= 1
        for event in events:
            event.set()
        if not self._is_renewing:
            self._is_renewing = True
            asyncio.get_running_loop().call_soon(self._renew)

    def _renew(self) -> None:
        self._left, self._is_renewing = AT_ONCE, False
        for events in [self._due.popleft() for _ in range(min(AT_ONCE, len(self._due)))]:
            self.ring(*events)
