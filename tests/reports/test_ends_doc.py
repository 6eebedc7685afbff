"""docs/ends.md tells what the code does."""

from pathlib import Path

import pytest

from mailtrip_checks.ends import ALERTSITE_MEANINGS, End, Leg, alertsite_number, hint

PAGE = (Path(__file__).parents[2] / "docs" / "ends.md").read_text()


@pytest.mark.parametrize("end", End)
def test_each_end_stands_there_with_its_numbers_and_hints(end: End) -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| {end} |"))
    number_cell = row.split("|")[2]
    for leg in (Leg.SMTP, Leg.MAILBOX):
        number = alertsite_number(end, leg)
        assert ("–" if number is None else str(number)) in number_cell
        assert hint(end, leg) in row


def test_each_number_stands_there_with_its_meaning() -> None:
    for number, meaning in ALERTSITE_MEANINGS.items():
        assert f"{number} {meaning}" in PAGE
