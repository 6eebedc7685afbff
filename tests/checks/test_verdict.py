"""The judgement of a trip that ran more than once."""

from dataclasses import replace

from mailtrip_checks.ends import End
from mailtrip_checks.outcome import Bracket, Outcome, Run
from mailtrip_checks.trips import Channel, Expect, Limit
from mailtrip_checks.verdict import verdict

DELIVERED = Outcome(End.DELIVERED, "T", 0, 9, 0, mail_from_at_s=1, accepted_at_s=2, bracket=Bracket(2, 3))
LOST = replace(DELIVERED, end=End.LOST, what="not there", bracket=None)


def run(number: int, end: End = End.DELIVERED, *, attempt: int = 1, total_s: float | None = 2.0) -> Run:
    seen = {} if total_s is None else {Channel.TOTAL: total_s}
    passed = end is End.DELIVERED
    return Run(number, attempt, end, passed, "" if passed else "so it was", 0.0, 1.0, seen, "T")


def lost(number: int, *, attempt: int = 1) -> Run:
    return run(number, End.LOST, attempt=attempt, total_s=None)


def total(**limits: float) -> Expect:
    percentiles = tuple((int(name[1:]), length_s) for name, length_s in limits.items() if name[0] == "p")
    return Expect(limits=(Limit(Channel.TOTAL, limits.get("warn"), limits.get("fail"), percentiles),))


def of(shown: Outcome, *runs: Run, number: int = 1) -> Outcome:
    return replace(shown, runs=runs, shown_run=number)


def test_a_trip_that_ran_once_is_judged_as_ever() -> None:
    assert verdict(DELIVERED, Expect()).passed
    assert verdict(LOST, Expect()).failures == ("expected delivered, but it ended lost: not there",)


def test_a_pass_after_a_failure_passes_with_a_warning_that_names_it() -> None:
    judgement = verdict(of(DELIVERED, lost(1), run(1, attempt=2)), Expect())
    assert judgement.passed
    assert judgement.warnings == ("passed at try 2; try 1 ended lost (so it was)",)
    assert judgement.statistics == {}


def test_where_every_try_failed_the_last_is_told_and_the_others_are_named() -> None:
    tries = lost(1), run(1, End.REJECTED, attempt=2), lost(1, attempt=3)
    judgement = verdict(of(LOST, *tries), Expect())
    assert judgement.end is End.LOST
    assert judgement.failures == (
        "expected delivered, but it ended lost: not there",
        "tried 3 times; try 1 ended lost (so it was); try 2 ended rejected (so it was)",
    )


def test_one_run_that_failed_fails_all_and_they_are_counted() -> None:
    judgement = verdict(of(LOST, run(1), lost(2), run(3, End.LATE), lost(4), number=2), Expect())
    assert judgement.end is End.LOST
    assert judgement.failures == (
        "3 of 4 runs failed: 2 lost, 1 late",
        "run 2: expected delivered, but it ended lost: not there",
    )


def test_runs_that_passed_only_when_tried_again_are_warned_of_once() -> None:
    judgement = verdict(of(DELIVERED, lost(1), run(1, attempt=2), run(2), lost(3), run(3, attempt=2)), Expect())
    assert judgement.warnings == (
        "2 runs passed only when tried again; before that run 1 ended lost (so it was); run 3 ended lost (so it was)",
    )
    many = [one for number in range(1, 14) for one in (lost(number), run(number, attempt=2))]
    [warning] = verdict(of(DELIVERED, *many), Expect()).warnings
    assert warning.endswith("run 10 ended lost (so it was); and 3 more")


def test_percentiles_are_judged_over_the_runs_that_were_delivered_late_ones_too() -> None:
    lengths_s = [float(number) for number in range(1, 21)]
    runs = [run(number, total_s=length_s) for number, length_s in enumerate(lengths_s, 1)]
    runs[-1] = run(20, End.LATE, total_s=20.0)
    found = verdict(of(DELIVERED, *runs, lost(21)), total(p95=19.0)).statistics[Channel.TOTAL]
    assert (found.runs, found.p95_s, found.max_s) == (20, 19.0, 20.0)


def test_a_percentile_past_its_limit_is_late_and_one_within_it_is_not() -> None:
    outcome = of(DELIVERED, *(run(number, total_s=float(number)) for number in range(1, 5)))
    assert verdict(outcome, total(p50=2.0, p75=3.0)).passed
    judgement = verdict(outcome, total(p50=1.5, p95=3.0))
    assert judgement.end is End.LATE
    assert judgement.failures == (
        "p50 of total was 2.000 s over 4 runs, which is past the limit of 1.5 s",
        "p95 of total was 4.000 s over 4 runs, which is past the limit of 3 s",
    )


def test_a_percentile_of_nothing_is_not_judged() -> None:
    judgement = verdict(of(LOST, lost(1), lost(2)), total(p95=1.0))
    assert judgement.end is End.LOST
    assert not any("p95" in failure for failure in judgement.failures)


def test_runs_past_a_warning_limit_are_counted_in_one_warning() -> None:
    runs = run(1, total_s=1.0), run(2, total_s=3.0), run(3, total_s=4.0)
    judgement = verdict(of(DELIVERED, *runs), total(warn=2.5))
    assert judgement.passed
    assert judgement.warnings == ("total was past the limit of 2.5 s in 2 of 3 runs, at worst 4.000 s",)
