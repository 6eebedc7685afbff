"""One line on a terminal that shows a waiting run, and leaves no trace in a log."""

from __future__ import annotations

import os
import unicodedata
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest

    from mailtrip_checks.engine import Engine, Status

_ERASE_TO_END = "\x1b[K"
_NARROWEST = 20


class LiveLine:
    """Written behind what pytest has written on its line, and taken away before pytest goes on.

    It goes to the terminal itself: pytest's own writer would count our characters as part of its line, and standard
    output is captured while an item runs.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._writer = config.get_terminal_writer()
        on_a_terminal = self._writer.hasmarkup and not hasattr(config, "workerinput")
        self._wanted = on_a_terminal and config.get_verbosity() >= 0
        self._engine: Engine | None = None
        self._terminal: int | None = None
        self._shown = 0

    @contextmanager
    def shown(self, engine: Engine) -> Generator[None]:
        """Let `update` show the engine's status; wiped out at the end, whatever ends it."""
        self._engine = engine
        with suppress(OSError):  # there is no terminal to write to
            self._terminal = os.open("/dev/tty", os.O_WRONLY | os.O_NOCTTY) if self._wanted else None
        try:
            yield
        finally:
            self._write("")
            if self._terminal is not None:
                os.close(self._terminal)
                self._terminal = None

    def update(self) -> None:
        """Show how the run stands now."""
        room = self._writer.fullwidth - self._writer.width_of_current_line - 1
        # The status of thousands of trips takes the interpreter from them: only where somebody sees it.
        if self._engine is not None and self._terminal is not None and room >= _NARROWEST:
            self._write(fitting(status_text(self._engine.status()), room))

    def _write(self, text: str) -> None:
        if self._terminal is None or not (text or self._shown):
            return
        with suppress(OSError):
            os.write(self._terminal, ("\b" * self._shown + _ERASE_TO_END + text).encode())
        self._shown = columns(text)


def columns(text: str) -> int:
    """How many columns a terminal takes for it: two for a wide character, none for a mark on the one before it."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def fitting(text: str, room: int) -> str:
    """As much of the start of the text as fits into so many columns."""
    while columns(text) > room:
        text = text[:-1]
    return text


def status_text(status: Status) -> str:
    """For example ` 12 in flight, 300 arrived, 45/s, 85 queued, longest: inbox 4 s`."""
    rate = f", {status.rate_per_s:.0f}/s" if status.rate_per_s >= 1 else ""
    queued = f", {status.queued} queued" if status.queued else ""
    resting = f", {status.resting} between runs" if status.resting else ""
    longest = f", longest: {status.longest} {status.longest_s:.0f} s" if status.longest else ""
    return f" {status.in_flight} in flight, {status.arrived} arrived{rate}{queued}{resting}{longest}"
