"""A tree checked against its model: what is wrong becomes a mistake with a place."""

from dataclasses import dataclass
from typing import Final

from mailtrip_checks.definitions.keys import Keys, Model, Way, Wrong
from mailtrip_checks.definitions.mistakes import Mark, Mistakes, did_you_mean
from mailtrip_checks.definitions.references import NO_ROW, Row
from mailtrip_checks.definitions.schema import ExpectKeys, FileKeys, LimitKeys, ReceiveKeys, SendKeys, TripKeys
from mailtrip_checks.definitions.tree import REFERENCE, Items, Map, Text, Tree

_LEGS: Final[dict[str, type[Keys]]] = {"send": SendKeys, "receive": ReceiveKeys, "expect": ExpectKeys}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is being checked, and how its mistakes are named: `prefix` is the way to `tree` inside its trip or file."""

    tree: Map
    mistakes: Mistakes
    prefix: str = ""
    row: Row = NO_ROW

    def add(self, way: Way, what: str, *, at_key: bool = False) -> None:
        """A mistake at the end of the way, or as near to it as the tree goes."""
        node, mark = self.find(way, at_key=at_key)
        hint = self.row.hint(node.written) if isinstance(node, Text) and not node.literal and not at_key else ""
        parts = [part + 1 if isinstance(part, int) else part for part in way]
        key = ".".join(map(str, [self.prefix, *parts] if self.prefix else parts))
        self.mistakes.add(mark, key, what + hint)

    def has(self, *way: str | int) -> bool:
        """Whether something stands there, right or wrong; null is nothing."""
        return self.value(way) is not None

    def value(self, way: Way) -> Tree:
        """What stands there; None where that is nothing."""
        node: Tree = self.tree
        for part in way:
            node = _inner(node, part)
        return node

    def find(self, way: Way, *, at_key: bool = False) -> tuple[Tree, Mark]:
        """The value as near to the end of the way as the tree goes, and its place: its key's if null or asked for."""
        node: Tree = self.tree
        mark = self.tree.at
        for part in way:
            if isinstance(node, Map) and part in node:
                mark = node.key_mark(str(part))
            elif not isinstance(node, Items) or _inner(node, part) is None:
                break
            node = _inner(node, part)
            if node is not None and not at_key:
                mark = node.at
        return node, mark


def _inner(node: Tree, part: str | int) -> Tree:
    if isinstance(part, str):
        return node.get(part) if isinstance(node, Map) else None
    return node[part] if isinstance(node, Items) and part < len(node) else None


def validated(model: type[Model], subject: Subject) -> Model:
    """The tree's keys; each that is wrong is a mistake, and missing in what is returned.

    A reference that is not filled in is not judged: it is a draft, or what it lacks has been told. Its key is.
    """
    wrong: list[Wrong] = []
    keys = model.read(subject.tree, (), wrong)
    for one in wrong:
        _tell(subject, one)
    return keys


def _tell(subject: Subject, wrong: Wrong) -> None:
    node, _ = subject.find(wrong.way)
    if wrong.no_key_of:
        subject.add(wrong.way, _unknown(wrong.no_key_of, str(wrong.way[-1]), node), at_key=True)
    elif wrong.at_key or not (isinstance(node, Text) and node.literal and REFERENCE in node):
        subject.add(wrong.way, wrong.why, at_key=wrong.at_key)


def _unknown(holder: type[Keys], key: str, value: Tree) -> str:
    if key in holder.not_yet:
        return "is not supported yet; leave it out"
    known = known_keys(holder)
    if near := did_you_mean(key, known):
        return f"is no key that there is{near}"
    if holder is FileKeys and isinstance(value, Map) and known_keys(TripKeys) & value.keys():
        return "is no key that there is; if it is a trip, indent it below `trips:`"
    if holder is ExpectKeys and key in known_keys(LimitKeys):
        return f"belongs under a channel; write it there, as in `total: {{{key}: 2s}}`"
    if holder is TripKeys:
        for leg, keys in _LEGS.items():
            if key in known_keys(keys) | keys.not_yet:
                return f"belongs under `{leg}`; write it there"
    return f"is no key that there is; there are {', '.join(sorted(known))}"


def known_keys(model: type[Keys]) -> frozenset[str]:
    """The keys as definitions write them."""
    return frozenset(model.annotations())
