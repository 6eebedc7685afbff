"""`recheck`, `repeat` and the percentile limits that need it."""

from itertools import pairwise
from typing import Final

from mailtrip_checks.definitions.schema import LimitKeys, TripKeys
from mailtrip_checks.definitions.tree import Map, Text
from mailtrip_checks.definitions.validation import Subject
from mailtrip_checks.trips import Channel, Repeat

_PERCENTS: Final = (50, 75, 90, 95, 99)


def repeat_of(keys: TripKeys, subject: Subject, *, timeout_s: float) -> Repeat | None:
    """How often the trip runs; None where it runs once."""
    repeat = keys.repeat
    if repeat is None:
        return None
    if not isinstance(subject.find(("repeat",))[0], Text) and not subject.has("repeat", "times"):
        subject.add(("repeat",), "does not say how often; write `times: 20` too")
    # Only a round trip waits for `timeout`; half of one is bounded by its steps.
    if repeat.every is not None and repeat.every <= timeout_s and subject.has("send") and subject.has("receive"):
        what = f"does not exceed `timeout`, {timeout_s:g}s here, so a mail may be awaited when the next run is due"
        subject.add(("repeat", "every"), f"{what}; write more, or a shorter `timeout`")
    return Repeat(repeat.times, repeat.every) if repeat.times else None


def percentiles_of(channel: Channel, keys: LimitKeys, subject: Subject, own: Map) -> tuple[tuple[int, float], ...]:
    """The limit's percentiles; where the trip runs once they are a mistake, unless inherited."""
    given = [(percent, getattr(keys, f"p{percent}")) for percent in _PERCENTS]
    found = tuple((percent, length_s) for percent, length_s in given if length_s is not None)
    if subject.has("repeat"):
        _check_rising(channel, found, subject)
        return found
    for percent, _ in found:
        way = ("expect", channel.value, f"p{percent}")
        if Subject(own, subject.mistakes).has(*way):
            what = "is a percentile of one run; write `repeat` at the trip too, or `fail`"
            subject.add(way, what, at_key=True)
    return ()


def _check_rising(channel: Channel, found: tuple[tuple[int, float], ...], subject: Subject) -> None:
    for (lower, lower_s), (percent, length_s) in pairwise(found):
        if length_s < lower_s:
            what = f"is below `p{lower}`, which then decides nothing; write {lower_s:g}s or more"
            subject.add(("expect", channel.value, f"p{percent}"), what)
