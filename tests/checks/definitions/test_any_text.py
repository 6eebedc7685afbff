"""Whatever a file holds, it gives trips or a DefinitionError, and nothing else."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.definitions import Context, DefinitionError, Definitions, Mistake
from mailtrip_checks.definitions.mistakes import Mark
from mailtrip_checks.definitions.scalars import duration_s
from mailtrip_checks.definitions.schema import ExpectKeys, FileKeys, ReceiveKeys, SendKeys, ServerKeys, TripKeys
from mailtrip_checks.definitions.tree import Text
from mailtrip_checks.definitions.validation import known_keys
from mailtrip_checks.trips import Trip

_MODELS = (FileKeys, TripKeys, SendKeys, ReceiveKeys, ExpectKeys, ServerKeys)
_WORDS = sorted({key for model in _MODELS for key in known_keys(model) | model.not_yet} | {"a", "new"})
_VALUES = [
    *(
        "embedded",
        "embedded:pop3",
        "a",
        "a@x",
        "b@x",
        "30s",
        "0s",
        "true",
        "~",
        "new",
        "/(/",
        "550",
        "rejected",
        "rcpt",
    ),
    *("smtp://h", "imaps://u:p@h", "imaps://u:${env:P}@h:${var:v}", "${env:P}", "${env:NO}", "${matrix.a}", "${"),
    *("${file:/dev/null}", "${file:\0}", "x" * 300, "*a", "&a", "-1", "[", "{", "<<", "\u2028", "%", "!!int 3"),
]

_scalars = st.sampled_from(_VALUES) | st.text(max_size=12)
_trees = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=25,
)
_files = st.fixed_dictionaries(
    {"trips": st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from(_WORDS), _trees), min_size=1)},
    optional=dict.fromkeys(("servers", "defaults", "environments"), _trees),
)


def flow(tree: object, quote: bool = True) -> str:
    """The tree in YAML's flow style, its scalars in double quotes where that is wanted."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(value, quote)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(flow(item, quote) for item in tree) + "]"
    text = str(tree)
    if not quote:
        return text
    return '"' + "".join(character if character.isalnum() else f"\\U{ord(character):08x}" for character in text) + '"'


def read(raw: bytes) -> tuple[Trip, ...] | tuple[Mistake, ...]:
    """The file's trips, or its mistakes."""
    with tempfile.TemporaryDirectory() as root:
        path = Path(root, "a.trip.yaml")
        path.write_bytes(raw)
        context = Context("new" if len(raw) % 3 == 0 else None, {"v": "1"}, {"P": "hunter2"}, Path(root))
        try:
            return Definitions(context).trips(path)
        except DefinitionError as error:
            return error.mistakes


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_trips_or_a_definition_error(raw: bytes) -> None:
    assert read(raw)


@given(_files, st.booleans())
def test_any_tree_of_known_keys_gives_trips_or_a_definition_error(tree: object, quote: bool) -> None:
    for found in read(flow(tree, quote).encode("utf-8", "surrogatepass")):
        assert found.line >= 1


@given(st.lists(st.tuples(st.integers(0, 59), st.sampled_from(["ms", "s", "m", "h"])), min_size=1, max_size=4))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    written = Text("".join(f"{number}{unit}" for number, unit in parts), Mark(Path("a")))
    expected = sum(number * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)
    if expected:
        assert duration_s(written) == pytest.approx(expected)
    else:
        with pytest.raises(ValueError, match="would never wait"):
            duration_s(written)


@given(st.text(max_size=10))
def test_any_text_is_a_duration_or_is_refused(written: str) -> None:
    with contextlib.suppress(ValueError):
        assert duration_s(Text(written, Mark(Path("a")))) > 0
