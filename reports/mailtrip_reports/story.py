"""What a person reads in the terminal: plain text, without colours, 80 columns wide where nothing else is asked for."""

import textwrap
from collections.abc import Iterator

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.judge import NOTABLE_LAG, NOTABLE_LAG_S
from mailtrip_checks.trips import Channel, Expected, Limit
from mailtrip_reports.record import Record, StageSpan, TranscriptLine
from mailtrip_reports.series import STATISTICS_HEAD, counted, is_repeated, run_row, shown_run, statistics_rows
from mailtrip_reports.text import one_line, seconds, shortened

STORY_SECTION = "mailtrip story"
TRANSCRIPT_SECTION = "mailtrip transcript"
_LAST_LINES = 12
_STAGES_AT_AN_END = 15
_MOST_RUNS = 15
_LONGEST_TEXT = 2000
# Behind the trip's own choice the channel that says most comes first; an end before arrival has only the later ones.
_BY_WEIGHT = (Channel.TOTAL, Channel.TRANSIT, Channel.RESPONSES, Channel.SMTP, Channel.MAILBOX)
_LEGS = {
    Channel.SMTP: (Leg.SMTP,),
    Channel.MAILBOX: (Leg.MAILBOX,),
    Channel.RESPONSES: (Leg.SMTP, Leg.MAILBOX),
    Channel.TRANSIT: (Leg.TRANSIT,),
    Channel.TOTAL: (Leg.SMTP, Leg.TRANSIT),
}

_HOPED_AGAINST = (Expected.REJECTED, Expected.UNDELIVERED)


def primary_channel(record: Record) -> tuple[Channel, float] | None:
    """The channel to show where there is room for one, in seconds; None where nothing was measured."""
    by_weight = (record.primary, *_BY_WEIGHT)
    return next(((channel, record.channels[channel]) for channel in by_weight if channel in record.channels), None)


def end_text(record: Record) -> str:
    """`delivered`; `rejected, as expected`."""
    return f"{record.end}, as expected" if record.expected in _HOPED_AGAINST and record.passed else str(record.end)


def summary_line(record: Record) -> str:
    """The trip in one line, without its name, which stands beside it everywhere."""
    why = "; ".join(reasons(record)[:1])
    line = f"{in_short(record)}: {why}" if why else in_short(record)
    return shortened(one_line(line), _LONGEST_TEXT)


def cause(record: Record) -> str:
    """The end and what decided it, in one line as short as can be: `rejected: RCPT 550 5.1.1 no such user`."""
    return shortened(one_line(f"{record.end}: {_decided(record)}"), _LONGEST_TEXT)


def _decided(record: Record) -> str:
    why = next(iter(reasons(record)), "")
    if is_repeated(record) or not why.startswith(f"expected {record.expected}, but it ended "):
        return why
    if record.end in (End.REJECTED, End.DEFERRED) and record.replies:
        return f"{record.replies[-1].command} {record.replies[-1].text}"
    return record.what or f"expected {record.expected}"


def in_short(record: Record) -> str:
    """How it ended and what it took: the primary channel, or the trip's time where it did not get that far."""
    if is_repeated(record):
        return f"{end_text(record)}, {counted(record)}"
    primary = primary_channel(record)
    if primary and (record.passed or Channel.TOTAL in record.channels):
        return f"{end_text(record)}, {primary[0]} {seconds(primary[1])}"
    return end_text(record) if record.passed is None else f"{end_text(record)}, after {seconds(record.duration_s)}"


def failure_text(record: Record, *, width: int = 80) -> str:
    """The story of a trip that failed: what was done, when, what the server said, what to try."""
    parts = [_head(record)]
    parts += [_wrapped("  ", reason, width) for reason in reasons(record)]
    together = len(parts)
    parts += [_statistics(record), _failed_runs(record, width)]
    parts += [_table(record), _replies(record, width), _remarks(record, width), _last_lines(record, width)]
    return "\n\n".join(_grouped(parts, together))


