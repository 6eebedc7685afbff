"""Mappings with a closed set of keys: what is right is read, and what is wrong is told once, with the way to it."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, NamedTuple, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.definitions.keys import Keys, Read, Shape, Way, Wrong
from mailtrip_checks.definitions.mistakes import Mark
from mailtrip_checks.definitions.schema import FileKeys, SendKeys, ServerKeys, TripKeys
from mailtrip_checks.definitions.tree import Items, Map, Text, Tree
from mailtrip_checks.definitions.validation import known_keys

AT: Final = Mark(Path("a.trip.yaml"))
MISSING: Final = object()


def _number(value: object) -> int:
    if isinstance(value, Text) and value.isdecimal():
        return int(value)
    raise ValueError("is no number")


def _name(value: object) -> str:
    if value == "bad":
        raise ValueError("is no name")
    return str(value)


def _short(value: object) -> object:
    if value == "bad":
        raise ValueError("is no short form")
    return Map(AT, [("low", value), ("high", value)]) if isinstance(value, Text) else value


Number: TypeAlias = Annotated[int, Read(_number)]


class RangeKeys(Keys):
    low: Number | None = None
    high: Number | None = None


class AllKeys(Keys):
    written_as = MappingProxyType({"from": "sender"})
    sender: Number | None = None
    many: tuple[Number, ...] | None = None
    table: dict[Annotated[str, Read(_name)], Number | None] | None = None
    inner: RangeKeys | None = None
    short: Annotated[RangeKeys, Shape(_short)] | None = None


def tree_of(value: object) -> Tree:
    """A tree of the same form; all places are `AT`."""
    if isinstance(value, dict):
        return Map(AT, [(str(key), tree_of(inner)) for key, inner in value.items()])
    if isinstance(value, list):
        return Items(AT, map(tree_of, value))
    return None if value is None else Text(str(value), AT)


def read(value: dict[str, object]) -> tuple[dict[str, object], list[Wrong]]:
    """What it says of `AllKeys`, and what is wrong."""
    wrong: list[Wrong] = []
    tree = tree_of(value)
    assert isinstance(tree, Map)
    return said(AllKeys.read(tree, (), wrong)), wrong


def said(keys: Keys) -> dict[str, object]:
    """The keys that are there, also inside."""
    return {name: said(value) if isinstance(value, Keys) else value for name, value in vars(keys).items()}


def test_what_is_left_out_or_null_is_none() -> None:
    wrong: list[Wrong] = []
    keys = AllKeys.read(Map(AT, [("many", None)]), (), wrong)
    assert (keys.many, keys.sender, keys.inner, wrong) == (None, None, None, [])


def test_a_copy_says_more_and_leaves_the_first_as_it_is() -> None:
    keys = RangeKeys(low=1)
    assert (said(keys.replaced(high=2)), said(keys)) == ({"low": 1, "high": 2}, {"low": 1})


@pytest.mark.parametrize(
    ("value", "found", "wrong"),
    [
        ({"sender": "1"}, {}, [Wrong(("sender",), "", at_key=True, no_key_of=AllKeys)]),
        ({"inner": {"x": None}}, {"inner": {}}, [Wrong(("inner", "x"), "", at_key=True, no_key_of=RangeKeys)]),
        ({"many": "1"}, {}, [Wrong(("many",), "is one value; write a list, as in `[a, b]`")]),
        ({"many": {}}, {}, [Wrong(("many",), "is a mapping; write a list, as in `[a, b]`")]),
        ({"many": ["1", None]}, {}, [Wrong(("many", 1), "is no number")]),
        ({"table": []}, {}, [Wrong(("table",), "is a list; write a mapping, as in `{key: value}`")]),
        (
            {"table": {"bad": None, "a": None}},
            {"table": {"a": None}},
            [Wrong(("table", "bad"), "is no name", at_key=True)],
        ),
        ({"inner": "1"}, {}, [Wrong(("inner",), "is one value; write a mapping, as in `{key: value}`")]),
        ({"short": {"low": "x", "high": "1"}}, {"short": {"high": 1}}, [Wrong(("short", "low"), "is no number")]),
        ({"short": "bad"}, {}, [Wrong(("short",), "is no short form")]),
        ({"short": []}, {}, [Wrong(("short",), "is a list; write a mapping, as in `{key: value}`")]),
    ],
)
def test_what_is_wrong_is_told_and_left_out(value: dict[str, object], found: object, wrong: list[Wrong]) -> None:
    assert read(value) == (found, wrong)


class Case(NamedTuple):
    """A tree, what is read from it, and the ways to what is wrong."""

    tree: object
    found: object
    wrong: list[Way]


def of_another_form(*trees: object) -> st.SearchStrategy[Case]:
    return st.sampled_from(trees).map(lambda tree: Case(tree, MISSING, [()]))


def lists(items: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    def case(inner: list[Case]) -> Case:
        wrong: list[Way] = [(index, *way) for index, item in enumerate(inner) for way in item.wrong]
        return Case([item.tree for item in inner], MISSING if wrong else tuple(item.found for item in inner), wrong)

    return st.lists(items, max_size=4).map(case) | of_another_form("1", {})


def mappings(keys: Mapping[str, st.SearchStrategy[Case]], *, attributes: Mapping[str, str]) -> st.SearchStrategy[Case]:
    def case(inner: dict[str, Case]) -> Case:
        found = {
            attributes.get(key, key): value.found
            for key, value in inner.items()
            if value.found is not MISSING and value.tree is not None
        }
        ways: list[Way] = [(key, *way) for key, value in inner.items() for way in value.wrong]
        return Case({key: value.tree for key, value in inner.items()}, found, ways)

    unknown = st.sampled_from(["1", None, [], {}]).map(lambda tree: Case(tree, MISSING, [()]))
    null = st.just(Case(None, None, []))
    optional = {key: value | null for key, value in keys.items()} | {"other": unknown, "sender": unknown}
    return st.fixed_dictionaries({}, optional=optional).map(case)


numbers = st.integers(0, 99).map(lambda number: Case(str(number), number, [])) | of_another_form("x", [], {})
ranges = mappings({"low": numbers, "high": numbers}, attributes={})
tables = st.dictionaries(st.sampled_from("abc"), numbers, max_size=3).map(
    lambda inner: Case(
        {name: value.tree for name, value in inner.items()},
        {name: value.found for name, value in inner.items() if not value.wrong},
        [(name, *way) for name, value in inner.items() for way in value.wrong],
    )
)
shorts = st.integers(0, 99).map(lambda number: Case(str(number), {"low": number, "high": number}, []))
wholes = mappings(
    {
        "from": numbers,
        "many": lists(numbers),
        "table": tables | of_another_form("1", []),
        "inner": ranges | of_another_form("1", []),
        "short": ranges | shorts | of_another_form("bad", []),
    },
    attributes={"from": "sender"},
)


@given(wholes)
def test_all_that_is_right_is_read_and_each_wrong_key_is_told_once(case: Case) -> None:
    assert isinstance(case.tree, dict)
    found, wrong = read(case.tree)
    assert found == case.found
    assert sorted(map(str, (one.way for one in wrong))) == sorted(map(str, case.wrong))


_words = st.sampled_from(sorted(frozenset().union(*map(known_keys, (FileKeys, TripKeys, SendKeys, ServerKeys)))))
_any_tree = st.recursive(
    st.none() | st.sampled_from(["", "a", "30s", "a@x", "smtp://h", "${env:X}", "/(/"]) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words | st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(sorted(known_keys(FileKeys))) | st.text(max_size=5), _any_tree))
def test_of_any_tree_nothing_wrong_is_told_twice(value: dict[str, object]) -> None:
    tree = tree_of(value)
    assert isinstance(tree, Map)
    wrong: list[Wrong] = []
    keys = FileKeys.read(tree, (), wrong)
    assert vars(keys).keys() <= known_keys(FileKeys)
    assert len({(one.way, one.at_key) for one in wrong}) == len(wrong)
    assert {one.way[0] for one in wrong} <= tree.keys()
