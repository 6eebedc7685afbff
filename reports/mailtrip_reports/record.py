"""The record of a trip: what every report tells from, and one line of the JSON lines (docs/records.md)."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from mailtrip_checks.ends import ALERTSITE_MEANINGS, End, Leg, alertsite_number, hint
from mailtrip_checks.judge import Judgement, advice
from mailtrip_checks.message import message_id
from mailtrip_checks.outcome import Direction, Line, Outcome, Reply, Run, Stage
from mailtrip_checks.percentiles import Statistics
from mailtrip_checks.secrets import Masker
from mailtrip_checks.trips import Channel, Expected, Limit, Trip
from mailtrip_checks.verdict import failed_tries
from mailtrip_reports.text import visible

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 1
_INVALID_RESPONSE = 3
_GOOD_ENDS = frozenset({End.DELIVERED, End.ACCEPTED, End.CONNECTED})


@dataclass(frozen=True, slots=True)
class StageSpan:
    """One step of a leg. `start_s` counts from the trip's start and is negative where another trip took it before."""

    leg: Leg
    name: str
    start_s: float
    length_s: float
    shared: bool


@dataclass(frozen=True, slots=True)
class ArrivalBracket:
    """The mail came after `missed_s` and by `seen_s`, counted from MAIL FROM."""

    missed_s: float
    seen_s: float


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One line of a dialogue; `at_s` counts from the trip's start."""

    at_s: float
    leg: Leg
    direction: Direction
    text: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One try of a trip that ran more than once: the `attempt`-th of its `number`-th run, both from 1."""

    number: int
    attempt: int
    end: End
    passed: bool
    why: str
    started_at: datetime
    duration_s: float
    channels: Mapping[Channel, float]
    token: str
    lag_s: float | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One trip, told without secrets and without characters that cannot be seen. Lengths and instants in seconds.

    `id` is the node id, `file` its file, `location` where it ran, None where there was but one place.
    `passed` is None where nothing was judged (skipped, cancelled).
    `alertsite` is 0 for whatever passed, also for an end that was hoped for; None for what did not run.
    `lag_s` is the longest time for which our own loop stood still between sending and arrival.
    `duration_s` is what its own stages took; `mail_from_s` and `accepted_s` count from its start.

    Of a trip that ran more than once, `runs` are all tries, `rechecks` the ends of those that another try followed,
    `statistics` what the runs that ended as expected took; the rest tells of the run `shown_run`, except for
    `duration_s`, warnings and mails left behind, which are those of all.
    """

    schema: int
    id: str
    name: str
    file: str
    line: int
    description: str
    tags: tuple[str, ...]
    environment: str | None
    expected: Expected
    end: End
    what: str
    hint: str
    started_at: datetime
    location: str | None = None
    passed: bool | None = None
    alertsite: int | None = None
    alertsite_meaning: str = ""
    leg: Leg | None = None
    stage: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict[str, str])
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    duration_s: float = 0.0
    mail_from_s: float | None = None
    accepted_s: float | None = None
    bracket: ArrivalBracket | None = None
    lag_s: float | None = None
    stages: tuple[StageSpan, ...] = ()
    primary: Channel = Channel.TOTAL
    channels: Mapping[Channel, float] = field(default_factory=dict[Channel, float])
    limits: tuple[Limit, ...] = ()
    statistics: Mapping[Channel, Statistics] = field(default_factory=dict[Channel, Statistics])
    shown_run: int | None = None
    rechecks: tuple[End, ...] = ()
    runs: tuple[RunRecord, ...] = ()
    replies: tuple[Reply, ...] = ()
    token: str = ""
    message_id: str = ""
    left_behind: tuple[str, ...] = ()
    transcript: tuple[TranscriptLine, ...] = ()

    def to_json(self) -> str:
        """One line of ASCII without its line end."""
        return json.dumps(self, default=_as_json, separators=(",", ":"), allow_nan=False)


def from_json(text: str) -> Record:
    """The record that `to_json` wrote; fields that a later version added are passed over.

    Raises ValueError for what is no record, or one of another schema.
    """
    record = _adapter().validate_json(text)
    if record.schema != SCHEMA:
        raise ValueError(f"a record of schema {record.schema}; this version reads schema {SCHEMA}")
    return record


def record_unrun(
    trip: Trip, end: End, why: str, *, node_id: str, at_wall_s: float, masker: Masker, location: str | None = None
) -> Record:
    """What there is to tell of a trip that did not run: `end` is SKIPPED or CANCELLED, `at_wall_s` Unix time."""
    clean = _cleaner(masker)
    return Record(**_of_trip(trip, clean, node_id, location), **_ended(end, why, hint(end, None), at_wall_s, clean))


