"""SIGTERM ends a run in order, so that what was sent is still deleted."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import pytest

_INSTALLED = pytest.StashKey[bool]()
TERMINATED = 128 + signal.SIGTERM


def install(config: pytest.Config) -> None:
    """Take SIGTERM, only where the default stands: somebody else's handler has its reasons."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
        config.stash[_INSTALLED] = True


def restore(config: pytest.Config) -> None:
    """Give it back."""
    if config.stash.get(_INSTALLED, False) and signal.getsignal(signal.SIGTERM) is _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def noted() -> Generator[Callable[[], bool]]:
    """While it holds, SIGINT and SIGTERM raise nothing, wherever the program stands; it gives whether one came."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = [number for number, handler in before.items() if callable(handler)]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield lambda: bool(came)
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _terminate(number: int, frame: FrameType | None) -> None:
    pytest.exit("terminated by SIGTERM", returncode=TERMINATED)
