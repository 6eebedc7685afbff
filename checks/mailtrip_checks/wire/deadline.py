"""Deadlines that say what took too long."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from mailtrip_checks.clock import Clock
from mailtrip_checks.errors import TimedOut


@asynccontextmanager
async def within(
    clock: Clock, for_s: float, what: str | Callable[[], str], *, spent_s: float = 0.0
) -> AsyncGenerator[None]:
    """Bound the body to `for_s` seconds; past that it is cancelled, and TimedOut names `what`.

    `spent_s` of them are gone already. A callable names what is being done when the time is up.

    A TimeoutError of the body's own (ETIMEDOUT from the kernel) ends the same way.
    """
    try:
        async with clock.timeout_at(clock.now() + for_s - spent_s):
            yield
    except TimedOut:
        raise
    except TimeoutError as error:
        doing = what if isinstance(what, str) else what()
        raise TimedOut(f"{doing}: no answer within {for_s:g} s") from error
