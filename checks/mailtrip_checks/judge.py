"""Judgement: what a trip saw, held against what its author expected."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mailtrip_checks.ends import End, Leg, hint
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.percentiles import Statistics
from mailtrip_checks.trips import Channel, Expect, Expected, Limit

_WANTED_ENDS = {
    Expected.DELIVERED: End.DELIVERED,
    Expected.ACCEPTED: End.ACCEPTED,
    Expected.CONNECTED: End.CONNECTED,
    Expected.REJECTED: End.REJECTED,
    Expected.UNDELIVERED: End.LOST,
}
_GOOD = (End.DELIVERED, End.ACCEPTED, End.CONNECTED)
_OTHER_REPLY = (
    "It was rejected as hoped, but in other words: compare `expect.reply` with the reply above. A code must be the "
    "reply's own, and what stands between slashes is searched for in all of it, the code included; case counts."
)
_CAME_THROUGH = {
    Expected.REJECTED: "The server took what it should reject: check sender and recipient of the trip and the server's "
    "rules, and whether it takes every mail first and bounces it later.",
    Expected.UNDELIVERED: "The mail came through, and should not: check sender and recipient of the trip, and the "
    "rules and filters that should stop it.",
}
_LAG_HINT = (
    "Our own process was too busy, so this says little of the servers: let fewer trips fly at once "
    "(--mailtrip-concurrency), or have what computes beside them do so elsewhere."
)
NOTABLE_LAG_S = 0.01
NOTABLE_LAG = 0.05
"""Of the time beside which it stands."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """`end` is the outcome's, or `late`; `failures` and `warnings` are sentences; it passed if nothing failed.

    `statistics` are those of a trip that ran again and again.
    """

    end: End
    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    channels: Mapping[Channel, float]
    statistics: Mapping[Channel, Statistics] = field(default_factory=dict[Channel, Statistics])

    @property
    def passed(self) -> bool:
        return not self.failures


def channels(outcome: Outcome) -> dict[Channel, float]:
    """Seconds for each channel that this trip saw; what was not its own to see is missing, never 0."""
    seen: dict[Channel, float] = {}
    for channel, leg in ((Channel.SMTP, Leg.SMTP), (Channel.MAILBOX, Leg.MAILBOX)):
        lengths = [stage.length_s for stage in outcome.stages if stage.leg is leg and not stage.shared]
        if lengths:
            seen[channel] = sum(lengths)
    if outcome.bracket is not None:
        if outcome.accepted_at_s is not None:
            # A mail can be seen before the 250 that accepts it; then its transit took no time.
            seen[Channel.TRANSIT] = max(outcome.bracket.seen_at_s - outcome.accepted_at_s, 0.0)
        if outcome.mail_from_at_s is not None:
            seen[Channel.TOTAL] = outcome.bracket.seen_at_s - outcome.mail_from_at_s
    if Channel.SMTP in seen and Channel.MAILBOX in seen:
        seen[Channel.RESPONSES] = seen[Channel.SMTP] + seen[Channel.MAILBOX]
    return seen


def judge(outcome: Outcome, expect: Expect) -> Judgement:
    """Hold what one run saw against the expectation; never raises."""
    seen = channels(outcome)
    failures = list(_wrong_end(outcome, expect))
    late: list[str] = []
    warnings = list(outcome.warnings)
    for limit in expect.limits:
        length_s = seen.get(limit.channel)
        if length_s is None:
            continue
        if limit.fail_s is not None and length_s > limit.fail_s:
            late.append(_past(limit, length_s, limit.fail_s, outcome))
        elif limit.warn_s is not None and length_s > limit.warn_s:
            warnings.append(_past(limit, length_s, limit.warn_s, outcome))
    is_late = late and not failures
    return Judgement(End.LATE if is_late else outcome.end, (*failures, *late), tuple(warnings), seen)


def advice(outcome: Outcome, judgement: Judgement, expect: Expect) -> str:
    """What to look at, in a sentence; empty for what passed."""
    if judgement.passed:
        return ""
    if judgement.end is End.REJECTED and expect.outcome is Expected.REJECTED:
        return _OTHER_REPLY
    if judgement.end in _GOOD and expect.outcome in _CAME_THROUGH:
        return _CAME_THROUGH[expect.outcome]
    if judgement.end is End.LATE and _is_ours(outcome, expect, judgement.channels):
        return _LAG_HINT
    return outcome.advice or hint(judgement.end, outcome.leg)


def _wrong_end(outcome: Outcome, expect: Expect) -> Iterator[str]:
    wanted = _WANTED_ENDS[expect.outcome]
    if outcome.end is not wanted:
        why = f": {outcome.what}" if outcome.what else ""
        yield f"expected {expect.outcome}, but it ended {outcome.end}{why}"
    elif expect.reply_pattern is not None:
        said = outcome.replies[-1].text if outcome.replies else None
        if said is None:
            yield f"expected the reply {expect.reply}, but the server gave none"
        elif not expect.reply_pattern.search(said):
            yield f"expected the reply {expect.reply}, but the server said {said!r}"


def _past(limit: Limit, length_s: float, bound_s: float, outcome: Outcome) -> str:
    told = f"{limit.channel} took {above(length_s, bound_s)} s, which is past the limit of {bound_s:g} s"
    lag_s = _telling_lag_s(outcome, limit.channel, length_s, bound_s)
    return f"{told}; meanwhile our own loop stood still for {lag_s:.3f} s" if lag_s else told


def _telling_lag_s(outcome: Outcome, channel: Channel, length_s: float, bound_s: float) -> float:
    """The loop's lag where it is a considerable part of what is past the bound, or of all; else 0."""
    lag_s = _lag_s(outcome, channel)
    return lag_s if lag_s > NOTABLE_LAG_S and lag_s >= min(length_s - bound_s, NOTABLE_LAG * length_s) else 0.0


def _lag_s(outcome: Outcome, channel: Channel) -> float:
    # It is measured between sending and arrival, and most of what the mailbox channel holds comes before or after.
    return 0.0 if channel is Channel.MAILBOX else outcome.lag_s or 0.0


def _is_ours(outcome: Outcome, expect: Expect, seen: Mapping[Channel, float]) -> bool:
    """Whether each limit that was broken might have been kept without the loop's lag."""
    bounds = [(limit.channel, limit.fail_s) for limit in expect.limits if limit.fail_s is not None]
    past = [(channel, seen[channel] - fail_s) for channel, fail_s in bounds if seen.get(channel, 0.0) > fail_s]
    return bool(past) and all(past_s <= _lag_s(outcome, channel) for channel, past_s in past)


def above(length_s: float, bound_s: float) -> str:
    """The length to the millisecond, or as exactly as it takes to see that it is past the bound."""
    return next((shown for digits in (3, 6) if float(shown := f"{length_s:.{digits}f}") > bound_s), f"{length_s:.9f}")
