"""JUnit properties: everything measured, every value fit for XML."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.outcome import Outcome, Reply, Stage
from mailtrip_checks.secrets import Masker
from mailtrip_checks.trips import Trip
from mailtrip_reports.junit import properties
from mailtrip_reports.record import Record, from_json, record_unrun


def test_a_delivered_trip_has_its_measures_in_seconds(delivered: Record) -> None:
    named = dict(properties(delivered))

    assert named["mailtrip.outcome"] == "delivered"
    assert named["mailtrip.alertsite"] == "0"
    assert named["mailtrip.environment"] == "new"
    assert named["mailtrip.host.smtp"] == "mail.example.com:25 [192.0.2.10]"
    assert named["mailtrip.channel.total_s"] == "0.577000"
    assert named["mailtrip.stage.smtp.connect_s"] == "0.010000"
    assert named["mailtrip.stage.transit.transit_s"] == "0.543000"
    assert (named["mailtrip.bracket.missed_s"], named["mailtrip.bracket.seen_s"]) == ("0.447000", "0.577000")
    assert named["mailtrip.started_at"] == "2026-01-01T00:00:00.250Z"
    assert named["mailtrip.reply.1"] == "smtp DATA: 250 2.0.0 Ok: queued as 4F2"
    assert named["mailtrip.token"] == delivered.token


def test_a_failure_names_where_it_ended_and_what_stays(lost: Record) -> None:
    named = dict(properties(lost))

    assert (named["mailtrip.alertsite"], named["mailtrip.alertsite.meaning"]) == ("2", "test timed out")
    assert (named["mailtrip.failed.leg"], named["mailtrip.failed.stage"]) == ("transit", "transit")
    assert "the next run removes it" in str(named["mailtrip.left_behind.1"])
    assert "mailtrip.channel.total_s" not in named


def test_warnings_are_numbered(late: Record) -> None:
    assert dict(properties(late))["mailtrip.warning.1"] == "smtp took 0.079 s, which is past the limit of 0.05 s"


def test_a_stage_of_another_trip_stands_apart(shared: Record) -> None:
    named = dict(properties(shared))

    assert named["mailtrip.stage.mailbox.login.shared_s"] == "0.010000"
    assert "mailtrip.stage.mailbox.login_s" not in named


def test_a_stage_that_came_twice_is_added_up(recorded: Callable[..., Record], outcome: Outcome) -> None:
    again = Stage(Leg.SMTP, "connect", outcome.started_at_s + 0.5, 0.25)
    named = dict(properties(recorded(replace(outcome, stages=(*outcome.stages, again)))))

    assert named["mailtrip.stage.smtp.connect_s"] == "0.260000"


def test_no_name_comes_twice_and_no_value_is_empty(every_record: tuple[Record, ...]) -> None:
    for record in every_record:
        named = properties(record)

        assert len(dict(named)) == len(named)
        assert all(isinstance(value, str) and value for _, value in named)


def test_a_trip_that_did_not_run_claims_no_number(trip: Trip) -> None:
    record = record_unrun(trip, End.CANCELLED, "stopped", node_id="a::b", at_wall_s=0.0, masker=Masker())
    named = dict(properties(record))

    assert named["mailtrip.outcome"] == "cancelled"
    assert "mailtrip.alertsite" not in named


@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=40))
def test_whatever_a_server_says_survives_xml(text: str) -> None:
    record = replace(from_json(_LINE), replies=(Reply(Leg.SMTP, text, text),))
    case = ET.Element("testcase")
    for name, value in properties(record):
        ET.SubElement(case, "property", name=name, value=str(value))

    read = ET.fromstring(ET.tostring(case))

    assert [(each.get("name"), each.get("value")) for each in read] == properties(record)


def test_a_reply_without_end_is_cut(delivered: Record) -> None:
    endless = replace(delivered, replies=(Reply(Leg.SMTP, "DATA", "x" * 100_000),))

    value = str(dict(properties(endless))["mailtrip.reply.1"])

    assert len(value) < 1100
    assert value.endswith("more characters)")


_LINE = (
    '{"schema":1,"id":"a::b","name":"b","file":"a","line":1,"description":"","tags":[],"environment":null,'
    '"expected":"delivered","end":"rejected","what":"","hint":"","started_at":"2026-01-01T00:00:00Z"}'
)