def passed_text(record: Record, *, width: int = 80) -> str:
    """The story of a trip that passed: what it took, and what there is to be warned of."""
    return "\n\n".join(_grouped([_head(record), _statistics(record), _table(record), _remarks(record, width)], 1))


def transcript_text(record: Record) -> str:
    """What is kept of the dialogue, a line each, with the seconds since the trip's start.

    A very long line loses its end; what a connection with much to say loses between, a line says in its place.
    """
    run = shown_run(record)
    lines = [shortened(_said(line), _LONGEST_TEXT) for line in record.transcript]
    return "\n".join([run, *lines] if run and lines else lines)


def _grouped(parts: list[str], together: int) -> Iterator[str]:
    """The first ones without an empty line between them, and none that is empty."""
    yield "\n".join(part for part in parts[:together] if part)
    yield from (part for part in parts[together:] if part)


def _head(record: Record) -> str:
    head = f"{record.file}:{record.line} {record.name} · {in_short(record)}"
    return f"{head}\n  {one_line(record.description)}" if record.description else head


def reasons(record: Record) -> list[str]:
    """Why it failed; what went wrong, where no failure says it already."""
    reasons = list(record.failures)
    if record.what and not record.passed and not any(record.what in reason for reason in reasons):
        reasons.append(record.what)
    return reasons


def _statistics(record: Record) -> str:
    if not record.statistics:
        return ""
    rows = [STATISTICS_HEAD, *statistics_rows(record)]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  "
        + "  ".join(
            [row[0].ljust(wide[0]), *(cell.rjust(width) for cell, width in zip(row[1:], wide[1:], strict=True))]
        )
        for row in rows
    )


def _failed_runs(record: Record, width: int) -> str:
    """The tries that failed, where there is more than the one that is told in full."""
    failed = [run for run in record.runs if not run.passed]
    rows = [_wrapped("    ", ", ".join(run_row(record, run)[:3]), width) for run in failed[:_MOST_RUNS]]
    if len(failed) > _MOST_RUNS:
        rows.append(f"    and {len(failed) - _MOST_RUNS} more")
    return "\n".join(["  what failed", *rows]) if len(failed) > 1 else ""


def _table(record: Record) -> str:
    if not record.stages:
        return ""
    wide = max(len(stage.name) for stage in record.stages)
    rows = [f"  {'leg':<8} {'stage':<{wide}} {'began':>11} {'took':>11}"]
    leg: Leg | None = None
    marked = _marked(record)
    for stage in record.stages:
        shown = "" if stage.leg is leg else stage.leg
        leg = stage.leg
        row = f"  {shown:<8} {stage.name:<{wide}} {stage.start_s:>+z9.3f} s {seconds(stage.length_s):>11}"
        rows.append(row + (marked[1] if marked and stage is marked[0] else "  (shared)" if stage.shared else ""))
    # A mailbox may have been looked into again and again; the first and the last stages say most.
    left_out = len(rows) - 1 - 2 * _STAGES_AT_AN_END
    if left_out > 0:
        rows[1 + _STAGES_AT_AN_END : -_STAGES_AT_AN_END] = [f"  and {left_out} more, left out here"]
    return "\n".join(rows)


def _marked(record: Record) -> tuple[StageSpan, str] | None:
    """The stage in which it ended, or the longest of those that made it late."""
    if record.end is End.LATE:
        past = (limit.channel for limit in record.limits if _is_past(record.channels.get(limit.channel), limit.fail_s))
        longest = max(_stages_in(record, next(past, None)), key=lambda stage: stage.length_s, default=None)
        return (longest, "  <-- the longest") if longest else None
    ended = [stage for stage in record.stages if (stage.leg, stage.name) == (record.leg, record.stage)]
    return (ended[-1], "  <-- here") if ended and not record.passed else None


def _is_past(length_s: float | None, bound_s: float | None) -> bool:
    return length_s is not None and bound_s is not None and length_s > bound_s


