"""What a lost location had not ended fails, as if it had run: in the terminal, JUnit, HTML and JSON lines alike."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mailtrip.locations import unlocated
from mailtrip.stash import is_trip

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mailtrip_checks.trips import Trip
    from mailtrip_reports.record import Record


def report_lost(config: pytest.Config, nodeids: Iterable[str], location: str, why: str) -> None:
    """Fail these items of a location."""
    trips = _Trips(config)
    for nodeid in nodeids:
        file, _, name = nodeid.partition("::")
        report = pytest.TestReport(
            nodeid=nodeid,
            location=(file, None, name),
            keywords={},
            outcome="failed",
            longrepr=why,
            when="call",
        )
        if (trip := trips.of(file, unlocated(name, location))) is not None:
            from mailtrip_reports.junit import properties

            record = _record(trip, nodeid, location, why)
            report.user_properties = properties(record)
            report.mailtrip = record  # type: ignore[attr-defined]  # as reporting attaches it
        config.hook.pytest_runtest_logreport(report=report)


def _record(trip: Trip, nodeid: str, location: str, why: str) -> Record:
    from mailtrip_checks.ends import End
    from mailtrip_checks.secrets import Masker
    from mailtrip_reports.record import record_unrun

    masker = Masker(trip.secrets)
    record = record_unrun(
        trip, End.CANCELLED, why, node_id=nodeid, at_wall_s=time.time(), masker=masker, location=location
    )
    return replace(record, passed=False)


class _Trips:
    """The definitions as this process reads them, which may see other files and variables than the location."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._read: dict[str, Mapping[str, Trip]] = {}

    def of(self, file: str, name: str) -> Trip | None:
        if not is_trip(file):
            return None
        if file not in self._read:
            self._read[file] = self._trips(file)
        return self._read[file].get(name)

    def _trips(self, file: str) -> Mapping[str, Trip]:
        from mailtrip.trip_file import definitions
        from mailtrip_checks.definitions import DefinitionError

        try:
            return {trip.id: trip for trip in definitions(self._config).trips(self._config.rootpath / file)}
        except (DefinitionError, OSError):
            return {}
