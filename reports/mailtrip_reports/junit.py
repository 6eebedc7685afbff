"""The properties of a JUnit testcase. Every value is text that XML 1.0 can carry."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields

from mailtrip_reports.record import Record
from mailtrip_reports.series import ends_in_short, last_tries, run_row
from mailtrip_reports.text import one_line, shortened, visible

_LONGEST_VALUE = 1000


def properties(record: Record) -> list[tuple[str, object]]:
    """Name and value of each property, for `item.user_properties`; lengths in seconds, no name twice."""
    return [
        (name, shortened(one_line(visible(value)), _LONGEST_VALUE)) for name, value in _named(record) if value != ""
    ]


def _named(record: Record) -> Iterator[tuple[str, str]]:
    yield "mailtrip.outcome", record.end
    yield "mailtrip.expected", record.expected
    yield "mailtrip.alertsite", "" if record.alertsite is None else str(record.alertsite)
    yield "mailtrip.alertsite.meaning", record.alertsite_meaning
    yield "mailtrip.failed.leg", record.leg or ""
    yield "mailtrip.failed.stage", record.stage
    yield "mailtrip.environment", record.environment or ""
    yield "mailtrip.location", record.location or ""
    for leg, host in record.hosts.items():
        yield f"mailtrip.host.{leg}", host
    yield "mailtrip.token", record.token
    yield "mailtrip.started_at", record.started_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield from _measured(record)
    yield from _runs(record)
    yield from _numbered("reply", [f"{reply.leg} {reply.command}: {reply.text}" for reply in record.replies])
    yield from _numbered("warning", record.warnings)
    yield from _numbered("left_behind", record.left_behind)


def _measured(record: Record) -> Iterator[tuple[str, str]]:
    for channel, length_s in record.channels.items():
        yield f"mailtrip.channel.{channel}_s", _number(length_s)
    if record.bracket is not None:
        yield "mailtrip.bracket.missed_s", _number(record.bracket.missed_s)
        yield "mailtrip.bracket.seen_s", _number(record.bracket.seen_s)
    # A stage can come twice, as when a fall-back connects anew; what another trip paid for stands apart.
    sums: defaultdict[str, float] = defaultdict(float)
    for stage in record.stages:
        sums[f"mailtrip.stage.{stage.leg}.{stage.name}{'.shared' if stage.shared else ''}_s"] += stage.length_s
    for name, length_s in sums.items():
        yield name, _number(length_s)


def _runs(record: Record) -> Iterator[tuple[str, str]]:
    yield "mailtrip.rechecks", ", ".join(record.rechecks)
    if record.statistics or len(last_tries(record)) > 1:
        yield "mailtrip.runs", ends_in_short(record)
        yield "mailtrip.shown_run", str(record.shown_run)
    for channel, found in record.statistics.items():
        for name in (one.name for one in fields(found) if one.name != "runs"):
            yield f"mailtrip.channel.{channel}.{name}", _number(getattr(found, name))
    yield from _numbered("run", [", ".join(filter(None, run_row(record, run))) for run in record.runs])


def _numbered(name: str, values: list[str] | tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for number, value in enumerate(values, 1):
        yield f"mailtrip.{name}.{number}", value


def _number(length_s: float) -> str:
    return f"{length_s:.6f}"