def record_of(
    trip: Trip,
    outcome: Outcome,
    judgement: Judgement,
    *,
    node_id: str,
    masker: Masker,
    location: str | None = None,
) -> Record:
    """What there is to tell of a trip that ran. Everything passes the masker once more, whoever masked it before."""
    clean = _cleaner(masker)
    start_s, number = outcome.started_at_s, _alertsite(judgement, outcome.leg)
    why, how = outcome.what, advice(outcome, judgement, trip.expect)
    return Record(
        **_of_trip(trip, clean, node_id, location),
        **_ended(judgement.end, why, how, outcome.started_wall_s, clean),
        passed=judgement.passed,
        alertsite=number,
        alertsite_meaning="" if number is None else ALERTSITE_MEANINGS[number],
        leg=outcome.leg,
        stage=clean(outcome.stage),
        hosts={leg: clean(host) for leg, host in outcome.hosts},
        failures=_each(clean, judgement.failures),
        warnings=_each(clean, judgement.warnings),
        duration_s=_micro(outcome.duration_s),
        mail_from_s=_since(start_s, outcome.mail_from_at_s),
        accepted_s=_since(start_s, outcome.accepted_at_s),
        bracket=_bracket(outcome),
        lag_s=None if outcome.lag_s is None else _micro(outcome.lag_s),
        stages=tuple(_span(stage, start_s, clean) for stage in outcome.stages),
        channels=_channels(judgement.channels, trip.primary),
        limits=trip.expect.limits,
        replies=tuple(Reply(reply.leg, clean(reply.command), clean(reply.text)) for reply in outcome.replies),
        token=clean(outcome.token),
        message_id=clean(message_id(trip.send, outcome.token)) if trip.send and outcome.accepted_at_s else "",
        left_behind=_each(clean, outcome.left_behind),
        transcript=tuple(_line(line, start_s, clean) for line in outcome.transcript),
        **(_of_runs(outcome, judgement, trip.primary, clean) if outcome.runs else {}),
    )


_Clean = Callable[[str], str]


def _of_trip(trip: Trip, clean: _Clean, node_id: str, location: str | None) -> dict[str, Any]:
    """What a record holds of the trip itself."""
    return {
        "schema": SCHEMA,
        "id": clean(node_id),
        "name": clean(trip.id),
        "file": clean(node_id.partition("::")[0]),
        "line": trip.line,
        "description": clean(trip.description),
        "tags": _each(clean, trip.tags),
        "environment": None if trip.environment is None else clean(trip.environment),
        "location": location,
        "expected": trip.expect.outcome,
        "primary": trip.primary,
    }


def _ended(end: End, why: str, how: str, at_wall_s: float, clean: _Clean) -> dict[str, Any]:
    """What a record holds of every end."""
    return {
        "end": end,
        "what": clean(why),
        "hint": clean(how),
        "started_at": datetime.fromtimestamp(at_wall_s, UTC),
    }


def _of_runs(outcome: Outcome, judgement: Judgement, primary: Channel, clean: _Clean) -> dict[str, Any]:
    """What a record holds of a trip that ran more than once."""
    return {
        "statistics": _statistics(judgement, primary),
        "shown_run": outcome.shown_run,
        "rechecks": tuple(run.end for run in failed_tries(outcome.runs)),
        "runs": tuple(_run(run, primary, clean) for run in outcome.runs),
    }


def _cleaner(masker: Masker) -> _Clean:
    # Masking comes first: a secret may hold characters that `visible` would write in another way.
    return lambda text: visible(masker.mask(text))


def _each(clean: _Clean, texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(clean(text) for text in texts)


def _alertsite(judgement: Judgement, leg: Leg | None) -> int | None:
    if judgement.passed:
        return 0
    # A good end that failed is one that the author did not want: a mail came through that should not.
    return alertsite_number(judgement.end, leg) or (_INVALID_RESPONSE if judgement.end in _GOOD_ENDS else None)


def _channels(seen: Mapping[Channel, float], primary: Channel) -> dict[Channel, float]:
    """The primary one first."""
    return {channel: _micro(seen[channel]) for channel in sorted(seen, key=lambda one: one is not primary)}


def _statistics(judgement: Judgement, primary: Channel) -> dict[Channel, Statistics]:
    """The primary one first."""
    found = judgement.statistics
    return {channel: _rounded(found[channel]) for channel in sorted(found, key=lambda one: one is not primary)}


def _rounded(found: Statistics) -> Statistics:
    runs, *lengths_s = (getattr(found, one.name) for one in fields(found))
    return Statistics(runs, *map(_micro, lengths_s))


def _run(run: Run, primary: Channel, clean: _Clean) -> RunRecord:
    return RunRecord(
        number=run.number,
        attempt=run.attempt,
        end=run.end,
        passed=run.passed,
        why=clean(run.why),
        started_at=datetime.fromtimestamp(run.started_wall_s, UTC),
        duration_s=_micro(run.duration_s),
        channels=_channels(run.channels, primary),
        token=clean(run.token),
        lag_s=None if run.lag_s is None else _micro(run.lag_s),
    )


def _micro(length_s: float) -> float:
    return round(length_s, 6)


def _since(start_s: float, instant_s: float | None) -> float | None:
    return None if instant_s is None else _micro(instant_s - start_s)


def _bracket(outcome: Outcome) -> ArrivalBracket | None:
    if outcome.bracket is None or outcome.mail_from_at_s is None:
        return None
    # The last look that missed may lie before the sending; the mail cannot have come that early.
    missed_s = max(outcome.bracket.missed_at_s - outcome.mail_from_at_s, 0.0)
    return ArrivalBracket(_micro(missed_s), _micro(outcome.bracket.seen_at_s - outcome.mail_from_at_s))


def _span(stage: Stage, start_s: float, clean: _Clean) -> StageSpan:
    since_s = _micro(stage.started_at_s - start_s)
    return StageSpan(stage.leg, clean(stage.name), since_s, _micro(stage.length_s), stage.shared)


def _line(line: Line, start_s: float, clean: _Clean) -> TranscriptLine:
    return TranscriptLine(_micro(line.at_s - start_s), line.leg, line.direction, clean(line.text))


def _as_json(value: object) -> object:
    # Not `asdict`, which copies every text of a long transcript on its way.
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no place in a record")


@cache
def _adapter() -> "TypeAdapter[Record]":
    from pydantic import TypeAdapter  # here: it takes as long to import as all of ours, and only who reads needs it

    return TypeAdapter(Record)
