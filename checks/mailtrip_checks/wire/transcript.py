"""The record of one connection: what was said, and how long each step took."""

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from mailtrip_checks.clock import Clock
from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import TripError
from mailtrip_checks.outcome import Direction, Line, Stage
from mailtrip_checks.secrets import Masker

LONGEST_LINE = 2_000  # characters of one line that are kept
MOST_LINES = 1_000  # of one connection; the oldest go first
MOST_SHOWN = 120  # of one connection to one trip


class Transcript:
    """The dialogue of one connection, each line masked as it is added."""

    def __init__(self, clock: Clock, leg: Leg, masker: Masker) -> None:
        self._clock = clock
        self._leg = leg
        self._masker = masker
        self.doing = ""
        """What takes the time now, with host and port: `waiting for the greeting at mail.example.com:25`."""
        self._lines: deque[Line] = deque(maxlen=MOST_LINES)
        self._added = 0

    def sent(self, text: str) -> None:
        """We said this; it may hold several lines."""
        self._add(Direction.SENT, text)

    def received(self, text: str) -> None:
        """The server said this; it may hold several lines."""
        self._add(Direction.RECEIVED, text)

    def note(self, text: str) -> None:
        """A remark of our own: an address tried, a handshake done."""
        self._add(Direction.NOTE, text)

    def mark(self) -> int:
        """The place from which `since` can start: the number of lines so far."""
        return self._added

    def since(self, mark: int, about: str = "") -> tuple[Line, ...]:
        """The lines added after `mark` that are still kept.

        Of more than `MOST_SHOWN` the first and the last are given, and those between that name `about`: at a mailbox
        that many share, the rest is the others' business.
        """
        lines = tuple(self._lines)[max(mark - self._added + len(self._lines), 0) :]
        if len(lines) <= MOST_SHOWN:
            return lines
        end = len(lines) - MOST_SHOWN * 2 // 3
        between = lines[MOST_SHOWN // 3 : end]
        named = tuple(line for line in between if about and about in line.text)
        left_out = len(between) - len(named)
        note = Line(between[-1].at_s, self._leg, Direction.NOTE, f"({left_out} lines left out)")
        return (*lines[: MOST_SHOWN // 3], *named, *([note] if left_out else []), *lines[end:])

    def _add(self, direction: Direction, text: str) -> None:
        at_s = self._clock.now()
        for line in self._masker.mask(text).splitlines():
            kept = line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}… ({len(line)} characters)"
            self._lines.append(Line(at_s, self._leg, direction, kept))
            self._added += 1


class Stages:
    """Collects the stages of one leg in the order in which they ended."""

    def __init__(self, clock: Clock, leg: Leg) -> None:
        self._clock = clock
        self.leg = leg
        self.taken: list[Stage] = []

    @contextmanager
    def of(self, name: str) -> Generator[None]:
        """Time the body, also when it fails; a TripError from it learns leg and stage."""
        started_at_s = self._clock.now()
        try:
            yield
        except TripError as error:
            if error.leg is None:
                error.leg, error.stage = self.leg, name
            raise
        finally:
            self.add(name, started_at_s, self._clock.now())

    def add(self, name: str, started_at_s: float, ended_at_s: float) -> None:
        """Record a stage that was timed elsewhere; one that goes on with the last becomes one with it."""
        length_s = ended_at_s - started_at_s
        if self.taken and self.taken[-1].name == name:
            last = self.taken.pop()
            started_at_s, length_s = last.started_at_s, last.length_s + length_s
        self.taken.append(Stage(self.leg, name, started_at_s, length_s))
