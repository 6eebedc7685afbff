"""docs/parity.md names for each row the test that proves it."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TEST = r"`tests/[\w/]+\.py::test_\w+`"
_PLANNED = re.compile(r"graph|axis|downtime|history|notif|alert", re.IGNORECASE)
_OUT_OF_SCOPE = re.compile(r"access rights|site plan|SRP|stack unit", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """What they call it, what we call it, what proves it, where we go further."""

    theirs: str
    ours: str
    proof: str
    further: str


def rows() -> Iterator[Row]:
    for line in (ROOT / "docs" / "parity.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and cells[2] not in ("test", "---"):
            yield Row(*cells)


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def test_every_row_names_its_tests_or_says_why_there_is_none() -> None:
    found = list(rows())
    assert len(found) > 100
    for row in found:
        assert row.ours
        assert row.further
        match row.proof:
            case "*planned*":
                assert _PLANNED.search(row.theirs), row
            case "*out of scope*":
                assert _OUT_OF_SCOPE.search(row.theirs), row
                assert row.further != "–", f"no reason: {row}"
            case "(to come)":
                pass
            case proof:
                assert re.fullmatch(rf"{_TEST}(, {_TEST})*", proof), row


def test_every_test_that_is_named_exists() -> None:
    named = [each.strip("`") for row in rows() for each in re.findall(_TEST, row.proof)]
    missing = [each for each in named if each.partition("::")[2] not in functions_of(each.partition("::")[0])]
    assert named
    assert missing == []


def test_nothing_is_still_to_come() -> None:
    assert [row for row in rows() if row.proof == "(to come)"] == []
