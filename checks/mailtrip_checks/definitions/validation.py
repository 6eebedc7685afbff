"""A tree checked against its model: pydantic's errors become mistakes with a place.

Neither its messages nor its inputs are passed on, for an input can be a secret.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mailtrip_checks.definitions.mistakes import Mark, Mistakes, did_you_mean
from mailtrip_checks.definitions.references import NO_ROW, Row
from mailtrip_checks.definitions.schema import ExpectKeys, FileKeys, Keys, LimitKeys, ReceiveKeys, SendKeys, TripKeys
from mailtrip_checks.definitions.tree import REFERENCE, Items, Map, Text, Tree

Way: TypeAlias = tuple[str | int, ...]
Model = TypeVar("Model", bound=Keys)

_LEGS: Final[dict[str, type[Keys]]] = {"send": SendKeys, "receive": ReceiveKeys, "expect": ExpectKeys}
_KEY_ITSELF: Final = "[key]"
_WANTED: Final = {
    "model_type": "write a mapping, as in `{key: value}`",
    "dict_type": "write a mapping, as in `{key: value}`",
    "tuple_type": "write a list, as in `[a, b]`",
}


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
        filled = isinstance(node, Text) and not node.literal
        parts = [part + 1 if isinstance(part, int) else part for part in way if part != _KEY_ITSELF]
        key = ".".join(map(str, [self.prefix, *parts] if self.prefix else parts))
        self.mistakes.add(mark, key, what + (self.row.hint if filled else ""))

    def has(self, *way: str | int) -> bool:
        """Whether something stands there, right or wrong; null is nothing."""
        node: Tree = self.tree
        for part in way:
            node = _inner(node, part)
        return node is not None

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
    if isinstance(part, int):
        return node[part] if isinstance(node, Items) and part < len(node) else None
    return node.get(part) if isinstance(node, Map) else None


def validated(model: type[Model], subject: Subject) -> Model:
    """The tree's keys; each that is wrong is a mistake, and missing in what is returned.

    A reference that is not filled in is not judged: it is a draft, or what it lacks has been told.
    """
    try:
        return model.model_validate(subject.tree)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    rest = subject.tree
    for detail in found:
        _tell(model, subject, detail)
        rest = _without(rest, detail["loc"])
    return model.model_validate(rest)


def _tell(model: type[Keys], subject: Subject, error: ErrorDetails) -> None:
    way = error["loc"]
    node, _ = subject.find(way)
    if isinstance(node, Text) and node.literal and REFERENCE in node:
        return
    if error["type"] == "extra_forbidden":
        subject.add(way, _unknown(model, way, node), at_key=True)
    elif error["type"] == "value_error":
        at_key = way[-1] == _KEY_ITSELF
        subject.add(way[:-1] if at_key else way, str(error.get("ctx", {}).get("error")), at_key=at_key)
    else:
        subject.add(way, _shape(error["type"], way, node))


def _without(tree: Map, way: Way) -> Map:
    """A copy without the key at the end of the way, or without the one that holds the list or scalar there."""
    key, *rest = way
    inner = tree.get(str(key))
    if isinstance(inner, Map) and rest and rest[0] in inner:
        return Map(tree.at, [*tree.items(), (str(key), _without(inner, tuple(rest)))])
    return Map(tree.at, [(name, value) for name, value in tree.items() if name != key])


def _shape(kind: str, way: Way, node: Tree) -> str:
    if isinstance(node, Items) and way and way[-1] == "receive":
        return "a list of mailboxes is not supported yet; write one mapping"
    is_now = "a list" if isinstance(node, Items) else "a mapping" if isinstance(node, Map) else "one value"
    return f"is {'null' if node is None else is_now}; {_WANTED.get(kind, 'see docs/definitions.md for its form')}"


def _unknown(model: type[Keys], way: Way, value: Tree) -> str:
    key = str(way[-1])
    holder = _model_at(model, way[:-1])
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
    return frozenset(field.alias or name for name, field in model.model_fields.items())


def _model_at(model: type[Keys], way: Way) -> type[Keys]:
    for part in way:
        field = model.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field else None
        # A name or an index inside a mapping of models or a list of them is no field: the model stays.
        model = inner or model
    return model


def _model_in(annotation: object) -> type[Keys] | None:
    if isinstance(annotation, type) and issubclass(annotation, Keys):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
