"""JSON lines: what was written stays written, whoever else writes."""

from pathlib import Path

import pytest

from mailtrip_reports.jsonl import JsonLines, UnwritableReport
from mailtrip_reports.record import Record, from_json


def test_records_are_appended_a_line_each(tmp_path: Path, delivered: Record, lost: Record) -> None:
    path = tmp_path / "trips.jsonl"
    for record in (delivered, lost):
        with JsonLines(path) as lines:
            lines.write(record)

    assert [from_json(line) for line in path.read_text("ascii").splitlines()] == [delivered, lost]


def test_each_line_is_there_as_soon_as_it_is_written(tmp_path: Path, delivered: Record) -> None:
    path = tmp_path / "trips.jsonl"
    with JsonLines(path) as lines:
        lines.write(delivered)

        assert path.read_text("ascii") == delivered.to_json() + "\n"


def test_nothing_is_made_before_the_first_record(tmp_path: Path, delivered: Record) -> None:
    path = tmp_path / "not" / "yet" / "trips.jsonl"
    with JsonLines(path) as lines:
        assert not path.parent.exists()
        lines.write(delivered)

    assert path.stat().st_size > 0


def test_two_writers_of_one_file_do_not_mix_their_lines(tmp_path: Path, delivered: Record, lost: Record) -> None:
    path = tmp_path / "trips.jsonl"
    with JsonLines(path) as one, JsonLines(path) as other:
        for _ in range(3):
            one.write(delivered)
            other.write(lost)

    assert [from_json(line) for line in path.read_text("ascii").splitlines()] == [delivered, lost] * 3


def test_a_line_that_a_killed_run_left_torn_spoils_no_other(tmp_path: Path, delivered: Record) -> None:
    path = tmp_path / "trips.jsonl"
    path.write_text(delivered.to_json()[:100], "ascii")
    with JsonLines(path) as lines:
        lines.write(delivered)
        lines.write(delivered)

    assert path.read_text("ascii").splitlines()[1:] == [delivered.to_json()] * 2


@pytest.mark.parametrize("place", ["folder", "file/trips.jsonl"])
def test_a_file_that_cannot_be_written_says_so_and_what_to_do(tmp_path: Path, delivered: Record, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    path = tmp_path / place
    with JsonLines(path) as lines, pytest.raises(UnwritableReport) as caught:
        lines.write(delivered)

    assert str(caught.value).startswith(f"{path}: the records cannot be written: ")
    assert "--mailtrip-jsonl" in str(caught.value)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("folder", "Is a directory"),
        ("file/trips.jsonl", "Not a directory"),
        ("file/a/b", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_written_is_told_before_there_is_a_record(tmp_path: Path, place: str, why: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableReport) as caught:
        JsonLines(tmp_path / place).open()

    assert str(caught.value).startswith(f"{tmp_path / place}: the records cannot be written: {why}; ")


def test_a_line_that_is_torn_after_the_file_was_opened_is_not_joined_either(tmp_path: Path, delivered: Record) -> None:
    path = tmp_path / "new" / "trips.jsonl"
    with JsonLines(path) as lines:
        lines.open()
        path.write_bytes(b'{"schema')
        lines.write(delivered)
        lines.write(delivered)

    assert path.read_text("ascii").splitlines() == ['{"schema', delivered.to_json(), delivered.to_json()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_and_closing_does_not_try_again(delivered: Record) -> None:
    lines = JsonLines(Path("/dev/full"))
    with pytest.raises(UnwritableReport, match="No space left on device"):
        lines.write(delivered)

    lines.close()
