"""A YAML file as text with places: a scalar stays text until the key that holds it says what it is.

So `no`, `12:30`, `0123` and `2026-11-01` are what their author wrote, and a password of digits keeps its zeros.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self, TypeAlias

from mailtrip_checks.definitions.mistakes import Mark, Mistakes

Tree: TypeAlias = "Text | Map | Items | None"

REFERENCE: Final = "${"


class Text(str):
    """A scalar and its place. `written` is what may be shown of it: never what came through a `${…}` or a URL."""

    __slots__ = ("at", "written")
    at: Mark
    written: str

    def __new__(cls, value: str, at: Mark, written: str | None = None) -> Self:
        text = super().__new__(cls, value)
        text.at = at
        text.written = value if written is None else written
        return text

    @property
    def literal(self) -> bool:
        """Whether it stands in the file as it is."""
        return self.written == str(self)


class Map(dict[str, Tree]):
    """A mapping and its place; the keys are `Text`, or plain text where no file wrote them."""

    __slots__ = ("at",)

    def __init__(self, at: Mark, entries: Iterable[tuple[str, Tree]] = ()) -> None:
        super().__init__(entries)
        self.at = at

    def key_mark(self, key: str) -> Mark:
        """Where the key stands, or the mapping if it does not."""
        written = next((known for known in self if known == key), None)
        return written.at if isinstance(written, Text) else self.at


class Items(list[Tree]):
    """A list and its place."""

    __slots__ = ("at",)

    def __init__(self, at: Mark, items: Iterable[Tree] = ()) -> None:
        super().__init__(items)
        self.at = at


def listed(value: Tree) -> Tree:
    """A single text as a list of one; all else as it is."""
    return Items(value.at, [value]) if isinstance(value, Text) else value


def is_file(path: Path) -> bool:
    """Whether a regular file is there, and may be seen."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_text(path: Path, mistakes: Mistakes) -> str | None:
    """A UTF-8 file; None, and a mistake, where it is none."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        mistakes.add(Mark(path), "", f"cannot be read ({error.strerror}); check that it is there and readable")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = place_behind(raw[: error.start].decode("utf-8-sig", "replace"))
        mistakes.add(Mark(path, line, column), "", "is not UTF-8 text; save the file as UTF-8")
        return None


def place_behind(before: str) -> tuple[int, int]:
    """Line and column of what follows this text."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")
