"""What pytest's reports learn of a trip: its own time, its record, the HTML row, the JSON line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailtrip import results
from mailtrip.locations import location_of
from mailtrip.stash import LEFT_BEHIND, MAILS_THAT_STAY, SENT_TWICE, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Generator

    from mailtrip_reports.jsonl import JsonLines
    from mailtrip_reports.record import Record


def tells_passed(config: pytest.Config) -> bool:
    """Whether this run shows or keeps the transcripts of trips that pass; they cost more than all else of a report."""
    option = config.option
    kept = getattr(option, "htmlpath", None) or option.mailtrip_jsonl or option.mailtrip_keep_results
    return bool(kept or set(option.reportchars) & {"A", "P"})


class Reporting:
    """Registered once a run. A record travels on its report, so that it also comes home from a worker."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._has_columns = False
        self._is_verbose = config.get_verbosity(pytest.Config.VERBOSITY_TEST_CASES) > 0
        self._is_worker = hasattr(config, "workerinput")
        self._lines = None if self._is_worker else _json_lines(config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        tells = call.when == "call" or (call.when == "setup" and report.skipped)
        if not tells or not item.path.name.endswith(SUFFIXES):
            return report
        from mailtrip.trip_file import TripItem

        if not isinstance(item, TripItem):
            return report
        if call.when == "call" and item.record is not None:
            report.duration = item.record.duration_s
            if report.skipped and call.excinfo and isinstance(call.excinfo.value, pytest.skip.Exception):
                # Where the trip stands, as for one that is marked so.
                report.longrepr = str(item.path), item.trip.line, f"Skipped: {call.excinfo.value}"
            self._attach(report, item.record)
        if call.when == "setup":
            from mailtrip_checks.ends import End
            from mailtrip_checks.secrets import Masker
            from mailtrip_reports.record import record_unrun

            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            masker = Masker(item.trip.secrets)
            record = record_unrun(
                item.trip,
                End.SKIPPED,
                why,
                node_id=item.nodeid,
                location=location_of(self._config),
                at_wall_s=time.time(),
                masker=masker,
            )
            item.record = record
            self._attach(report, record)
            try:
                results.keep(self._config, record, masker)
            except OSError as error:
                report.outcome, report.longrepr = "failed", str(error)
        return report

    def _attach(self, report: pytest.TestReport, record: Record) -> None:
        # As JSON where it has to travel; reports carry what plugins add.
        report.mailtrip = record.to_json() if self._is_worker else record  # type: ignore[attr-defined]

    def _record_on(self, report: pytest.TestReport) -> Record | None:
        attached: Record | str | None = getattr(report, "mailtrip", None)
        if not isinstance(attached, str):
            return attached
        from mailtrip_reports.record import from_json

        record = from_json(attached)
        if not self._is_worker:
            report.mailtrip = record  # type: ignore[attr-defined]  # so it is read but once
        return record

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What the controller does with a record that has come home."""
        record = None if self._is_worker else self._record_on(report)
        if record is None:
            return
        if getattr(self._config.option, "htmlpath", None):
            from pytest_html import extras

            from mailtrip_reports.html import detail_html

            more: list[object] = getattr(report, "extras", [])
            report.extras = [*more, extras.html(detail_html(record))]  # type: ignore[attr-defined]
        if self._lines is not None:
            from mailtrip_reports.jsonl import UnwritableReport

            try:
                self._lines.write(record)
            except UnwritableReport as error:
                pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)

    def write_line(self, record: Record) -> None:
        """One JSON line, where they are wanted; raises UnwritableReport."""
        if self._lines is not None:
            self._lines.write(record)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        if not self._is_verbose:
            return None
        record = self._record_on(report)
        if record is None or not record.passed or not report.passed or hasattr(report, "wasxfail"):
            return None
        from mailtrip_reports.story import in_short

        return "passed", ".", f"PASSED ({in_short(record)})"

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Also after a SIGTERM, where pytest writes no summary."""
        if self._lines is not None:
            self._lines.close()
        if self._is_worker:
            return
        writer = config.get_terminal_writer()
        for title, key in ((MAILS_THAT_STAY, LEFT_BEHIND), ("trips that may have been sent twice", SENT_TWICE)):
            if told := config.stash.get(key, None):
                if writer.width_of_current_line:
                    writer.line()
                writer.sep("=", title)
                for line in told:
                    writer.line(line)

    # pytest-html. The header is made before anything is collected, and every row must fit it.

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        self._has_columns = names_trips(self._config)
        if self._has_columns:
            from mailtrip_reports.html import header_cells

            cells[2:2] = header_cells()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: pytest.TestReport, cells: list[str]) -> None:
        if self._has_columns and cells:  # who hides a row empties its cells
            from mailtrip_reports.html import row_cells

            cells[2:2] = row_cells(self._record_on(report))


def _json_lines(config: pytest.Config) -> JsonLines | None:
    path: str | None = config.option.mailtrip_jsonl
    if path is None:
        return None
    from mailtrip_reports.jsonl import JsonLines, UnwritableReport

    lines = JsonLines(config.invocation_params.dir / path)
    try:
        lines.open()
    except UnwritableReport as error:
        raise pytest.UsageError(str(error)) from error
    return lines


def names_trips(config: pytest.Config) -> bool:
    """Whether a trip file lies where this run looks."""
    places = (Path(config.invocation_params.dir, arg.partition("::")[0]) for arg in config.args)
    return any(
        place.name.endswith(SUFFIXES) or any(next(place.rglob(f"*{suffix}"), None) for suffix in SUFFIXES)
        for place in places
    )
