"""`recheck` and `repeat` from pytest's side, and the bound that a run prints."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from mailtrip.bound_line import in_words, of_ids

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

LEGS = "send: {via: out, from: a@example.org, to: u0@example.test}, receive: {at: in}"
BOUND = "mailtrip: * done within *"


def test_a_repeated_trip_is_one_item_with_statistics(project: Project) -> None:
    project.write("a.trip.yaml", f"trips: {{often: {{repeat: 3, {LEGS}, expect: {{total: {{p95: 1m}}}}}}}}\n")
    result = project.run("--mailtrip-jsonl=out.jsonl", "--mailtrip-keep-results=kept", "--junitxml=out.xml", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::often PASSED (delivered, 3 runs, total median *, p95 *"])
    record = json.loads((project.pytester.path / "out.jsonl").read_text())
    assert (record["shown_run"], [run["end"] for run in record["runs"]]) == (3, ["delivered"] * 3)
    assert record["statistics"]["total"]["runs"] == 3
    (transcript,) = (project.pytester.path / "kept").glob("*/transcript.txt")
    assert transcript.read_text().startswith("run 3 of 3\n")
    assert 'name="mailtrip.runs" value="3 delivered"' in (project.pytester.path / "out.xml").read_text()
    assert project.mails() == (3, 3)


def test_a_trip_that_fails_at_every_try_names_them_all(project: Project) -> None:
    project.write("a.trip.yaml", f"trips: {{again: {{recheck: 1, {LEGS}, expect: {{outcome: undelivered}}}}}}\n")
    result = project.run("--mailtrip-jsonl=out.jsonl")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*tried 2 times; try 1 ended delivered (expected undelivered*", "*shown: try 2"])
    assert json.loads((project.pytester.path / "out.jsonl").read_text())["rechecks"] == ["delivered"]


FAILS_ONCE = """\
import pathlib, sys
tried = pathlib.Path(__file__).with_name("tried")
code = 0 if tried.exists() else 75
tried.touch()
sys.exit(code)
"""


def test_a_pass_after_a_failure_passes_with_a_warning_that_names_it(project: Project) -> None:
    project.write("mailer.py", FAILS_ONCE)
    via = f"{{protocol: sendmail, command: [{sys.executable}, {project.pytester.path}/mailer.py]}}"
    project.write(
        "a.trip.yaml", f"trips: {{again: {{recheck: 1, send: {{via: {via}, from: a@x.test, to: b@x.test}}}}}}\n"
    )
    result = project.run("--mailtrip-jsonl=out.jsonl")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*MailtripWarning: again: passed at try 2; try 1 ended deferred (*"])
    assert json.loads((project.pytester.path / "out.jsonl").read_text())["rechecks"] == ["deferred"]


@pytest.mark.parametrize("way", [[], ["-q"], ["-n2"], ["-n2", "--dist=each"]])
def test_a_run_prints_its_bound_once(project: Project, way: list[str]) -> None:
    project.trips(2)
    project.write("b.trip.yaml", f"trips: {{left-out: {{skip: not today, {LEGS}}}, other: {{tags: [slow], {LEGS}}}}}\n")
    text = project.run("-m", "not slow", *way).stdout.str()
    assert text.count("mailtrip: 2 trips, done within 4 min") == 1
    assert text.count("done within") == 1


@pytest.mark.parametrize("way", [["-qq"], ["--collect-only"], ["--setup-plan"], ["-n2", "-qq"], ["-k", "nothing"]])
def test_nobody_who_runs_nothing_or_wants_quiet_is_told_a_bound(project: Project, way: list[str]) -> None:
    project.trips(1)
    project.run(*way).stdout.no_fnmatch_line(BOUND)


def test_a_run_without_trips_prints_no_bound(project: Project) -> None:
    project.write("test_a.py", "def test_a(): pass\n")
    for way in ([], ["-n1"]):
        project.run(*way).stdout.no_fnmatch_line(BOUND)


def test_a_trip_that_may_be_skipped_at_its_turn_comes_behind_the_others(project: Project) -> None:
    project.trips(2)
    project.write(
        "conftest.py",
        "import pytest\n"
        "def pytest_collection_modifyitems(items):\n"
        "    items[0].add_marker(pytest.mark.skipif(False, reason='no'))\n",
    )
    project.here().stdout.fnmatch_lines(["mailtrip: 2 trips, done within 7 min"])


def test_the_bound_is_told_in_hours_minutes_or_seconds() -> None:
    assert [in_words(length_s) for length_s in (44.2, 120, 120.1, 3600, 7560)] == [
        *("45 s", "120 s", "3 min", "1 h", "2 h 6 min"),
    ]


def test_a_controller_that_cannot_read_what_its_workers_found_tells_no_bound(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfig()
    pytester.makefile(".trip.yaml", a="trips: {one: {}}\n")
    assert of_ids(config, ["a.trip.yaml::one", "test_a.py::test_a"]) is None
    assert of_ids(config, ["test_a.py::test_a"]) is None
