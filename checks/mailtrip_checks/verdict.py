"""The judgement of an item: of a trip's one run, or of all the runs that it took."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from mailtrip_checks.ends import End
from mailtrip_checks.judge import Judgement, above, judge
from mailtrip_checks.outcome import Outcome, Run
from mailtrip_checks.percentiles import nearest_rank, statistics
from mailtrip_checks.trips import Channel, Expect, Limit

_MOST_NAMED = 10


def verdict(outcome: Outcome, expect: Expect) -> Judgement:
    """Hold all that ran against the expectation; never raises. What is shown is told in full, the rest is counted."""
    shown = judge(outcome, expect)
    if not outcome.runs:
        return shown
    runs = last_tries(outcome.runs)
    if len(runs) == 1:
        return _of_tries(shown, outcome.runs)
    failed = [run for run in runs if not run.passed]
    late = list(_past_percentiles(runs, expect.limits))
    failures = [f"run {outcome.shown_run}: {failure}" for failure in shown.failures]
    if failed:
        failures.insert(0, f"{len(failed)} of {len(runs)} runs failed: {ends_in_short(failed)}")
    return Judgement(
        End.LATE if late and not failed else shown.end,
        (*failures, *late),
        (*outcome.warnings, *_warned(runs, expect.limits), *_rechecked(outcome.runs)),
        shown.channels,
        {channel: statistics(lengths_s) for channel, lengths_s in _lengths(runs).items()},
    )


def last_tries(runs: Iterable[Run]) -> list[Run]:
    """Of each run the try that decided."""
    return list({run.number: run for run in runs}.values())


def failed_tries(runs: Sequence[Run]) -> list[Run]:
    """The tries that failed, and that another try followed."""
    return [run for run, then in pairwise(runs) if run.number == then.number]


def ends_in_short(runs: Iterable[Run]) -> str:
    """`18 delivered, 2 lost`, the most frequent first."""
    return ", ".join(f"{count} {end}" for end, count in Counter(run.end for run in runs).most_common())


def _of_tries(shown: Judgement, runs: Sequence[Run]) -> Judgement:
    before = "; ".join(f"try {run.attempt} ended {run.end} ({run.why})" for run in runs[:-1])
    if shown.passed:
        return replace(shown, warnings=(*shown.warnings, f"passed at try {len(runs)}; {before}"))
    return replace(shown, failures=(*shown.failures, f"tried {len(runs)} times; {before}"))


def _rechecked(runs: Sequence[Run]) -> Iterator[str]:
    tries = failed_tries(runs)
    passed = {run.number for run in last_tries(runs) if run.passed}
    before = [run for run in tries if run.number in passed]
    if before:
        which = len({run.number for run in before})
        named = "; ".join(f"run {run.number} ended {run.end} ({run.why})" for run in before[:_MOST_NAMED])
        more = f"; and {len(before) - _MOST_NAMED} more" if len(before) > _MOST_NAMED else ""
        yield f"{which} {'run' if which == 1 else 'runs'} passed only when tried again; before that {named}{more}"


def _lengths(runs: Iterable[Run]) -> dict[Channel, list[float]]:
    """What each channel took, ascending, over the runs that ended as expected, be it late."""
    arrived = [run for run in runs if run.passed or run.end is End.LATE]
    seen = {channel: sorted(run.channels[channel] for run in arrived if channel in run.channels) for channel in Channel}
    return {channel: lengths_s for channel, lengths_s in seen.items() if lengths_s}


def _past_percentiles(runs: Iterable[Run], limits: Iterable[Limit]) -> Iterator[str]:
    seen = _lengths(runs)
    for limit in limits:
        lengths_s = seen.get(limit.channel, [])
        for percent, bound_s in limit.percentiles if lengths_s else ():
            length_s = nearest_rank(lengths_s, percent)
            if length_s > bound_s:
                over = f"over {len(lengths_s)} runs, which is past the limit of {bound_s:g} s"
                yield f"p{percent} of {limit.channel} was {above(length_s, bound_s)} s {over}"


def _warned(runs: Sequence[Run], limits: Iterable[Limit]) -> Iterator[str]:
    for limit in limits:
        lengths_s = [run.channels[limit.channel] for run in runs if limit.channel in run.channels and run.passed]
        past = [length_s for length_s in lengths_s if limit.warn_s is not None and length_s > limit.warn_s]
        if past and limit.warn_s is not None:
            which = f"in {len(past)} of {len(runs)} runs, at worst {above(max(past), limit.warn_s)} s"
            yield f"{limit.channel} was past the limit of {limit.warn_s:g} s {which}"
