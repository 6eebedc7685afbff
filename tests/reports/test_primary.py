"""`primary`: the channel that a trip's author wants to see first."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mailtrip_checks.outcome import Outcome
from mailtrip_checks.trips import Channel, Expect, Limit, Trip
from mailtrip_reports.html import detail_html
from mailtrip_reports.junit import properties
from mailtrip_reports.record import Record, from_json
from mailtrip_reports.story import failure_text, summary_line


@pytest.fixture
def by_responses(outcome: Outcome, trip: Trip, recorded: Callable[..., Record]) -> Record:
    return recorded(outcome, trip=replace(trip, primary=Channel.RESPONSES))


def test_the_primary_channel_is_shown_where_there_is_room_for_one(by_responses: Record) -> None:
    assert summary_line(by_responses) == "delivered, responses 0.169 s"
    assert "delivered, responses 0.169 s" in detail_html(by_responses)


def test_the_primary_channel_comes_first_among_all(by_responses: Record) -> None:
    names = [name for name, _ in properties(by_responses) if name.startswith("mailtrip.channel.")]
    assert names[0] == "mailtrip.channel.responses_s"
    assert len(names) == 5
    assert next(iter(from_json(by_responses.to_json()).channels)) is Channel.RESPONSES


def test_a_late_mail_is_told_by_its_primary_channel(
    outcome: Outcome, trip: Trip, recorded: Callable[..., Record]
) -> None:
    late = replace(trip, primary=Channel.SMTP, expect=Expect(limits=(Limit(Channel.TOTAL, fail_s=0.5),)))
    assert "late, smtp 0.079 s" in failure_text(recorded(outcome, trip=late))


def test_a_lost_mail_is_told_by_how_long_it_was_waited_for(lost: Record) -> None:
    assert "after 300.140 s" in summary_line(replace(lost, primary=Channel.SMTP))


def test_a_primary_channel_that_was_not_seen_gives_way_to_one_that_was(connected: Record) -> None:
    assert summary_line(replace(connected, primary=Channel.TRANSIT)) == "connected, mailbox 0.020 s"
