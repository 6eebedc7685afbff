"""Custom items that do nothing: what pytest itself takes for as many items."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.work import WORK_FILE, Work


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "EmptyFile | None":
    if file_path.name != WORK_FILE:
        return None
    return EmptyFile.from_parent(parent, path=file_path)  # pyright: ignore[reportUnknownMemberType]


class EmptyFile(pytest.File):
    """The work, of which nothing is done."""

    def collect(self) -> Iterator["EmptyItem"]:
        for number in range(Work.load(self.path).trips):
            yield EmptyItem.from_parent(self, name=f"n{number:05}")  # pyright: ignore[reportUnknownMemberType]


class EmptyItem(pytest.Item):
    """No trip."""

    def runtest(self) -> None:
        pass
