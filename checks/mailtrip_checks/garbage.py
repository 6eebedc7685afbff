"""How often Python searches all objects for cycles."""

import gc
import threading
from collections.abc import Generator
from contextlib import contextmanager

TIMES_RARER = 1000

_lock = threading.Lock()
_usual: list[tuple[int, int, int]] = []  # one for each who is inside; the first is what was set before


@contextmanager
def rare_full_collections() -> Generator[None]:
    """Search the oldest generation a thousand times less often, as long as anybody is inside.

    All threads stand still meanwhile, half a second where 10,000 trips are in flight. The young generations, where
    garbage is found soon, are searched as ever.
    """
    with _lock:
        _usual.append(gc.get_threshold())
        young, middle, old = _usual[0]
        gc.set_threshold(young, middle, old * TIMES_RARER)
    try:
        yield
    finally:
        with _lock:
            usual = _usual[0]
            _usual.pop()
            if not _usual:
                gc.set_threshold(*usual)


def collect_young(turn: int) -> None:
    """Search what is young, every fifth turn the middle generation with it; nothing where collection is switched off.

    Python does so where 700 objects more were made than freed. Where old ones are freed meanwhile, as at the end of
    each of thousands of trips, tens of thousands gather, and one search takes 20 to 60 ms; done often, one or two.
    """
    if gc.isenabled():
        gc.collect(turn % 5 == 0)
