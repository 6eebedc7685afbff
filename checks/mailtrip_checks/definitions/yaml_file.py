"""A YAML file read to a tree: YAML 1.2's plain core, without tags and merge keys, each key once.

It reads the parser's events and not its nodes: that is several times faster, and keeps depth and size in our hands.
"""

import re
from pathlib import Path
from typing import Final, NoReturn, TypeAlias, cast

import yaml

from mailtrip_checks.definitions.mistakes import Mark, Mistakes
from mailtrip_checks.definitions.tree import REFERENCE, Items, Map, Text, Tree, place_behind, read_text

_Node: TypeAlias = yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent | yaml.AliasEvent

_NULLS: Final = frozenset({"~", "null", "Null", "NULL"})
_DEEPEST: Final = 20
_MOST_VALUES: Final = 2_000_000
# The base loader resolves no scalar and constructs nothing.
_LOADER: Final = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_QUOTE_REFERENCE: Final = 'put quotes around it: "${…}"; a bare `{` or `}` ends a value inside braces and brackets'
# What libyaml says, and what to do about it. Its own words can hold a value, so they are never passed on unknown.
_PROBLEMS: Final = (
    ("did not find expected ',' or", "the brackets or braces opened before are not closed here; put a `,` between"),
    ("expected node content", "a value is missing here, or brackets or braces opened before are not closed"),
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
    ("could not find expected ':'", "a key without its `: `; write `key: value`, with a space after the colon"),
    ("expected '-' indicator", "a list goes on with `- `, a mapping with `key: `; indent alike what belongs together"),
    ("expected key", "keys of one mapping begin in the same column"),
    ("end of stream", "the file ends inside a value; close its quotes"),
)


def read_yaml(path: Path, mistakes: Mistakes) -> Map | None:
    """The file's one mapping; None, and at least one mistake, where it has none."""
    text = read_text(path, mistakes)
    if text is None:
        return None
    if unprintable := _UNPRINTABLE.search(text):
        place = Mark(path, *place_behind(text[: unprintable.start()]))
        mistakes.add(place, "", f"has the control character U+{ord(unprintable[0]):04X}; write only text")
        return None
    try:
        return _Reader(path, text, mistakes).document()
    except _Unreadable:
        return None
    except yaml.MarkedYAMLError as error:
        mistakes.add(*_syntax_mistake(path, text, error))
    except yaml.YAMLError:
        mistakes.add(Mark(path), "", "is no YAML that can be read; check it with a YAML linter")
    return None


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


class _Unreadable(Exception):
    """A mistake was told behind which nothing can be read."""


class _Reader:
    """Turns the parser's events into a tree; `key` is the dotted way to what is read."""

    def __init__(self, path: Path, text: str, mistakes: Mistakes) -> None:
        self._path = path
        self._text = text
        self._mistakes = mistakes
        self._events = iter(yaml.parse(text, Loader=_LOADER))
        self._anchors: dict[str, tuple[Tree, int]] = {}
        self._count = 0

    def document(self) -> Map | None:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            what = "is empty; write at least `trips:` with one trip, or in a mailtrip.yaml `servers:`"
            self._mistakes.add(Mark(self._path), "", what)
            return None
        known = len(self._mistakes)
        tree = self._tree(self._node(), "", 0)
        next(self._events)
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            what = "a second document begins here; write all in one, without `---`"
            self._mistakes.add(self._place(following), "", what)
            return None
        if isinstance(tree, Map):
            return tree
        if len(self._mistakes) == known:
            self._mistakes.add(Mark(self._path), "", "is not a mapping; write keys such as `servers:` and `trips:`")
        return None

    def _place(self, event: yaml.Event) -> Mark:
        mark = event.start_mark
        return Mark(self._path, mark.line + 1, mark.column + 1) if mark else Mark(self._path)

    def _node(self) -> _Node:
        # By YAML's grammar the parser has one here, or raises.
        return cast(_Node, next(self._events))

    def _tree(self, event: _Node, key: str, depth: int) -> Tree:
        before = self._count
        self._count += 1
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place, key)
        if depth > _DEEPEST:
            self._give_up(place, key, f"is nested more than {_DEEPEST} deep; nothing here needs that")
        if event.tag is not None:
            self._mistakes.add(place, key, "has a YAML tag; leave out the `!…`, or put quotes around a value with `!`")
        if isinstance(event, yaml.ScalarEvent):
            tree: Tree = None if not event.style and event.value in _NULLS else Text(event.value, place)
        elif isinstance(event, yaml.MappingStartEvent):
            tree = self._map(place, key, depth + 1)
        else:
            tree = self._items(place, key, depth + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = tree, self._count - before
        return tree

    def _alias(self, event: yaml.AliasEvent, place: Mark, key: str) -> Tree:
        if event.anchor not in self._anchors:
            what = "a value that begins with `*` is an alias, and its anchor `&…` is not there; put quotes around it"
            self._mistakes.add(place, key, what)
            return None
        tree, size = self._anchors[event.anchor]
        self._count += size
        if self._count > _MOST_VALUES:
            self._give_up(place, key, "repeats too many values; do not let aliases repeat aliases")
        return tree

    def _give_up(self, place: Mark, key: str, what: str) -> NoReturn:
        self._mistakes.add(place, key, what)
        raise _Unreadable

    def _items(self, place: Mark, key: str, depth: int) -> Items:
        found = Items(place)
        while not isinstance(event := self._node(), yaml.SequenceEndEvent):
            if _is_blank(event):
                self._mistakes.add(self._place(event), key, "has an item without a value; write one, or leave it out")
            found.append(self._tree(event, f"{key}.{len(found) + 1}", depth))
        return found

    def _map(self, place: Mark, key: str, depth: int) -> Map:
        found = Map(place)
        while not isinstance(name_event := self._node(), yaml.MappingEndEvent):
            name = self._name(name_event, key, depth)
            event = self._node()
            inner = key if name is None else f"{key}.{name}" if key else str(name)
            value = self._tree(event, inner, depth)
            if name is None:
                continue
            if _is_blank(event):
                self._tell_blank(name_event, event, key, inner)
            elif name in found:
                first = found.key_mark(name).line
                self._mistakes.add(name.at, inner, f"is there already, in line {first}; keep one of the two")
            else:
                found[name] = value
        return found

    def _name(self, event: _Node, key: str, depth: int) -> Text | None:
        """The key that begins a mapping's entry; None, and a mistake, where it is none."""
        place = self._place(event)
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
            self._mistakes.add(place, key, "has a key that is no plain text; write `key: value`")
            self._tree(event, key, depth)
            return None
        if event.value == "<<":
            what = "`<<` is not part of YAML 1.2; put what trips share under `defaults`"
            self._mistakes.add(place, key, what)
            return None
        return Text(event.value, place)

    def _tell_blank(self, name: yaml.Event, value: yaml.Event, key: str, inner: str) -> None:
        end, start = name.end_mark, value.start_mark
        if end and start and ":" in self._text[end.index : start.index]:
            what = "has no value; write one, `null` to lift what is inherited, or leave it out"
            if "trips" in (key, inner):  # where `null` says nothing, and the next line is likely to stand too far left
                what = "has no value; indent what belongs to it below it, or leave it out"
            self._mistakes.add(self._place(name), inner, what)
        else:
            # It may be the tail of a password with a comma in it, so it is not shown.
            what = "has a text without `: ` where a key is due; put quotes around a value with a comma in it"
            self._mistakes.add(self._place(name), key, what)


def _is_blank(event: yaml.Event) -> bool:
    return isinstance(event, yaml.ScalarEvent) and not event.value and not event.style
