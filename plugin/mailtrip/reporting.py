"""What pytest's reports learn of a trip: its own time, its record, the HTML row, the JSON line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from mailtrip.stash import LEFT_BEHIND, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Generator

    from mailtrip_reports.jsonl import JsonLines
    from mailtrip_reports.record import Record


class Reporting:
    """Registered once a run. A record travels on its report, so that it also comes home from a worker."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lines: JsonLines | None = None
        self._is_worker = hasattr(config, "workerinput")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if not item.path.name.endswith(SUFFIXES):
            return report
        from mailtrip.trip_file import TripItem

        if not isinstance(item, TripItem):
            return report
        if call.when == "call" and item.record is not None:
            report.duration = item.record.duration_s
            self._attach(report, item.record)
        if call.when == "setup" and report.skipped:
            from mailtrip_checks.ends import End
            from mailtrip_checks.secrets import Masker
            from mailtrip_reports.record import record_unrun

            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            masker = Masker(item.trip.secrets)
            record = record_unrun(
                item.trip, End.SKIPPED, why, node_id=item.nodeid, at_wall_s=time.time(), masker=masker
            )
            self._attach(report, record)
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

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        path: str | None = self._config.option.mailtrip_jsonl
        record = self._record_on(report)
        if path is None or record is None or self._is_worker:
            return
        if self._lines is None:
            from mailtrip_reports.jsonl import JsonLines

            self._lines = JsonLines(self._config.invocation_params.dir / path)
        self._lines.write(record)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
        record = self._record_on(report)
        if record is None or not record.passed or not report.passed or hasattr(report, "wasxfail"):
            return None
        from mailtrip_checks.trips import Channel

        total = record.channels.get(Channel.TOTAL)
        return "passed", ".", f"PASSED ({record.end}{f' in {total:.3f} s' if total is not None else ''})"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        left = config.stash.get(LEFT_BEHIND, None)
        if left:
            terminalreporter.section("mails that stay")
            for mail in left:
                terminalreporter.line(mail)

    def pytest_unconfigure(self) -> None:
        if self._lines is not None:
            self._lines.close()

    # pytest-html

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        from mailtrip_reports.html import header_cells

        cells[2:2] = header_cells()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: pytest.TestReport, cells: list[str]) -> None:
        from mailtrip_reports.html import row_cells

        cells[2:2] = row_cells(self._record_on(report))

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_html(self, report: pytest.TestReport, data: list[Any]) -> None:
        record = self._record_on(report)
        if record is not None:
            from mailtrip_reports.html import detail_html

            data[:] = [detail_html(record)]
