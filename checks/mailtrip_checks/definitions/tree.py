"""A YAML file as text with places: a scalar stays text until the key that holds it says what it is.

So `no`, `12:30`, `0123` and `2026-11-01` are what their author wrote, and a password of digits keeps its zeros.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self, TypeAlias

import yaml

from mailtrip_checks.definitions.mistakes import Mark, Mistakes

Tree: TypeAlias = "Text | Map | Items | None"

REFERENCE: Final = "${"
_NULLS: Final = frozenset({"~", "null", "Null", "NULL"})
_PLAIN_TAGS: Final = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_DEEPEST: Final = 20
_MOST_VALUES: Final = 2_000_000
_UNPRINTABLE: Final = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_FEWER: Final = "has too many values; do not let aliases repeat aliases"
_QUOTE_REFERENCE: Final = 'put quotes around it: "${…}"; a bare `{` or `}` ends a value inside braces and brackets'
# What libyaml says, and what to do about it. Its own words can hold a value, so they are never passed on unknown.
_PROBLEMS: Final = (
    ("did not find expected ',' or", "the brackets or braces opened before are not closed here; put a `,` between"),
    ("cannot start any token", "put quotes around a value that begins with this character"),
    ("mapping values are not allowed", "a second `: ` in one line, or too deep an indent; put quotes around the value"),
    (
        "undefined alias",
        "a value that begins with `*` is an alias, and its anchor `&…` is not there; put quotes around it",
    ),
    (
        "second occurrence",
        "an anchor of this name is there already; use another, or put quotes around a value with `&`",
    ),
    ("another document", "a second document begins; write all in one, without `---`"),
    ("could not find expected ':'", "a key without its `: `; write `key: value`, with a space after the colon"),
    ("expected '-' indicator", "a list goes on with `- `, a mapping with `key: `; indent alike what belongs together"),
    ("expected key", "keys of one mapping begin in the same column"),
    ("end of stream", "the file ends inside a value; close its quotes"),
)


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
        line, column = _place(raw[: error.start].decode("utf-8-sig", "replace"))
        mistakes.add(Mark(path, line, column), "", "is not UTF-8 text; save the file as UTF-8")
        return None


def read_yaml(path: Path, mistakes: Mistakes) -> Map | None:
    """The file's one mapping; None, and at least one mistake, where it has none."""
    text = read_text(path, mistakes)
    if text is None:
        return None
    if unprintable := _UNPRINTABLE.search(text):
        place = Mark(path, *_place(text[: unprintable.start()]))
        mistakes.add(place, "", f"has the control character U+{ord(unprintable[0]):04X}; write only text")
        return None
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        mistakes.add(*_syntax_mistake(path, text, error))
        return None
    except (yaml.YAMLError, RecursionError):
        mistakes.add(Mark(path), "", "is no YAML that can be read; check it with a YAML linter")
        return None
    if node is None:
        mistakes.add(
            Mark(path), "", "is empty; write at least `trips:` with one trip, or in a mailtrip.yaml `servers:`"
        )
        return None
    known = len(mistakes)
    tree = _Reader(path, mistakes).tree(node, "", 0)
    if isinstance(tree, Map):
        return tree
    if len(mistakes) == known:
        mistakes.add(Mark(path), "", "is not a mapping; write keys such as `servers:` and `trips:`")
    return None


def _compose(text: str) -> yaml.Node | None:
    # The base loader resolves no scalar, and constructs nothing.
    loader = yaml.CBaseLoader(text) if yaml.__with_libyaml__ else yaml.BaseLoader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


def _place(before: str) -> tuple[int, int]:
    """Line and column of what follows this text."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax_mistake(path: Path, text: str, error: yaml.MarkedYAMLError) -> tuple[Mark, str, str]:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.split("\n")
    # libyaml counts one line more where the text ends in the middle of something.
    source = lines[line] if line < len(lines) else ""
    place = Mark(path, line + 1, column + 1)
    reference = source.rfind(REFERENCE, 0, column + 2)
    if "flow" in (error.context or "") and reference >= 0:
        return Mark(path, line + 1, reference + 1), "", _QUOTE_REFERENCE
    if source[: column + 1].strip(" ").startswith("\t"):
        return place, "", "a tab cannot indent; write spaces"
    problem = error.problem or ""
    for words, advice in _PROBLEMS:
        if words in problem:
            return place, "", f"is not valid YAML: {advice}"
    return place, "", "is not valid YAML from here on; check indents, quotes and brackets"


class _Reader:
    """Turns YAML's nodes into a tree; `key` is the dotted way to what is read."""

    def __init__(self, path: Path, mistakes: Mistakes) -> None:
        self._path = path
        self._mistakes = mistakes
        self._left = _MOST_VALUES

    def tree(self, node: yaml.Node, key: str, depth: int) -> Tree:
        mark = node.start_mark
        place = Mark(self._path, mark.line + 1, mark.column + 1)
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            what = _FEWER if self._left < 0 else f"is nested more than {_DEEPEST} deep; nothing here needs that"
            self._mistakes.add(place, "" if self._left < 0 else key, what)
            return None
        if node.tag not in _PLAIN_TAGS:
            self._mistakes.add(place, key, "has a YAML tag; leave out the `!…`, or put quotes around a value with `!`")
            return None
        if isinstance(node, yaml.ScalarNode):
            plain_null = node.value in _NULLS and not node.style
            return None if plain_null else Text(node.value, place)
        if isinstance(node, yaml.MappingNode):
            return self._map(node, place, key, depth)
        return Items(place, self._items(node, key, depth))

    def _items(self, node: yaml.Node, key: str, depth: int) -> Iterable[Tree]:
        for index, item in enumerate(node.value):
            if self._left < 0:
                return
            yield self.tree(item, f"{key}.{index + 1}", depth + 1)

    def _map(self, node: yaml.MappingNode, place: Mark, key: str, depth: int) -> Map:
        found = Map(place)
        for name_node, value_node in node.value:
            if self._left < 0:
                break
            name = self._name(name_node, value_node, key)
            if name is None:
                continue
            inner = f"{key}.{name}" if key else str(name)
            if name in found:
                first = found.key_mark(name)
                self._mistakes.add(name.at, inner, f"is there already, in line {first.line}; keep one of the two")
            elif _is_blank(value_node):
                self._mistakes.add(
                    name.at, inner, "has no value; write one, `null` to lift what is inherited, or leave it out"
                )
            else:
                found[name] = self.tree(value_node, inner, depth + 1)
        return found

    def _name(self, name: yaml.Node, value: yaml.Node, key: str) -> Text | None:
        mark = name.start_mark
        place = Mark(self._path, mark.line + 1, mark.column + 1)
        if not isinstance(name, yaml.ScalarNode) or name.tag not in _PLAIN_TAGS:
            self._mistakes.add(place, key, "has a key that is no plain text; write `key: value`")
            return None
        if _is_blank(value) and name.end_mark.index == value.start_mark.index:
            # It may be the tail of a password with a comma in it, so it is not shown.
            what = "has a text without `: ` where a key is due; put quotes around a value with a comma in it"
            self._mistakes.add(place, key, what)
            return None
        if name.value == "<<":
            what = "`<<` is not part of YAML 1.2; put what trips share under `defaults`"
            self._mistakes.add(place, key, what)
            return None
        return Text(name.value, place)


def _is_blank(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.value and not node.style
