"""What the plugin says of an arrival, held against the server's own instant. Both read one machine's clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.harness import Wrong
from mailtrip_reports.record import Record


@dataclass(frozen=True, slots=True)
class Seen:
    """One arrival. `late_s`: seen so long after it was there; `look_s`: the look that found it; both in seconds."""

    late_s: float
    width_s: float
    look_s: float
    contains: bool


def seen(records: Sequence[Record], delivered_wall_s: Mapping[str, float]) -> list[Seen]:
    """Each record's arrival. A mail is also there a moment before the server notes it: that much is granted."""
    return [_seen(record, delivered_wall_s[record.token]) for record in records]


def _seen(record: Record, delivered_wall_s: float) -> Seen:
    if record.bracket is None or record.mail_from_s is None:
        raise Wrong(f"{record.id} ended {record.end} and saw no arrival")
    mail_from_wall_s = record.started_at.timestamp() + record.mail_from_s
    at_s = delivered_wall_s - mail_from_wall_s
    missed_s, seen_s = record.bracket.missed_s, record.bracket.seen_s
    look_s = next((stage.length_s for stage in record.stages if stage.name == "find"), 0.0)
    return Seen(
        late_s=seen_s - at_s,
        width_s=seen_s - missed_s,
        look_s=look_s,
        contains=missed_s - _GRANTED_S <= at_s <= seen_s + _GRANTED_S,
    )


_GRANTED_S = 0.0005
