"""What reports tell of a trip that ran more than once."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mailtrip_checks.ends import End
from mailtrip_checks.outcome import Outcome, Run
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.trips import Channel, Trip
from mailtrip_checks.verdict import verdict
from mailtrip_reports.html import detail_html
from mailtrip_reports.junit import properties
from mailtrip_reports.record import Record, from_json, record_of
from mailtrip_reports.series import shown_run
from mailtrip_reports.story import failure_text, in_short, passed_text, remarks, transcript_text

Recorded = Callable[..., Record]


def run(number: int, end: End = End.DELIVERED, attempt: int = 1) -> Run:
    seen = {Channel.SMTP: 0.1, Channel.TOTAL: number / 10} if end is End.DELIVERED else {}
    why = "" if end is End.DELIVERED else "<b>hunter2</b> is not there"
    return Run(number, attempt, end, end is End.DELIVERED, why, 1767225600.25, 2.0, seen, f"TOKEN{number}")


@pytest.fixture
def repeated(outcome: Outcome, trip: Trip) -> Recorded:
    def repeated(*runs: Run, shown: int = 1) -> Record:
        end = next(run.end for run in reversed(runs) if run.number == shown)
        of_all = replace(outcome, end=end, runs=runs, shown_run=shown)
        masker = Masker([Secret("hunter2")])
        return record_of(trip, of_all, verdict(of_all, trip.expect), node_id="a.trip.yaml::inbox", masker=masker)

    return repeated


def test_runs_that_passed_are_told_by_their_statistics(repeated: Recorded) -> None:
    record = repeated(*(run(number) for number in range(1, 5)), shown=4)
    assert in_short(record) == "delivered, 4 runs, total median 0.200 s, p95 0.400 s"
    assert record.duration_s == 8
    text = passed_text(record)
    assert "channel  runs      min   median      p75      p90      p95      p99      max" in text
    assert "total       4  0.100 s  0.200 s  0.300 s  0.400 s  0.400 s  0.400 s  0.400 s" in text
    assert "shown: run 4 of 4" in text
    assert transcript_text(record).startswith("run 4 of 4\n")


def test_a_failure_says_how_many_failed_how_and_which_one_is_shown(repeated: Recorded) -> None:
    record = repeated(run(1), run(2, End.LOST), run(3, End.LOST), run(3, End.LATE, 2), shown=2)
    text = failure_text(record)
    assert "lost, 2 of 3 runs failed, total median 0.100 s" in text
    assert "  2 of 3 runs failed: 1 lost, 1 late\n  run 2: expected delivered, but it ended lost" in text
    assert "    run 2, lost, after 2.000 s\n    run 3, try 1, lost, after 2.000 s\n    run 3, try 2, late" in text
    assert "shown: run 2 of 3" in text
    assert record.rechecks == (End.LOST,)


def test_of_many_failures_the_first_are_listed(repeated: Recorded) -> None:
    text = failure_text(repeated(*(run(number, End.LOST) for number in range(1, 21))))
    assert "    run 15, lost, after 2.000 s\n    and 5 more\n" in text


def test_a_trip_that_was_only_tried_again_has_no_statistics(repeated: Recorded) -> None:
    record = repeated(run(1, End.LOST), run(1, attempt=2))
    assert (record.statistics, record.rechecks, record.shown_run) == ({}, (End.LOST,), 1)
    assert shown_run(record) == "try 2"
    assert in_short(record).startswith("delivered, total ")
    assert ("mailtrip.rechecks", "lost") in properties(record)
    assert "mailtrip.runs" not in dict(properties(record))


def test_a_trip_that_ran_once_is_told_as_ever(delivered: Record) -> None:
    assert (delivered.runs, delivered.rechecks, delivered.shown_run, shown_run(delivered)) == ((), (), None, "")
    assert "shown" not in dict(remarks(delivered))
    assert "<details><summary>Runs" not in detail_html(delivered)


def test_the_record_is_read_back_as_it_was_written(repeated: Recorded) -> None:
    record = repeated(run(1), run(2, End.LOST), run(2, attempt=2))
    assert from_json(record.to_json()) == record
    assert list(record.statistics) == list(record.runs[0].channels) == [Channel.TOTAL, Channel.SMTP]
    assert record.statistics[Channel.TOTAL].runs == 2


def test_junit_has_each_run_and_each_statistic(repeated: Recorded) -> None:
    record = repeated(run(1), run(2), run(3, End.LOST), shown=3)
    named = dict(properties(record))
    assert named["mailtrip.runs"] == "2 delivered, 1 lost"
    assert named["mailtrip.shown_run"] == "3"
    assert named["mailtrip.run.1"] == "run 1, delivered, total 0.100 s"
    assert named["mailtrip.run.3"] == "run 3, lost, after 2.000 s, <b>***</b> is not there"
    assert named["mailtrip.channel.total.p50_s"] == "0.100000"
    assert named["mailtrip.channel.total.max_s"] == "0.200000"
    assert len(named) == len(properties(record))


def test_html_has_each_run_escaped_and_the_statistics(repeated: Recorded) -> None:
    page = detail_html(repeated(run(1), run(2, End.LOST), shown=2))
    assert "<details><summary>Runs, 2</summary>" in page
    assert "<td>&lt;b&gt;***&lt;/b&gt; is not there</td>" in page
    assert '<tr><td>total</td><td class="mailtrip-length">1</td>' in page


def test_a_page_of_very_many_runs_shows_first_what_failed(repeated: Recorded) -> None:
    runs = [*(run(number) for number in range(1, 301)), run(301, End.LOST)]
    page = detail_html(repeated(*runs, shown=301))
    assert "<td>run 301</td>" in page
    assert "<td>run 200</td>" not in page
    assert "and 101 more" in page
