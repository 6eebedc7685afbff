"""pytest-html: cells that sort and fold, details that nothing from the net can break out of."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.outcome import Direction, Outcome, Reply, Stage
from mailtrip_checks.secrets import Masker
from mailtrip_checks.trips import Channel, Trip
from mailtrip_reports.html import detail_html, header_cells, row_cells
from mailtrip_reports.record import Record, StageSpan, TranscriptLine, from_json, record_unrun

HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x00]]>--></svg></pre></td>\\ \U0001d11e\u202e\x1b[31m"
)
TAGS = re.findall(
    "[a-z]+", "div p strong dl dt dd table tr th td details summary pre b i svg title desc rect path g text style"
)
ATTRIBUTES = re.findall(
    "[a-z-]+",
    "class style open xmlns role viewbox width height font-family font-size fill x y d stroke text-anchor font-weight "
    "rx fill-opacity stroke-width stroke-dasharray colspan title data-column-type",
)


class Read(HTMLParser):
    """What a stranger finds in our HTML: its elements, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.started: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert {name for name, _ in attrs} <= set(ATTRIBUTES)
        self.started.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        assert re.fullmatch(r"\d{9}\.\d{6}", data)


def test_there_are_as_many_cells_in_every_row_as_in_the_header(every_record: tuple[Record, ...]) -> None:
    assert len(header_cells()) == 5
    for record in (None, *every_record):
        assert len(row_cells(record)) == 5


def test_a_column_of_the_header_is_sorted_by_the_cell_of_the_same_name(delivered: Record) -> None:
    columns = [re.findall(r'class="sortable [^"]*" data-column-type="(\w+)"', cell) for cell in header_cells()]

    assert columns == [[_column(cell)] for cell in row_cells(delivered)]
    assert columns == [[_column(cell)] for cell in row_cells(None)]


def test_cells_show_lengths_and_leave_out_what_was_not_seen(delivered: Record, lost: Record) -> None:
    assert [Read(cell).text for cell in row_cells(delivered)] == ["delivered", "577 ms", "79 ms", "543 ms", "90 ms"]
    assert [Read(cell).text for cell in row_cells(lost)] == ["lost", "", "79 ms", "", "20 ms"]
    assert [Read(cell).text for cell in row_cells(None)] == [""] * 5


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_cells_sort_as_text_as_their_lengths_do(one_s: float, other_s: float) -> None:
    def key(length_s: float) -> str:
        cell = row_cells(replace(from_json(_LINE), channels={Channel.TOTAL: length_s}))[1]
        found = re.search("<td.*?>(.*?)</td>", cell)  # as pytest-html finds it
        assert found is not None
        return found.group(1)

    if round(one_s, 6) < round(other_s, 6):
        assert "" < key(one_s) < key(other_s)


def test_a_click_anywhere_in_a_cell_hits_the_cell(delivered: Record) -> None:
    for cell in row_cells(delivered):
        assert Read(cell).started == ["td"]


def test_the_details_tell_the_story(lost: Record) -> None:
    told = Read(detail_html(lost)).text

    for part in (
        "lost",
        'accepted by mail.example.com:25 with "250 2.0.0 Ok: queued as 4F2"',
        "the next run removes it",
        "mail.example.com:993 [192.0.2.11]",
        "junk folder",
        "Transcript, 8 lines",
        "2026-01-01 00:00:00.250 UTC",
    ):
        assert part in told


def test_the_dialogue_of_a_failure_is_open_and_that_of_a_pass_folded(lost: Record, delivered: Record) -> None:
    assert "<details open>" in detail_html(lost)
    assert "<details>" in detail_html(delivered)


def test_the_timeline_has_a_lane_for_each_leg_a_band_for_the_arrival_and_words_for_both(delivered: Record) -> None:
    drawn = detail_html(delivered)

    assert drawn.count("<svg") == 1
    assert drawn.count('text-anchor="end"') == 3
    assert "<title>arrived between 447 ms and 577 ms after MAIL FROM</title>" in drawn
    assert "<title>smtp submit: 34 ms, from +0.065 s</title>" in drawn
    assert "<desc>mailbox connect: 4.0 ms, from +0.000 s; mailbox tls: 6.0 ms" in drawn


def test_the_stage_that_failed_is_red_and_an_expected_end_is_not(lost: Record, undelivered: Record) -> None:
    assert detail_html(lost).count('fill="#c0271f"') == 1
    assert 'fill="#c0271f"' not in detail_html(undelivered)


def test_what_another_trip_paid_for_is_drawn_as_an_outline_at_the_edge(shared: Record) -> None:
    bars = re.findall(r'<rect x="([\d.]+)"[^>]*stroke-dasharray', detail_html(shared))

    assert bars == ["66.0"] * 3


@pytest.mark.parametrize("length_s", [1e-6, 0.02, 0.999, 1.0, 7.5, 300.0, 86400.0])
def test_the_axis_has_few_and_round_marks_whatever_the_length(
    recorded: Callable[..., Record], outcome: Outcome, length_s: float
) -> None:
    stage = Stage(Leg.SMTP, "submit", outcome.started_at_s, length_s)
    drawn = detail_html(recorded(replace(outcome, bracket=None, stages=(stage,))))

    labels = re.findall(r'fill="#5b6670" text-anchor="middle">([^<]*)<', drawn)

    assert 5 <= len(labels) <= 11
    assert all(re.fullmatch(r"0|[\d.e+-]+ (ms|s)", label) for label in labels)


