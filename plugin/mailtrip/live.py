"""One line on a terminal that shows a waiting run, and leaves no trace in a log."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest
    from mailtrip_checks.engine import Engine, Status

_ERASE_TO_END = "\x1b[K"
_NARROWEST = 20


class LiveLine:
    """Written behind what pytest has written on its line, and taken away before pytest goes on."""

    def __init__(self, config: pytest.Config) -> None:
        self._writer = config.get_terminal_writer()
        on_a_terminal = self._writer.hasmarkup and not hasattr(config, "workerinput")
        self._wanted = on_a_terminal and config.get_verbosity() >= 0 and config.option.capture != "no"
        self._engine: Engine | None = None
        self._shown = 0

    @contextmanager
    def shown(self, engine: Engine) -> Generator[None]:
        """Show the engine's status at each `update`; wiped out at the end, whatever ends it."""
        self._engine = engine
        try:
            yield
        finally:
            self._write("")

    def update(self) -> None:
        """Show how the run stands now."""
        if self._engine is not None:
            self._write(status_text(self._engine.status()))

    def _write(self, text: str) -> None:
        room = self._writer.fullwidth - self._writer.width_of_current_line - 1
        if not self._wanted or (not text and not self._shown) or (text and room < _NARROWEST):
            return
        text = text[:room]
        # Straight to the file: the writer would count our characters as part of pytest's line.
        file = self._writer._file  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        file.write("\b" * self._shown + _ERASE_TO_END + text)
        file.flush()
        self._shown = len(text)


def status_text(status: Status) -> str:
    """For example ` 12 in flight, 3 arrived, 85 queued, longest: inbox 4 s`."""
    queued = f", {status.queued} queued" if status.queued else ""
    longest = f", longest: {status.longest} {status.longest_s:.0f} s" if status.longest else ""
    return f" {status.in_flight} in flight, {status.done} done{queued}{longest}"
