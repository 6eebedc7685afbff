"""`${env:NAME}`, `${file:path}`, `${var:name}`, `${matrix.axis.column}`: values that come from outside.

They are filled in after YAML is parsed, and what came in is not looked at again, so no value can change the
definition around it. What they give is never shown in a mistake.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from mailtrip_checks.definitions.mistakes import Mistakes, did_you_mean
from mailtrip_checks.definitions.tree import REFERENCE, Items, Map, Text, Tree, is_file

_KINDS: Final = "${env:NAME}, ${file:path}, ${var:name} or ${matrix.name}"
_OF_A_ROW: Final = f"{REFERENCE}matrix."
_BOUNDS: Final = re.compile(rf"{re.escape(REFERENCE)}|\}}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A name that was put together is shown only if it looks like a variable's: it might be a password, put in by mistake.
_CLEARLY_A_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_LARGEST_FILE: Final = 1024 * 1024


@lru_cache  # each row of a matrix fills in the same texts
def pieces(text: str) -> tuple[tuple[str, bool], ...]:
    """The text cut into literal parts and whole `${…}`, each with whether it is a reference; raises ValueError."""
    found: list[tuple[str, bool]] = []
    at = 0
    while (start := text.find(REFERENCE, at)) >= 0:
        if start > at:
            found.append((text[at:start], False))
        at = _end(text, start)
        found.append((text[start:at], True))
    if at < len(text):
        found.append((text[at:], False))
    return tuple(found)


def _end(text: str, start: int) -> int:
    """Just behind the `}` that closes the `${` at `start`."""
    depth = 0
    for bound in _BOUNDS.finditer(text, start):
        depth += 1 if bound[0] == REFERENCE else -1
        if not depth:
            return bound.end()
    raise ValueError("has a `${` without its `}`; write ${env:NAME}")


@dataclass(frozen=True, slots=True)
class Row:
    """One combination of a matrix: its id, and `axis` or `axis.column` to value. Without a matrix both are empty."""

    id: str = ""
    cells: Mapping[str, str] | None = None

    def hint(self, written: str) -> str:
        """For the end of a mistake in a text that was written so; nothing where that is the same in every row."""
        is_of_row = not written or _OF_A_ROW in written  # of a part of a URL, nothing is known
        return f" (in row `{self.id}`)" if self.id and is_of_row else ""


NO_ROW: Final = Row()


def reads_row(tree: Tree) -> bool:
    """Whether there is a `${matrix.…}` anywhere inside; if not, it is the same in every row."""
    if isinstance(tree, Text):
        return _OF_A_ROW in tree
    inner = tree.values() if isinstance(tree, Map) else tree if isinstance(tree, Items) else ()
    return any(map(reads_row, inner))


class References:
    """Fills in what comes from outside."""

    def __init__(self, environ: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self._environ = environ
        self._variables = variables
        self._files: dict[Path, str] = {}

    def fill_map(self, tree: Map, row: Row, key: str, mistakes: Mistakes) -> Map:
        """The mapping with every reference replaced; each that cannot be is a mistake, and stays."""
        prefix = f"{key}." if key else ""
        return Map(
            tree.at, [(name, self.fill(value, row, f"{prefix}{name}", mistakes)) for name, value in tree.items()]
        )

    def fill(self, tree: Tree, row: Row, key: str, mistakes: Mistakes) -> Tree:
        """As `fill_map`, for any tree."""
        if isinstance(tree, Text):
            return self._fill_text(tree, row, key, mistakes) if REFERENCE in tree else tree
        if isinstance(tree, Map):
            return self.fill_map(tree, row, key, mistakes)
        if isinstance(tree, Items):
            return Items(tree.at, [self.fill(item, row, key, mistakes) for item in tree])
        return None

    def _fill_text(self, text: Text, row: Row, key: str, mistakes: Mistakes) -> Text:
        try:
            filled = self._replace(text, text, row)
            filled.encode()
        except UnicodeEncodeError:
            mistakes.add(text.at, key, "is not UTF-8 where it comes from; set it as UTF-8 text")
        except ValueError as error:
            mistakes.add(text.at, key, f"{error}{row.hint(text)}")
        else:
            return Text(filled, text.at, text.written)
        return Text(str(text), text.at)

    def _replace(self, part: str, whole: Text, row: Row) -> str:
        return "".join(
            self._value(piece, whole, row) if is_reference else piece for piece, is_reference in pieces(part)
        )

    def _value(self, reference: str, whole: Text, row: Row) -> str:
        inner = reference[2:-1]
        if inner.startswith("matrix."):
            return _cell(inner.removeprefix("matrix."), row)
        kind, colon, argument = inner.partition(":")
        if colon and kind == "env":
            return self._variable(argument, whole, row)
        if colon and kind == "var":
            return self._given(argument, whole, row)
        if colon and kind == "file":
            return self._file(argument, whole, row)
        raise ValueError(f"has a `${{…}}` of no kind that there is; write {_KINDS}")

    def _variable(self, argument: str, whole: Text, row: Row) -> str:
        name_part, has_default, default = _split_default(argument)
        name = self._replace(name_part, whole, row)
        shown = _shown_name(name, name_part)
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{shown} gives no name of an environment variable; use letters, digits and _")
        value = self._environ.get(name)
        if has_default and not value:
            return self._replace(default, whole, row)
        if value is None:
            example = name if shown == f"`{name}`" else "NAME"
            raise ValueError(
                f"the environment variable {shown} is not set; set it with `export {example}=…`, "
                f"or write ${{env:{example}:-default}}"
            )
        return value

    def _given(self, argument: str, whole: Text, row: Row) -> str:
        name = self._replace(argument, whole, row)
        if name in self._variables:
            return self._variables[name]
        shown = _shown_name(name, argument)
        near = did_you_mean(name, self._variables) if name == argument else ""
        raise ValueError(f"the variable {shown} is not given; run with --mailtrip-var NAME=value{near}")

    def _file(self, argument: str, whole: Text, row: Row) -> str:
        path = whole.at.path.parent / self._replace(argument, whole, row).replace("\0", "�")
        if path not in self._files:
            self._files[path] = _file_text(path, argument)
        return self._files[path]


def _split_default(argument: str) -> tuple[str, bool, str]:
    """`NAME:-default` at the first `:-` that is outside an inner reference."""
    at = 0
    for piece, is_reference in pieces(argument):
        cut = -1 if is_reference else piece.find(":-")
        if cut >= 0:
            return argument[: at + cut], True, argument[at + cut + 2 :]
        at += len(piece)
    return argument, False, ""


def _shown_name(name: str, written: str) -> str:
    return f"`{name}`" if name == written or _CLEARLY_A_NAME.fullmatch(name) else f"that `{written}` names"


def _file_text(path: Path, written: str) -> str:
    """The file's text without the line end that closes it."""
    if not is_file(path):
        raise ValueError(f"the file `{written}` is not there; write a path relative to this file")
    try:
        with path.open("rb") as stream:
            raw = stream.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ValueError(f"the file `{written}` cannot be read ({error.strerror}); check its rights") from None
    if len(raw) > _LARGEST_FILE:
        raise ValueError(f"the file `{written}` is larger than 1 MiB; no value needs that")
    try:
        return raw.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"the file `{written}` is not UTF-8 text; save it as UTF-8") from None


def _cell(name: str, row: Row) -> str:
    if row.cells is None:
        raise ValueError("reads a matrix, but this trip has none; add `matrix:` to the trip")
    value = row.cells.get(name)
    if value is not None:
        return value
    columns = sorted(known for known in row.cells if known.startswith(f"{name}."))
    if columns:
        raise ValueError(f"names a whole row; name a column, as in ${{matrix.{columns[0]}}}")
    near = did_you_mean(name, row.cells) or f"; there is {', '.join(sorted(row.cells))}"
    raise ValueError(f"`${{matrix.{name}}}` is not in this trip's matrix{near}")
