"""Deadlines that say what took too long."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from mailtrip_checks.clock import Clock
from mailtrip_checks.errors import TimedOut


class within(AbstractAsyncContextManager[None]):  # noqa: N801  (a class, for a generator costs each step twice as much)
    """Bound the body to `for_s` seconds; past that it is cancelled, and TimedOut names `what`.

    `spent_s` of them are gone already. A callable names what is being done when the time is up.

    A TimeoutError of the body's own (ETIMEDOUT from the kernel) ends the same way.
    """

    def __init__(self, clock: Clock, for_s: float, what: str | Callable[[], str], *, spent_s: float = 0.0) -> None:
        self._for_s = for_s
        self._what = what
        self._timeout = clock.timeout_at(clock.now() + for_s - spent_s)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise self._timed_out() from late
        if isinstance(error, TimeoutError) and not isinstance(error, TimedOut):
            raise self._timed_out() from error

    def _timed_out(self) -> TimedOut:
        doing = self._what if isinstance(self._what, str) else self._what()
        return TimedOut(f"{doing}: no answer within {self._for_s:g} s")
