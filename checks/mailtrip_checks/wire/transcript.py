"""The record of one connection: what was said, and how long each step took."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import NamedTuple, overload

from mailtrip_checks.clock import Clock
from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import TripError
from mailtrip_checks.outcome import Direction, Line, Stage
from mailtrip_checks.secrets import Masker

LONGEST_LINE = 2_000  # characters of one line that are kept
MOST_LINES = 500  # of one connection, or what was said at once as one; the oldest go first
MOST_SHOWN = 120  # of one connection to one trip


class _Said(NamedTuple):
    """What was said at once, in one line or several; `text` is not masked."""

    at_s: float
    direction: Direction
    text: str


class Excerpt:
    """A part of a dialogue. Its lines are made, and masked, when somebody wants to read them: few are ever read."""

    def __init__(self, said: tuple[_Said, ...], leg: Leg, masker: Masker, about: str) -> None:
        self._said = said
        self._leg = leg
        self._masker = masker
        self._about = about

    def lines(self) -> tuple[Line, ...]:
        """All of it, each line masked.

        Of more than `MOST_SHOWN` the first and the last are given, and those between that name what it is about: at a
        mailbox that many share, the rest is the others' business.
        """
        about = self._about
        lines = tuple(line for said in self._said for line in self._lines_of(said))
        if len(lines) <= MOST_SHOWN:
            return lines
        end = len(lines) - MOST_SHOWN * 2 // 3
        between = lines[MOST_SHOWN // 3 : end]
        named = tuple(line for line in between if about and about in line.text)
        left_out = len(between) - len(named)
        note = Line(between[-1].at_s, self._leg, Direction.NOTE, f"({left_out} lines left out)")
        return (*lines[: MOST_SHOWN // 3], *named, *([note] if left_out else []), *lines[end:])

    def _lines_of(self, said: _Said) -> list[Line]:
        texts = self._masker.mask(said.text).splitlines()
        return [Line(said.at_s, self._leg, said.direction, text) for text in texts]


class Lines(Sequence[Line]):
    """The lines of some excerpts by their time, made when first read, by whom and in whose thread that may be."""

    def __init__(self, excerpts: Iterable[Excerpt]) -> None:
        self._excerpts = tuple(excerpts)

    @cached_property
    def _lines(self) -> tuple[Line, ...]:
        lines = (line for excerpt in self._excerpts for line in excerpt.lines())
        return tuple(sorted(lines, key=lambda line: line.at_s))

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    @overload
    def __getitem__(self, index: int) -> Line: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Line]: ...
    def __getitem__(self, index: int | slice) -> Line | Sequence[Line]:
        return self._lines[index]


class Transcript:
    """The dialogue of one connection."""

    def __init__(self, clock: Clock, leg: Leg, masker: Masker) -> None:
        self._clock = clock
        self._leg = leg
        self._masker = masker
        self.doing = ""
        """What takes the time now, with host and port: `waiting for the greeting at mail.example.com:25`."""
        self._said: deque[_Said] = deque(maxlen=MOST_LINES)
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
        """The place from which `since` can start."""
        return self._added

    def since(self, mark: int, about: str = "") -> Excerpt:
        """What was said after `mark`, as far as it is still kept; `about` is what its reader wants to know of."""
        newest_first = islice(reversed(self._said), self._added - mark)
        return Excerpt(tuple(newest_first)[::-1], self._leg, self._masker, about)

    def _add(self, direction: Direction, text: str) -> None:
        if len(text) > LONGEST_LINE:
            # What is not kept whole is masked before it is cut: half a secret would not be recognized.
            text = "\n".join(map(_cut, self._masker.mask(text).splitlines()))
        if text:
            self._said.append(_Said(self._clock.now(), direction, text))
            self._added += 1


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}… ({len(text)} characters)"


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
