"""Mappings with a closed set of keys, read by the annotations of a class: what `schema` is written in.

A class of keys is a `Keys` with annotated attributes, each `… | None = None`. Its annotation says what a key holds: a
class of keys, `tuple[…, ...]`, `dict[…, …]`, or `Annotated[type, Read(function)]` for what the function makes of the
tree. `Annotated[…, Shape(function)]` brings a short form into the form that the annotation describes.

Only keys that are there cost anything; how one is read is looked up when it first occurs. A module that has classes of
keys must not import annotations from `__future__`: as texts they say nothing here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import (
    Annotated,
    ClassVar,
    Final,
    NamedTuple,
    Self,
    TypeAlias,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
)

from mailtrip_checks.definitions.tree import Items, Map

Way: TypeAlias = tuple[str | int, ...]
Model = TypeVar("Model", bound="Keys")


@dataclass(frozen=True, slots=True)
class Read:
    """Makes a value of a tree; raises ValueError, whose text says what is wrong and what to write instead."""

    function: Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Shape:
    """Brings a tree into another form; raises ValueError as in `Read`."""

    function: Callable[[object], object]


class Wrong(NamedTuple):
    """What is wrong at the end of `way`: the value or, `at_key`, the key itself.

    Of a key that there is not, `no_key_of` is the class that lacks it, and `why` is empty.
    """

    way: Way
    why: str
    at_key: bool = False
    no_key_of: "type[Keys] | None" = None


_BAD: Final = object()  # what a reader gives for a value that is wrong
_Reader: TypeAlias = Callable[[object, Way, list[Wrong]], object]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Keys:
    """A mapping with a closed set of keys; `not_yet` are those that a later version brings.

    `written_as` has the keys that cannot be attributes, with the attribute that stands for each.
    """

    not_yet: ClassVar[frozenset[str]] = frozenset()
    written_as: ClassVar[Mapping[str, str]] = {}
    _readers: ClassVar[dict[str, tuple[str, _Reader]]]

    def __init_subclass__(cls) -> None:
        cls._readers = {}

    def __init__(self, **given: object) -> None:
        vars(self).update(given)

    def replaced(self, **given: object) -> Self:
        """A copy that says this too."""
        return type(self)(**vars(self) | given)

    @classmethod
    def annotations(cls) -> Mapping[str, object]:
        """What each key holds, by its name in definitions."""
        spelled = {attribute: key for key, attribute in cls.written_as.items()}
        own: Mapping[str, object] = cls.__annotations__
        return {spelled.get(name, name): annotation for name, annotation in own.items()}

    @classmethod
    def read(cls, tree: Map, way: Way, wrong: list[Wrong]) -> Self:
        """The keys of the mapping at the end of `way`; one that is wrong is noted, and missing in what is returned."""
        given: dict[str, object] = {}
        for key, value in tree.items():
            known = cls._readers.get(key) or cls._known(key)
            if known is None:
                wrong.append(Wrong((*way, key), "", at_key=True, no_key_of=cls))
            elif value is not None:
                name, reader = known
                if (found := reader(value, (*way, key), wrong)) is not _BAD:
                    given[name] = found
        return cls(**given)

    @classmethod
    def _known(cls, key: str) -> tuple[str, _Reader] | None:
        """The attribute that stands for a key, and how it is read."""
        annotation = cls.annotations().get(key)
        if annotation is None:
            return None
        cls._readers[key] = known = cls.written_as.get(key, key), _reader(annotation)
        return known


def _reader(annotation: object) -> _Reader:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, how = parts
        return (
            partial(_value, how.function) if isinstance(how, Read) else partial(_shaped, how.function, _reader(inner))
        )
    if type(None) in parts:
        inner, _ = parts
        return partial(_if_any, _reader(inner))
    if origin is tuple:
        return partial(_each, _reader(parts[0]))
    if origin is dict:
        names, values = map(_reader, parts)
        return partial(_entries, names, values)
    return partial(_nested, annotation) if isinstance(annotation, type) and issubclass(annotation, Keys) else _as_it_is


def _as_it_is(value: object, way: Way, wrong: list[Wrong]) -> object:
    return value


def _value(function: Callable[[object], object], value: object, way: Way, wrong: list[Wrong]) -> object:
    try:
        return function(value)
    except ValueError as error:
        wrong.append(Wrong(way, str(error)))
        return _BAD


def _shaped(function: Callable[[object], object], read: _Reader, value: object, way: Way, wrong: list[Wrong]) -> object:
    known = len(wrong)
    shaped = _value(function, value, way, wrong)
    found = _BAD if shaped is _BAD else read(shaped, way, wrong)
    # Of a short form there are no parts that could be left out.
    return found if isinstance(value, Map) or len(wrong) == known else _BAD


def _if_any(read: _Reader, value: object, way: Way, wrong: list[Wrong]) -> object:
    return None if value is None else read(value, way, wrong)


def _each(read: _Reader, value: object, way: Way, wrong: list[Wrong]) -> object:
    if not isinstance(value, Items):
        wrong.append(Wrong(way, f"is {_form(value)}; write a list, as in `[a, b]`"))
        return _BAD
    known = len(wrong)
    found = tuple(read(item, (*way, index), wrong) for index, item in enumerate(value))
    return found if len(wrong) == known else _BAD


def _entries(read_name: _Reader, read: _Reader, value: object, way: Way, wrong: list[Wrong]) -> object:
    if not isinstance(value, Map):
        return _no_mapping(value, way, wrong)
    found: dict[object, object] = {}
    for key, inner in value.items():
        names: list[Wrong] = []
        name = read_name(key, (*way, key), names)
        wrong += (bad._replace(at_key=True) for bad in names)
        entry = read(inner, (*way, key), wrong)
        if name is not _BAD and entry is not _BAD:
            found[name] = entry
    return found


def _nested(model: type[Keys], value: object, way: Way, wrong: list[Wrong]) -> object:
    return model.read(value, way, wrong) if isinstance(value, Map) else _no_mapping(value, way, wrong)


def _no_mapping(value: object, way: Way, wrong: list[Wrong]) -> object:
    wrong.append(Wrong(way, f"is {_form(value)}; write a mapping, as in `{{key: value}}`"))
    return _BAD


def _form(value: object) -> str:
    if value is None:
        return "null"
    return "a list" if isinstance(value, Items) else "a mapping" if isinstance(value, Map) else "one value"
