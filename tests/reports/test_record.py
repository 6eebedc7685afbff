"""The record: complete, free of secrets, one line, and back again."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.judge import judge
from mailtrip_checks.outcome import Bracket, Direction, Line, Outcome, Reply, Stage
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.trips import Channel, Expect, Expected, Trip
from mailtrip_reports.record import ArrivalBracket, Record, StageSpan, from_json, record_of, record_unrun

Recorded = Callable[..., Record]
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)  # with control characters and surrogates
INSTANT = st.floats(0, 1e6)


def test_a_delivered_trip_is_told_relative_to_its_start(delivered: Record) -> None:
    assert (delivered.id, delivered.file, delivered.line, delivered.name) == (
        "inbox.trip.yaml::inbox",
        "inbox.trip.yaml",
        3,
        "inbox",
    )
    assert delivered.started_at == datetime(2026, 1, 1, 0, 0, 0, 250000, tzinfo=UTC)
    assert (delivered.mail_from_s, delivered.accepted_s) == (0.065, 0.099)
    assert delivered.stages[0] == StageSpan(Leg.MAILBOX, "connect", 0.0, 0.004, shared=False)
    assert delivered.transcript[0].at_s == 0.01
    assert delivered.duration_s == 0.712


def test_the_bracket_counts_from_mail_from_and_its_late_end_is_the_total(delivered: Record) -> None:
    assert delivered.bracket == ArrivalBracket(missed_s=0.447, seen_s=0.577)
    assert delivered.channels[Channel.TOTAL] == 0.577


def test_a_look_before_the_sending_cannot_make_the_bracket_negative(recorded: Recorded, outcome: Outcome) -> None:
    assert outcome.bracket is not None
    early = replace(outcome, bracket=replace(outcome.bracket, missed_at_s=outcome.started_at_s))

    assert recorded(early).bracket == ArrivalBracket(missed_s=0.0, seen_s=0.577)


def test_an_arrival_without_a_sending_has_no_bracket(recorded: Recorded, outcome: Outcome) -> None:
    assert recorded(replace(outcome, mail_from_at_s=None)).bracket is None


@pytest.mark.parametrize(
    ("name", "passed", "end", "number", "meaning"),
    [
        ("delivered", True, End.DELIVERED, 0, "successful test"),
        ("late", False, End.LATE, 2, "test timed out"),
        ("lost", False, End.LOST, 2, "test timed out"),
        ("undelivered", True, End.LOST, 0, "successful test"),
        ("login_failed", False, End.LOGIN_FAILED, 2, "test timed out"),
        ("connected", True, End.CONNECTED, 0, "successful test"),
    ],
)
def test_the_number_of_alertsite_is_0_for_whatever_passed(
    request: pytest.FixtureRequest, name: str, passed: bool, end: End, number: int, meaning: str
) -> None:
    record: Record = request.getfixturevalue(name)

    assert (record.passed, record.end, record.alertsite, record.alertsite_meaning) == (passed, end, number, meaning)


def test_a_mail_that_came_through_against_expectation_is_an_invalid_response(
    recorded: Recorded, outcome: Outcome, trip: Trip
) -> None:
    record = recorded(outcome, trip=replace(trip, expect=Expect(Expected.REJECTED)))

    assert (record.passed, record.alertsite) == (False, 3)


def test_the_advice_beats_the_general_hint_and_what_passed_has_none(
    login_failed: Record, lost: Record, undelivered: Record
) -> None:
    assert 'may want "probe"' in login_failed.hint
    assert "junk folder" in lost.hint
    assert undelivered.hint == ""


def test_what_another_trip_paid_for_counts_in_no_channel(shared: Record) -> None:
    assert [stage.shared for stage in shared.stages[:4]] == [True, True, True, False]
    assert shared.stages[0].start_s == -8.0
    assert shared.channels[Channel.MAILBOX] == 0.07


def test_a_trip_that_did_not_run_has_no_verdict(trip: Trip) -> None:
    record = record_unrun(
        trip, End.SKIPPED, "no account s3cret", node_id="a::b", at_wall_s=0.0, masker=Masker([Secret("s3cret")])
    )

    assert (record.passed, record.alertsite, record.end, record.what) == (None, None, End.SKIPPED, "no account ***")
    assert from_json(record.to_json()) == record


def test_every_record_comes_back_from_its_line(every_record: tuple[Record, ...]) -> None:
    for record in every_record:
        assert from_json(record.to_json()) == record


def test_no_text_of_trip_or_outcome_shows_a_secret(trip: Trip) -> None:
    secret = 'pa\\ss\x1b"wörd'
    outcome = _outcome_of(f"<{secret}>")
    trip = replace(trip, id=secret, description=secret, tags=(secret,), environment=secret)
    judgement = judge(outcome, trip.expect)

    record = record_of(trip, outcome, judgement, node_id=f"{secret}.yaml::x", masker=Masker([Secret(secret)]))

    assert record.what == record.hint == record.token == "<***>"
    assert record.to_json().count("***") == 18
    for part in ("wörd", "w\\u00f6rd", "pa\\\\ss"):
        assert part not in record.to_json()


@given(ANY_TEXT, INSTANT, INSTANT)
def test_whatever_the_net_says_is_one_line_of_ascii_that_comes_back(text: str, start_s: float, length_s: float) -> None:
    outcome = _outcome_of(text, start_s, length_s)
    trip = _trip_of(text)

    record = record_of(trip, outcome, judge(outcome, trip.expect), node_id=f"{text}::{text}", masker=Masker())
    line = record.to_json()

    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert from_json(line) == record


def test_characters_that_cannot_be_seen_are_written_out(recorded: Recorded, outcome: Outcome) -> None:
    said = "a\x1b[31m\x00\x85\u202eb\udcff\ud800\r\nc\td 𝄞"

    record = recorded(replace(outcome, replies=(Reply(Leg.SMTP, "EHLO", said),)))

    assert record.replies[0].text == "a\\x1b[31m\\x00\\x85\\u202eb\\xff\\ud800\nc\td 𝄞"


@pytest.mark.parametrize("line", ["", "{}", "[1]", "no json", '{"schema": "x"}'])
def test_what_is_no_record_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        from_json(line)


def test_a_record_of_another_schema_is_refused(delivered: Record) -> None:
    line = delivered.to_json().replace('"schema":1,', '"schema":2,')

    with pytest.raises(ValueError, match="a record of schema 2; this version reads schema 1"):
        from_json(line)


def test_a_field_of_a_later_version_is_passed_over(delivered: Record) -> None:
    assert from_json(delivered.to_json().replace("{", '{"later":[1],', 1)) == delivered


def _outcome_of(text: str, start_s: float = 10.0, length_s: float = 1.0) -> Outcome:
    """One in which every text is this one."""
    return Outcome(
        end=End.LOST,
        token=text,
        started_at_s=start_s,
        ended_at_s=start_s + length_s,
        started_wall_s=start_s,
        leg=Leg.SMTP,
        stage=text,
        what=text,
        advice=text,
        stages=(Stage(Leg.SMTP, text, start_s, length_s),),
        mail_from_at_s=start_s,
        bracket=Bracket(start_s, start_s + length_s),
        replies=(Reply(Leg.SMTP, text, text),),
        transcript=(Line(start_s, Leg.SMTP, Direction.RECEIVED, text),),
        warnings=(text,),
        left_behind=(text,),
        hosts=(("smtp", text),),
    )


def _trip_of(text: str) -> Trip:
    return Trip(text, Path("x.trip.yaml"), 1, None, None, description=text, tags=(text,), environment=text)
