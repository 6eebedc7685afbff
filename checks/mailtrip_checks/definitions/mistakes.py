"""What is wrong in a definition, where, and what to write instead."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    path: Path
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Mistake:
    """`key` is the dotted way to the key inside its trip, "" for the file; `what` never holds a secret."""

    path: Path
    line: int
    column: int
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {f'{self.key}: ' if self.key else ''}{self.what}"


class DefinitionError(ValueError):
    """A file and the `mailtrip.yaml` files above it hold these mistakes: all of them, in the order of the files."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


class Mistakes:
    """Collects mistakes; one that many trips inherit, or that a matrix repeats, counts once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Mark, str], Mistake] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, mark: Mark, key: str, what: str) -> None:
        self._found.setdefault((mark, what), Mistake(*mark, key, what))

    def include(self, mistakes: Iterable[Mistake]) -> None:
        for known in mistakes:
            self.add(Mark(known.path, known.line, known.column), known.key, known.what)

    def all(self) -> tuple[Mistake, ...]:
        """By file, line and column."""
        return tuple(sorted(self._found.values(), key=lambda found: (str(found.path), found.line, found.column)))

    def raise_any(self) -> None:
        if self._found:
            raise DefinitionError(self.all())


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing where no known word is near; case counts for nothing."""
    by_lower = {name.lower(): name for name in sorted(known)}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean `{by_lower[near[0]]}`?" if near else ""


def one_of(known: Iterable[str]) -> str:
    """`a, b or c`."""
    *most, last = known
    return f"{', '.join(most)} or {last}" if most else last
