"""Weekly windows: when a trip may run, and when it may not. The clock on the wall of the window's zone decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Window:
    """From `start_min` to before `end_min`, minutes of the day in `zone`, on `days` (0 is Monday).

    One that does not end later than it starts goes on over midnight; `days` are those on which it starts. `text` is as
    written. An hour that a change of clocks repeats is in it twice, one that is left out never comes.
    """

    text: str
    days: frozenset[int]
    start_min: int
    end_min: int
    zone: tzinfo

    def holds(self, wall_s: float) -> bool:
        """Whether this instant, Unix time, is inside."""
        there = self._there(wall_s)
        today = there.weekday()
        minute = there.hour * 60 + there.minute
        if self.start_min < self.end_min:
            return today in self.days and self.start_min <= minute < self.end_min
        since_yesterday = (today - 1) % 7 in self.days and minute < self.end_min
        return since_yesterday or (today in self.days and minute >= self.start_min)

    def told(self, wall_s: float) -> str:
        """The window, and what time it is where it counts."""
        there = self._there(wall_s)
        return f"`{self.text}` (there it is {DAYS[there.weekday()]} {there:%H:%M})"

    def _there(self, wall_s: float) -> datetime:
        return datetime.fromtimestamp(wall_s, self.zone)


def closed(schedule: Sequence[Window], maintenance: Sequence[Window], wall_s: float) -> str:
    """Why a trip does not start at this instant, Unix time; "" where it may. An empty schedule is always open."""
    for window in maintenance:
        if window.holds(wall_s):
            return f"inside its maintenance {window.told(wall_s)}"
    if schedule and not any(window.holds(wall_s) for window in schedule):
        return f"outside its schedule {', '.join(window.told(wall_s) for window in schedule)}"
    return ""
