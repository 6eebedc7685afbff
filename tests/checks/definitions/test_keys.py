"""Keys of a trip besides its legs: primary, schedule and maintenance, recheck and repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailtrip_checks.trips import Channel, Limit, Repeat

if TYPE_CHECKING:
    from tests.checks.definitions.conftest import Folder

LEGS = "send: {via: embedded, from: a@x.org, to: b@x.org}, receive: {at: embedded}"


def whole(more: str = "", *, defaults: str = "") -> str:
    """A file with one whole trip."""
    above = f"defaults: {{{defaults}}}\n" if defaults else ""
    return f"{above}trips:\n  one: {{{LEGS}{', ' + more if more else ''}}}\n"


def test_total_is_shown_first_unless_another_channel_is_named(folder: Folder) -> None:
    assert folder.one(whole()).primary is Channel.TOTAL
    assert folder.one(whole("primary: responses")).primary is Channel.RESPONSES


def test_an_inherited_primary_may_be_one_that_the_trip_does_not_measure(folder: Folder) -> None:
    text = "defaults: {primary: transit}\ntrips: {one: {receive: {at: embedded, user: b@x.org}}}\n"
    assert folder.one(text).primary is Channel.TRANSIT


@pytest.mark.parametrize(
    ("leg", "channel", "absent"),
    [
        ("send: {via: embedded, from: a@x.org, to: b@x.org}", "transit", "receive"),
        ("receive: {at: embedded, user: b@x.org}", "smtp", "send"),
    ],
)
def test_a_primary_of_ones_own_must_be_measured(folder: Folder, leg: str, channel: str, absent: str) -> None:
    complaint = folder.complaint(f"trips:\n  one:\n    {leg}\n    primary: {channel}\n")
    told = f"`{channel}` is not measured without `{absent}`; name another channel"
    assert complaint == f"a.trip.yaml:4:14: primary: {told}"


def test_a_trip_runs_once_unless_told_otherwise(folder: Folder) -> None:
    trip = folder.one(whole())
    assert (trip.recheck, trip.repeat, trip.times) == (0, None, 1)
    assert folder.one(whole("recheck: 2")).recheck == 2


def test_repeat_is_a_number_or_a_number_and_a_distance(folder: Folder) -> None:
    assert folder.one(whole("repeat: 20")).repeat == Repeat(20)
    trip = folder.one(whole("repeat: {times: 20, every: 6m}"))
    assert (trip.repeat, trip.times) == (Repeat(20, 360.0), 20)


def test_a_trip_may_change_a_part_of_an_inherited_repeat(folder: Folder) -> None:
    assert folder.one(whole("repeat: {times: 3}", defaults="repeat: {times: 9, every: 6m}")).repeat == Repeat(3, 360.0)
    assert folder.one(whole("repeat: null", defaults="repeat: 9")).repeat is None


def test_half_a_trip_waits_for_no_mail_and_may_repeat_as_densely_as_it_likes(folder: Folder) -> None:
    text = "trips: {one: {receive: {at: embedded, user: b@x.org}, repeat: {times: 3, every: 1s}}}\n"
    assert folder.one(text).repeat == Repeat(3, 1.0)


def test_repeated_trips_may_limit_percentiles(folder: Folder) -> None:
    trip = folder.one(whole("repeat: 20, expect: {total: {fail: 30s, p95: 5s, p50: 1s}, smtp: {p99: 1s}}"))
    assert trip.expect.limits == (
        Limit(Channel.TOTAL, fail_s=30.0, percentiles=((50, 1.0), (95, 5.0))),
        Limit(Channel.SMTP, percentiles=((99, 1.0),)),
    )


def test_inherited_percentiles_hold_where_a_trip_is_repeated(folder: Folder) -> None:
    inherited = "expect: {total: {p95: 5s, fail: 30s}, smtp: {p95: 1s}}"
    assert folder.one(whole(defaults=inherited)).expect.limits == (Limit(Channel.TOTAL, fail_s=30.0),)
    assert len(folder.one(whole("repeat: 2", defaults=inherited)).expect.limits) == 2
    own = folder.one(whole("expect: {total: {fail: 20s}}", defaults=inherited)).expect.limits
    assert own == (Limit(Channel.TOTAL, fail_s=20.0),)


ALSO_TIMEOUT = "\n    timeout: 6m"
TOO_DENSE = "does not exceed `timeout`, 360s here, so a mail may be awaited when the next run is due"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("recheck: 0", "5:14: recheck: `0` is no whole number from 1 to 10; write one"),
        ("recheck: true", "5:14: recheck: `true` is no whole number from 1 to 10; write one"),
        ("repeat: 1", "5:13: repeat.times: `1` is no whole number from 2 to 10000; write one"),
        ("repeat: {every: 6m}", "5:13: repeat: does not say how often; write `times: 20` too"),
        ("repeat: {times: 2, evry: 6m}", "5:24: repeat.evry: is no key that there is; did you mean `every`?"),
        ("repeat: []", "5:13: repeat: is a list; write a number, as in `repeat: 3`, or {times: 3, every: 5m}"),
        (
            "repeat: {times: 2, every: 6m}" + ALSO_TIMEOUT,
            f"5:31: repeat.every: {TOO_DENSE}; write more, or a shorter `timeout`",
        ),
        (
            "expect: {total: {p95: 5s}}",
            "5:22: expect.total.p95: is a percentile of one run; write `repeat` at the trip too, or `fail`",
        ),
        (
            "expect: {total: {p50: 5s, p95: 4s}}\n    repeat: 9",
            "5:36: expect.total.p95: is below `p50`, which then decides nothing; write 5s or more",
        ),
    ],
)
def test_mistakes_of_repetition_are_told_with_their_place(folder: Folder, more: str, told: str) -> None:
    legs = "    send: {via: embedded, from: a@x.org, to: b@x.org}\n    receive: {at: embedded}"
    assert folder.complaint(f"trips:\n  one:\n{legs}\n    {more}\n") == f"a.trip.yaml:{told}"
