"""JSON lines: one record a line, as `--mailtrip-jsonl=FILE` writes them (docs/records.md)."""

import errno
import os
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from mailtrip_reports.record import Record


class UnwritableReport(OSError):
    """A report cannot be written; the message says which, why, and what to do."""


class JsonLines:
    """Appends records to a file that others may append to and read at the same time.

    The file is opened, and its folders are made, at the first record. Each line is one write to a file opened for
    appending, so lines of several processes do not mix. Raises UnwritableReport.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def check(self) -> None:
        """Raise UnwritableReport where it is plain that nothing can be written; makes neither file nor folder."""
        place = self.path
        while not place.exists() and place != place.parent:
            place = place.parent
        if place.is_dir() == (place == self.path):
            raise self._unwritable(os.strerror(errno.EISDIR if place == self.path else errno.ENOTDIR))
        if not os.access(place, os.W_OK):
            raise self._unwritable(os.strerror(errno.EACCES))

    def write(self, record: Record) -> None:
        """Append one line; when this returns, the operating system has it."""
        line = record.to_json().encode("ascii") + b"\n"
        try:
            if self._file is None:
                self._file, torn = _opened(self.path)
                line = b"\n" + line if torn else line
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error

    def _unwritable(self, why: str) -> UnwritableReport:
        advice = "name a file that you may write with --mailtrip-jsonl"
        return UnwritableReport(f"{self.path}: the records cannot be written: {why}; {advice}")

    def close(self) -> None:
        """Nothing is lost without it; it gives the file back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _opened(path: Path) -> tuple[FileIO, bool]:
    """The file, and whether its last line is torn: then a run was killed while it wrote, and ours must not join it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.is_file() and path.stat().st_size > 0 and not _ends_with_newline(path)
    # Without a buffer, or what a full disk refused would be tried again when the file is closed.
    return path.open("ab", buffering=0), torn


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"
