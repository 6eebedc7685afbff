"""`matrix:`: many trips from one, a row of values for each."""

import csv
import io
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mailtrip_checks.definitions.mistakes import Mark, Mistakes
from mailtrip_checks.definitions.places import is_url
from mailtrip_checks.definitions.references import Row
from mailtrip_checks.definitions.tree import Items, Map, Text, Tree, is_file, read_text

_MOST_ROWS: Final = 100_000
_NO_COLUMNS: Final[list[str]] = []
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*")
_SECRET_KEYS: Final = ("password", "token", "client_secret", "refresh_token")
_READ: Final = re.compile(r"\$\{matrix\.([^${}:]+)")
_NOT_IN_SLUGS: Final = re.compile(r"[^A-Za-z0-9@._+-]+")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One value of an axis: `axis` to the value, or `axis.column` to the value of each column."""

    cells: dict[str, str]


def rows(matrix: Map, secret_cells: frozenset[str], mistakes: Mistakes) -> tuple[Row, ...] | None:
    """A row for each combination, ids safe for node ids; None, and a mistake, where there are none.

    `secret_cells` are the cells that a secret uses; none of them becomes part of an id.
    """
    axes = [_axis(name, value, matrix, mistakes) for name, value in matrix.items()]
    good = [axis for axis in axes if axis]
    if not axes:
        mistakes.add(matrix.at, "matrix", "is empty; write `name: [value, value]`, or leave it out")
    if not axes or len(good) < len(axes):
        return None
    count = 1
    for axis in good:
        count *= len(axis)
    if count > _MOST_ROWS:
        mistakes.add(matrix.at, "matrix", f"makes {count} trips, more than {_MOST_ROWS}; write fewer values")
        return None
    labelled = [
        [(_label(entry, index, secret_cells), entry.cells) for index, entry in enumerate(axis)] for axis in good
    ]
    found = tuple(_row(combination) for combination in itertools.product(*labelled))
    return found if _differ(found, matrix, mistakes) else None


def cells_read(tree: Tree) -> frozenset[str]:
    """The cells that `${matrix.…}` reads anywhere inside."""
    if isinstance(tree, Text):
        return frozenset(_READ.findall(tree))
    inner = tree.values() if isinstance(tree, Map) else tree if isinstance(tree, Items) else ()
    return frozenset(cell for part in inner for cell in cells_read(part))


def secret_cells(*trees: Tree) -> frozenset[str]:
    """The cells that a password, token or other secret anywhere inside reads."""
    found: frozenset[str] = frozenset()
    for tree in trees:
        if isinstance(tree, Map):
            found |= frozenset(cell for key in _SECRET_KEYS for cell in cells_read(tree.get(key)))
            found |= secret_cells(*tree.values())
    return found


def slug(text: str) -> str:
    """ASCII letters, digits and `@ . _ + -`: letters lose their accents, all else becomes `-`."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return _NOT_IN_SLUGS.sub("-", ascii_text).strip("-")


def _row(combination: tuple[tuple[str, dict[str, str]], ...]) -> Row:
    cells: dict[str, str] = {}
    for _, more in combination:
        cells |= more
    return Row("-".join(label for label, _ in combination), cells)


def _label(entry: _Entry, index: int, secret: frozenset[str]) -> str:
    # The column `id` comes first, else the order of writing holds.
    for name in sorted(entry.cells, key=lambda cell: not cell.endswith(".id")):
        value = entry.cells[name]
        if name not in secret and not is_url(value) and (found := slug(value)):
            return found
    return str(index + 1)


def _differ(found: tuple[Row, ...], matrix: Map, mistakes: Mistakes) -> bool:
    equal = [(row_id, times) for row_id, times in Counter(row.id for row in found).items() if times > 1]
    for row_id, times in equal:
        what = f"{times} rows have the id `{row_id}`; give each another in a column `id`"
        mistakes.add(matrix.at, "matrix", what)
    return not equal


def _axis(name: str, value: Tree, matrix: Map, mistakes: Mistakes) -> list[_Entry] | None:
    """The entries, at least one; None and a mistake otherwise."""
    key = f"matrix.{name}"
    place = value.at if value is not None else matrix.key_mark(name)
    if not _NAME.fullmatch(name):
        mistakes.add(
            matrix.key_mark(name), "matrix", "has a name that no ${matrix.…} can read; use letters, digits and _"
        )
        return None
    known = len(mistakes)
    if isinstance(value, Map):
        entries = _csv_entries(name, value, mistakes)
    elif isinstance(value, Items):
        entries = list(_list_entries(name, value, mistakes))
    else:
        mistakes.add(place, key, "is no list; write [value, value], a list of rows, or {csv: FILE}")
        return None
    if not entries and len(mistakes) == known:
        mistakes.add(place, key, "has no values; write at least one")
    return entries if len(mistakes) == known else None


def _list_entries(axis: str, values: Items, mistakes: Mistakes) -> Iterator[_Entry]:
    key = f"matrix.{axis}"
    want_rows = bool(values) and isinstance(values[0], Map)
    for value in values:
        if isinstance(value, Text) and not want_rows:
            yield _Entry({axis: str(value)})
        elif isinstance(value, Map) and want_rows and value:
            yield _row_entry(axis, value, mistakes)
        else:
            mark = values.at if value is None else value.at
            what = "mixes values and rows, or has an empty one; write all as values or all as {column: value}"
            mistakes.add(mark, key, what)


def _row_entry(axis: str, row: Map, mistakes: Mistakes) -> _Entry:
    cells: dict[str, str] = {}
    for column, value in row.items():
        if isinstance(value, Text):
            cells[f"{axis}.{column}"] = str(value)
        else:
            mistakes.add(row.key_mark(column), f"matrix.{axis}.{column}", "is not one value; write one")
    return _Entry(cells)


def _csv_entries(axis: str, source: Map, mistakes: Mistakes) -> list[_Entry]:
    key = f"matrix.{axis}"
    name = source.get("csv")
    if not isinstance(name, Text) or len(source) != 1 or not name or "\0" in name:
        mistakes.add(source.at, key, "is no list and no CSV file; write [value, value] or {csv: FILE}")
        return []
    path = name.at.path.parent / name
    if not is_file(path):
        mistakes.add(
            name.at, f"{key}.csv", f"the file `{name.written}` is not there; write a path relative to this file"
        )
        return []
    text = read_text(path, mistakes)
    if text is None:
        return []
    entries: list[_Entry] = []
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        columns = [column.strip() for column in next(reader, _NO_COLUMNS)]
        if wrong := _wrong_header(columns):
            mistakes.add(Mark(path), key, wrong)
            return []
        for values in reader:
            if len(values) == len(columns):
                entries.append(
                    _Entry({f"{axis}.{column}": value for column, value in zip(columns, values, strict=True)})
                )
            elif values:
                counts = f"has {len(values)} columns, but the first line {len(columns)}"
                what = f"{counts}; write as many, and quotes around a value with a comma"
                mistakes.add(Mark(path, reader.line_num), key, what)
    except csv.Error:
        mistakes.add(Mark(path, max(reader.line_num, 1)), key, "is no CSV from here on; check its quotes")
    return entries


def _wrong_header(columns: list[str]) -> str:
    if not columns:
        return "is empty; write the names of the columns in the first line"
    if len(columns) == 1 and ";" in columns[0]:
        return "parts its columns by `;`; part them by commas"
    if not all(map(_NAME.fullmatch, columns)):
        return "has a column whose name no ${matrix.…} can read; use letters, digits, _ and - in the first line"
    return "" if len(set(columns)) == len(columns) else "has two columns of one name; give each its own"
