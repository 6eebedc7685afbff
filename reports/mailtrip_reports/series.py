"""What reports say of a trip that ran more than once: its runs, and what they took together."""

from collections import Counter

from mailtrip_reports.record import Record, RunRecord
from mailtrip_reports.text import seconds

STATISTICS_HEAD = ("channel", "runs", "min", "median", "p75", "p90", "p95", "p99", "max")


def last_tries(record: Record) -> list[RunRecord]:
    """Of each run the try that decided; empty for a trip that ran once."""
    return list({run.number: run for run in record.runs}.values())


def is_repeated(record: Record) -> bool:
    """Whether it ran again and again, not only once more after a failure."""
    return len(last_tries(record)) > 1


def ends_in_short(record: Record) -> str:
    """`18 delivered, 2 lost` of 20 runs, the most frequent first."""
    return ", ".join(f"{count} {end}" for end, count in Counter(run.end for run in last_tries(record)).most_common())


def counted(record: Record) -> str:
    """`2 of 20 runs failed`, with the primary channel's median where there is one."""
    runs = last_tries(record)
    failed = sum(not run.passed for run in runs)
    told = f"{failed} of {len(runs)} runs failed" if failed else f"{len(runs)} runs"
    for channel, found in record.statistics.items():  # the primary one first
        return f"{told}, {channel} median {seconds(found.p50_s)}, p95 {seconds(found.p95_s)}"
    return told


def shown_run(record: Record) -> str:
    """`run 7 of 20, try 2`; empty for a trip that ran once."""
    if not record.runs:
        return ""
    tries = sum(run.number == record.shown_run for run in record.runs)
    named = [f"run {record.shown_run} of {len(last_tries(record))}"] if is_repeated(record) else []
    return ", ".join([*named, f"try {tries}"] if tries > 1 else named)


def statistics_rows(record: Record) -> list[tuple[str, ...]]:
    """A row a channel, in the columns of STATISTICS_HEAD."""
    rows: list[tuple[str, ...]] = []
    for channel, found in record.statistics.items():
        lengths = (found.min_s, found.p50_s, found.p75_s, found.p90_s, found.p95_s, found.p99_s, found.max_s)
        rows.append((channel, str(found.runs), *map(seconds, lengths)))
    return rows


def run_row(record: Record, run: RunRecord) -> tuple[str, ...]:
    """Which run, how it ended, what it took, and why it failed."""
    tries = sum(other.number == run.number for other in record.runs)
    which = f"run {run.number}, try {run.attempt}" if tries > 1 else f"run {run.number}"
    length_s = run.channels.get(record.primary)
    took = f"after {seconds(run.duration_s)}" if length_s is None else f"{record.primary} {seconds(length_s)}"
    return which, run.end, took, run.why