def test_a_trip_without_stages_has_no_timeline(trip: Trip) -> None:
    record = record_unrun(trip, End.SKIPPED, "maintenance", node_id="a::b", at_wall_s=0.0, masker=Masker())

    assert "<svg" not in detail_html(record)
    assert "maintenance" in Read(detail_html(record)).text


def test_nothing_from_net_or_yaml_leaves_its_place(delivered: Record) -> None:
    record = _everywhere(delivered, HOSTILE)

    for html in (detail_html(record), *row_cells(record)):
        read = Read(html)

        assert read.open == []
        assert "\x00" not in html
        assert "\x1b" not in html
        assert "\u202e" not in html


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_whatever_is_said_is_shown_as_text(text: str) -> None:
    record = _everywhere(from_json(_LINE), text)

    for html in (detail_html(record), *row_cells(record)):
        assert Read(html).open == []
        html.encode("utf-8")


def test_long_lines_and_long_dialogues_are_bounded(delivered: Record) -> None:
    line = TranscriptLine(0.0, Leg.SMTP, Direction.RECEIVED, "y" * 100_000)
    stages = tuple(StageSpan(Leg.MAILBOX, "find", float(number), 0.1, shared=False) for number in range(2000))
    record = replace(
        _everywhere(delivered, "z" * 100_000), transcript=(line,) * 1000, stages=stages, left_behind=("a", "b")
    )

    html = detail_html(record)

    assert len(html) < 300_000
    assert "800 lines left out" in html
    assert "and 1940 more" in html


def test_a_real_report_carries_cells_and_details_unchanged(pytester: pytest.Pytester, lost: Record) -> None:
    record = _everywhere(lost, HOSTILE)
    pytester.makeconftest(
        """
        import pathlib, pytest
        from pytest_html import extras
        from mailtrip_reports.html import detail_html, header_cells, row_cells
        from mailtrip_reports.record import from_json

        RECORD = from_json(pathlib.Path("record.json").read_text())

        def pytest_html_results_table_header(cells):
            cells[2:2] = header_cells()

        def pytest_html_results_table_row(report, cells):
            cells[2:2] = row_cells(RECORD if "trip" in report.nodeid else None)

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if call.when == "call" and item.name == "test_trip":
                report.extras = [extras.html(detail_html(RECORD))]
            return report
        """
    )
    pytester.makepyfile("def test_trip(): assert 0\ndef test_other(): pass")
    pytester.path.joinpath("record.json").write_text(record.to_json())

    without = ("-p", "no:mailtrip", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:asyncio")
    pytester.runpytest("--html=report.html", "--self-contained-html", *without).assert_outcomes(passed=1, failed=1)

    page = _Page()
    page.feed(pytester.path.joinpath("report.html").read_text("utf-8"))
    trip, other = page.tests
    assert trip["extras"] == [
        {"name": None, "format_type": "html", "content": detail_html(record), "mime_type": None, "extension": None}
    ]
    assert trip["resultsTableRow"][2:7] == row_cells(record)
    assert other["resultsTableRow"][2:7] == row_cells(None)
    assert trip["mailtrip_smtp"] == "<!--000000000.079000-->79 ms"
    assert page.columns[2:7] == [f"mailtrip_{name}" for name in ("outcome", "total", "smtp", "transit", "mailbox")]


class _Page(HTMLParser):
    """pytest-html's page: the data that its script draws the table from, and the table's header."""

    def __init__(self) -> None:
        super().__init__()
        self.tests: list[dict[str, Any]] = []
        self.columns: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "th":
            self.columns.append(named.get("data-column-type"))
        if named.get("id") == "data-container":
            data = json.loads(named["data-jsonblob"] or "")
            self.tests = [test for tests in data["tests"].values() for test in tests]


def _column(cell: str) -> str:
    found = re.search(r"col-(\w+)", cell)  # as pytest-html finds it
    assert found is not None
    return found.group(1)


def _everywhere(record: Record, text: str) -> Record:
    """The record with this text in each place for text, as it would be had nobody cleaned it."""
    return replace(
        record,
        name=text,
        file=text,
        description=text,
        environment=text,
        what=text,
        hint=text,
        stage=text,
        hosts={text: text},
        failures=(text,),
        warnings=(text,),
        token=text,
        passed=False,
        stages=(StageSpan(Leg.SMTP, text, 0.0, 1.0, shared=False),),
        replies=(Reply(Leg.SMTP, text, text),),
        left_behind=(text,),
        transcript=(TranscriptLine(0.0, Leg.SMTP, Direction.RECEIVED, text),),
    )


_LINE = (
    '{"schema":1,"id":"a::b","name":"b","file":"a","line":1,"description":"","tags":[],"environment":null,'
    '"expected":"delivered","end":"rejected","what":"","hint":"","started_at":"2026-01-01T00:00:00Z"}'
)
