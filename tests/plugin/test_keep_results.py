"""`--mailtrip-keep-results`, from pytest's side."""

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import Project

TWO = """\
trips:
  there: {send: {via: out, from: a@example.org, to: u0@example.test}, receive: {at: in}}
  left-out: {skip: not today, receive: {at: in, user: u0@example.test}}
"""


def kept(project: Project, name: str) -> Path:
    (folder,) = (project.pytester.path / "kept").glob(f"*{name}*")
    return folder


@pytest.mark.parametrize("way", [[], ["-n2"]])
def test_each_trip_has_its_folder(project: Project, way: list[str]) -> None:
    project.write("a.trip.yaml", TWO)
    project.run("--mailtrip-keep-results=kept", *way).assert_outcomes(passed=1, skipped=1)
    there = kept(project, "there")
    outcome = json.loads((there / "outcome.json").read_text())
    assert (outcome["id"], outcome["end"]) == ("a.trip.yaml::there", "delivered")
    assert outcome["token"].encode() in (there / "sent.eml").read_bytes()
    assert outcome["token"].encode() in (there / "received.eml").read_bytes()
    assert "RCPT TO:<u0@example.test>" in (there / "transcript.txt").read_text()
    skipped = kept(project, "left-out")
    assert [path.name for path in skipped.iterdir()] == ["outcome.json"]
    assert "not today" in json.loads((skipped / "outcome.json").read_text())["what"]
    assert "secret word" not in "".join(path.read_text() for path in there.iterdir())


def test_without_the_option_nothing_is_kept(project: Project) -> None:
    project.write("a.trip.yaml", TWO)
    project.here().assert_outcomes(passed=1, skipped=1)
    kinds = ("outcome.json", "*.eml", "transcript.txt")
    assert not [found for kind in kinds for found in project.pytester.path.rglob(kind)]


def test_a_folder_that_cannot_be_made_is_told_before_anything_runs(project: Project) -> None:
    project.write("a.trip.yaml", TWO)
    project.write("kept", "a file")
    result = project.here("--mailtrip-keep-results=kept")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--mailtrip-keep-results=kept: *name a folder*"])
    assert project.mails() == (0, 0)


def test_a_result_that_cannot_be_kept_fails_its_trip(project: Project) -> None:
    project.write("a.trip.yaml", TWO)
    project.here("--mailtrip-keep-results=kept").assert_outcomes(passed=1, skipped=1)
    for name in ("there", "left-out"):
        outcome = kept(project, name) / "outcome.json"
        outcome.unlink()
        outcome.mkdir()
    result = project.here("--mailtrip-keep-results=kept")
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(["*the results cannot be written*--mailtrip-keep-results*"])
    result.stdout.no_fnmatch_line("*Traceback*")
