"""JSON lines: one record a line, as `--mailtrip-jsonl=FILE` writes them (docs/records.md)."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from mailtrip_reports.record import Record


class UnwritableReport(OSError):
    """A report cannot be written; the message says which, why, and what to do."""


class JsonLines:
    """Appends records to a file that others may append to and read at the same time.

    The file is opened, and its folders are made, by `open` or at the first record. Each line is one write to a file
    opened for appending, so lines of several processes do not mix. Raises UnwritableReport.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None
        self._has_written = False

    def open(self) -> None:
        """Learn now, and not at the first record, whether it can be written; nothing where it is open."""
        with self._told():
            self._opened()

    def write(self, record: Record) -> None:
        """Append one line; when this returns, the operating system has it."""
        line = record.to_json().encode("ascii") + b"\n"
        with self._told():
            file = self._opened()
            line = b"\n" + line if not self._has_written and _is_torn(self.path) else line
            self._has_written = True
            while line:
                line = line[file.write(line) :]

    def _opened(self) -> FileIO:
        if self._file is None:
            with suppress(FileExistsError):  # a file in its place; to open says it better
                self.path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer, or what a full disk refused would be tried again when the file is closed.
            self._file = self.path.open("ab", buffering=0)
        return self._file

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise UnwritableReport(
                f"{self.path}: the records cannot be written: {error.strerror or error}; "
                "name a file that you may write with --mailtrip-jsonl"
            ) from error

    def close(self) -> None:
        """Nothing is lost without it; it gives the file back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _is_torn(path: Path) -> bool:
    """Whether the last line has no end: a run was killed while it wrote, and ours must not join it."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"
