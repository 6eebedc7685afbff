"""SIGTERM ends a run in order, so that what was sent is still deleted."""

import signal
import threading
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


def _terminate(number: int, frame: FrameType | None) -> None:
    pytest.exit("terminated by SIGTERM", returncode=TERMINATED)
