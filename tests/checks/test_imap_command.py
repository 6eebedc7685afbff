"""Commands as they travel."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.wire.imap_command import LONGEST_SET, Literal, Part, astring, encode, uid_sets


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (b"", b'""'),
        (b"a b", b'"a b"'),
        (b'back\\slash "quote"', b'"back\\\\slash \\"quote\\""'),
        ("pässword".encode(), Literal("pässword".encode())),
        (b"two\r\nlines", Literal(b"two\r\nlines")),
        (b"tab\t", Literal(b"tab\t")),
        (b"x" * 1000, b'"' + b"x" * 1000 + b'"'),
        (b"x" * 1001, Literal(b"x" * 1001)),
    ],
)
def test_a_string_is_quoted_where_it_can_be(value: bytes, part: Part) -> None:
    assert astring(value) == part


@pytest.mark.parametrize(
    ("capabilities", "pieces"),
    [
        (set(), [b"a1 LOGIN {3}\r\n", b'\xc3\xa4x "p" {1}\r\n', b"\n\r\n"]),
        ({"LITERAL+"}, [b'a1 LOGIN {3+}\r\n\xc3\xa4x "p" {1+}\r\n\n\r\n']),
        ({"LITERAL-"}, [b'a1 LOGIN {3+}\r\n\xc3\xa4x "p" {1+}\r\n\n\r\n']),
    ],
)
def test_literals_wait_for_the_server_unless_it_has_said_otherwise(capabilities: set[str], pieces: list[bytes]) -> None:
    parts = (b"LOGIN", Literal("äx".encode()), b'"p"', Literal(b"\n"))
    assert encode("a1", parts, capabilities) == pieces


def test_literal_minus_is_for_short_ones() -> None:
    assert encode("a1", [Literal(b"x" * 4097)], {"LITERAL-"}) == [b"a1 {4097}\r\n", b"x" * 4097 + b"\r\n"]


def test_neighbours_become_ranges() -> None:
    assert list(uid_sets([9, 1, 2, 3, 5, 8, 8])) == ["1:3,5,8:9"]
    assert list(uid_sets([])) == []


@given(st.sets(st.integers(1, 4_000_000_000), max_size=2000))
def test_sets_name_each_uid_once_and_fit_a_line(uids: set[int]) -> None:
    sets = list(uid_sets(uids))
    named: list[int] = []
    for uid_set in sets:
        assert len(uid_set) <= LONGEST_SET
        for first, last in re.findall(r"(\d+)(?::(\d+))?", uid_set):
            named += range(int(first), int(last or first) + 1)
    assert named == sorted(uids)


def test_a_long_set_is_split() -> None:
    sets = list(uid_sets(range(1, 10_000, 2)))
    assert len(sets) > 1
    assert ",".join(sets) == ",".join(str(uid) for uid in range(1, 10_000, 2))