def _stages_in(record: Record, channel: Channel | None) -> list[StageSpan]:
    """The stages whose lengths make up the channel."""
    since_s = record.mail_from_s if channel is Channel.TOTAL and record.mail_from_s is not None else float("-inf")
    legs = _LEGS.get(channel, ()) if channel else ()
    own = [stage for stage in record.stages if stage.leg in legs and not stage.shared]
    return [stage for stage in own if stage.start_s + stage.length_s > since_s]


def _replies(record: Record, width: int) -> str:
    if not record.replies:
        return ""
    rows = [_wrapped(f"    {reply.leg} {reply.command}: ", reply.text, width) for reply in record.replies]
    return "\n".join(["  the server said", *rows])


def remarks(record: Record) -> list[tuple[str, str]]:
    """What else there is to know, by name: arrival, warnings, what stays, servers, what to try."""
    named = [
        ("shown", shown_run(record)),
        ("channels", _channels(record)),
        ("arrived", _arrival(record)),
        ("own lag", _lag(record)),
        *(("warning", warning) for warning in record.warnings),
    ]
    named += [(f"{leg} server", host) for leg, host in record.hosts.items()]
    if record.alertsite is not None:
        named.append(("AlertSite", f"{record.alertsite}, {record.alertsite_meaning}"))
    named += [("environment", record.environment or ""), ("location", record.location or ""), ("token", record.token)]
    named.append(("Message-ID", record.message_id))
    named += [("what stays", left) for left in record.left_behind]
    named += [("try", record.hint)]
    return [(name, text) for name, text in named if text]


def _remarks(record: Record, width: int) -> str:
    return "\n".join(_wrapped(f"  {name}: ", text, width) for name, text in remarks(record))


def _channels(record: Record) -> str:
    """What a trip that ran once took, with its limits; of one that ran again and again the statistics tell."""
    if is_repeated(record):
        return ""
    limits = {limit.channel: limit for limit in record.limits}
    return ", ".join(
        f"{channel} {seconds(length_s)}{_bounds(limits.get(channel))}" for channel, length_s in record.channels.items()
    )


def _bounds(limit: Limit | None) -> str:
    bounds = (("warning past", limit and limit.warn_s), ("limit", limit and limit.fail_s))
    told = [f"{name} {bound_s:g} s" for name, bound_s in bounds if bound_s is not None]
    return f" ({', '.join(told)})" if told else ""


def _arrival(record: Record) -> str:
    if record.bracket is None:
        return ""
    return f"between {seconds(record.bracket.missed_s)} and {seconds(record.bracket.seen_s)} after MAIL FROM"


def has_notable_lag(record: Record) -> bool:
    """Whether our own loop stood still for a time that matters beside those measured."""
    lag_s, primary = record.lag_s or 0.0, primary_channel(record)
    return lag_s > NOTABLE_LAG_S or (primary is not None and lag_s > NOTABLE_LAG * primary[1])


def _lag(record: Record) -> str:
    if not has_notable_lag(record):
        return ""
    return f"our own loop stood still for {seconds(record.lag_s or 0.0)} between sending and arrival"


def _last_lines(record: Record, width: int) -> str:
    """The end of the dialogue on the leg where it failed."""
    lines = [line for line in record.transcript if line.leg is record.leg] or list(record.transcript)
    if not lines:
        return ""
    rows = [f"  {_said(line)}" for line in lines[-_LAST_LINES:]]
    head = _wrapped("  ", f'the dialogue ended so (more is in "{TRANSCRIPT_SECTION}")', width)
    return "\n".join([head, *(row if len(row) <= width else row[: width - 1] + "…" for row in rows)])


def _said(line: TranscriptLine) -> str:
    return f"{line.at_s:>+z9.3f} {line.leg:<7} {line.direction} {line.text}"


def _wrapped(lead: str, text: str, width: int) -> str:
    """The text behind its lead, broken at words, its further lines indented."""
    further = " " * (len(lead) - len(lead.lstrip()) + 2)
    text = shortened(one_line(text), _LONGEST_TEXT)
    return textwrap.fill(lead + text, max(width, 40), subsequent_indent=further, break_on_hyphens=False)
