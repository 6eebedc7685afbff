"""`--mailtrip-sensor-tags`: PRTG's tags on every trip."""

import json

import pytest

from tests.plugin.conftest import ALONE, Project

TRIPS = """\
trips:
  by-imap: {tags: [roundtrip, mine], receive: {at: in, user: u0@example.test}}
  by-pop3: {receive: {at: maildrop, user: u1@example.test}}
  sent: {send: {via: out, from: a@example.org, to: u0@example.test}}
"""


@pytest.mark.parametrize(
    ("mark", "names"),
    [
        ("mailsensor and roundtrip", ["by-imap", "by-pop3", "sent"]),
        ("imapsensor", ["by-imap"]),
        ("pop3sensor", ["by-pop3"]),
        ("mine", ["by-imap"]),
    ],
)
def test_trips_are_chosen_by_the_tags_of_prtg(pytester: pytest.Pytester, mark: str, names: list[str]) -> None:
    (pytester.path / "a.trip.yaml").write_text(
        TRIPS.replace("at: in", "at: embedded")
        .replace("maildrop", "embedded:pop3")
        .replace("via: out", "via: embedded")
    )
    result = pytester.runpytest_inprocess(
        *ALONE, "--collect-only", "-q", "--strict-markers", "--mailtrip-sensor-tags", "-m", mark
    )
    assert [line.partition("::")[2] for line in result.outlines if "::" in line] == names


def test_the_tags_are_in_the_record_once_each_and_behind_the_trips_own(project: Project) -> None:
    project.write("a.trip.yaml", TRIPS)
    project.here("--mailtrip-sensor-tags", "--mailtrip-jsonl=out.jsonl", "-k", "by-imap").assert_outcomes(
        passed=1, deselected=2
    )
    record = json.loads((project.pytester.path / "out.jsonl").read_text())
    assert record["tags"] == ["roundtrip", "mine", "mailsensor", "imapsensor"]


def test_without_the_option_no_trip_has_them(project: Project) -> None:
    project.write("a.trip.yaml", TRIPS)
    result = project.here("--collect-only", "-q", "-m", "mailsensor")
    result.assert_outcomes(deselected=3)
