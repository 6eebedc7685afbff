"""Texts that are safe to show, and lengths that are easy to read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_reports.text import brief_length, one_line, seconds, shortened, visible


@given(st.text(st.characters(exclude_categories=())))
def test_a_visible_text_needs_no_second_look(text: str) -> None:
    shown = visible(text)

    assert visible(shown) == shown
    assert all(letter.isprintable() or letter in "\n\t" or ord(letter) > 0x7F for letter in shown)
    shown.encode("utf-8")


def test_one_line_has_no_breaks_and_no_indents() -> None:
    assert one_line("  a\n   b\n\nc\td ") == "a b c d"


def test_a_shortened_text_says_how_much_is_missing() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("x" * 5000, 10) == "xxxxxxxxxx… (4,990 more characters)"


@pytest.mark.parametrize(
    ("length_s", "label"),
    [
        (0, "0.0 ms"),
        (0.00042, "0.4 ms"),
        (0.0094, "9.4 ms"),
        (0.0096, "10 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (99.94, "99.94 s"),
        (300.2, "300 s"),
    ],
)
def test_a_label_takes_the_unit_that_fits(length_s: float, label: str) -> None:
    assert brief_length(length_s) == label


def test_a_column_has_one_unit() -> None:
    assert seconds(0.0004) == "0.000 s"
    assert seconds(300.0411) == "300.041 s"
