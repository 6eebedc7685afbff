"""The plugin as one would write it first: each item runs its own trip, and pytest runs one item after another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.candidates.stdlib_trip import round_trip
from benchmarks.work import WORK_FILE, Work


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "NaiveFile | None":
    if file_path.name != WORK_FILE:
        return None
    return NaiveFile.from_parent(parent, path=file_path)  # pyright: ignore[reportUnknownMemberType]


class NaiveFile(pytest.File):
    """The work."""

    def collect(self) -> Iterator["NaiveItem"]:
        work = Work.load(self.path)
        for number in range(work.trips):
            yield NaiveItem.from_parent(self, name=f"n{number:05}", work=work, number=number)  # pyright: ignore[reportUnknownMemberType]


class NaiveItem(pytest.Item):
    """One trip."""

    def __init__(self, *, work: Work, number: int, **kw: Any) -> None:
        super().__init__(**kw)  # pyright: ignore[reportUnknownMemberType]
        self._work = work
        self._number = number

    def runtest(self) -> None:
        round_trip(self._work, self._number)
