"""Windows of the week, by the clock on the wall of their zone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.schedule import Window, closed

BERLIN = ZoneInfo("Europe/Berlin")
EVERY_DAY = frozenset(range(7))
WEEK = datetime(2026, 11, 23, tzinfo=UTC)  # a Monday

windows = st.builds(
    Window,
    st.just("a window"),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(0, 1440),
    st.just(UTC),
).filter(lambda window: window.start_min != window.end_min)


def window(start: str, end: str, *days: int, zone: ZoneInfo = BERLIN) -> Window:
    start_min, end_min = (int(hours) * 60 + int(minutes) for hours, minutes in (start.split(":"), end.split(":")))
    return Window(f"{start}-{end}", frozenset(days) or EVERY_DAY, start_min, end_min, zone)


def held(one: Window, *instants: str) -> list[bool]:
    """Whether it holds at these, each in ISO 8601 and UTC."""
    return [one.holds(datetime.fromisoformat(instant).replace(tzinfo=UTC).timestamp()) for instant in instants]


def test_a_window_begins_with_its_first_minute_and_ends_before_its_last() -> None:
    sunday = window("02:00", "04:00", 6)
    at = [f"2026-11-22T{time}" for time in ("00:59:59", "01:00:00", "02:59:59.999", "03:00:00")]
    assert held(sunday, *at) == [False, True, True, False]
    assert held(sunday, "2026-11-23T01:30") == [False]


def test_a_window_across_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    monday = window("22:00", "02:00", 0, zone=ZoneInfo("UTC"))
    at = ("2026-11-23T01:00", "2026-11-23T22:00", "2026-11-24T01:59", "2026-11-24T02:00", "2026-11-24T22:00")
    assert held(monday, *at) == [False, True, True, False, False]


def test_a_whole_day_ends_at_midnight() -> None:
    saturday = window("00:00", "24:00", 5, zone=ZoneInfo("UTC"))
    at = ("2026-11-27T23:59:59", "2026-11-28T00:00", "2026-11-28T23:59:59", "2026-11-29T00:00")
    assert held(saturday, *at) == [False, True, True, False]


def test_the_wall_clock_decides_in_summer_and_in_winter() -> None:
    nine = window("09:00", "10:00")
    assert held(nine, "2026-07-01T07:30", "2026-12-01T07:30") == [True, False]
    assert held(nine, "2026-07-01T08:30", "2026-12-01T08:30") == [False, True]


def test_an_hour_that_comes_twice_is_in_its_window_twice() -> None:
    # In Berlin the clocks go from 03:00 back to 02:00 on 2026-10-25, at 01:00 UTC.
    at = ("2026-10-25T00:15", "2026-10-25T01:15", "2026-10-25T01:30")
    assert held(window("02:00", "02:30"), *at) == [True, True, False]


def test_an_hour_that_is_left_out_never_comes() -> None:
    # In Berlin the clocks go from 02:00 to 03:00 on 2026-03-29, at 01:00 UTC.
    quarters = [f"2026-03-29T{hour:02}:{minute:02}" for hour in range(12) for minute in (0, 15, 30, 45)]
    assert not any(held(window("02:00", "03:00"), *quarters))
    assert sum(held(window("01:00", "04:00"), *quarters)) == 8


@given(windows, st.integers(0, 7 * 1440 - 1))
def test_every_instant_is_in_a_daily_window_or_in_what_it_leaves_of_the_day(one: Window, minute: int) -> None:
    daily = replace(one, days=EVERY_DAY)
    rest = replace(daily, start_min=one.end_min % 1440, end_min=one.start_min)
    at_s = (WEEK + timedelta(minutes=minute)).timestamp()
    leaves_nothing = rest.start_min == rest.end_min
    assert daily.holds(at_s) is (leaves_nothing or not rest.holds(at_s))


@given(windows)
def test_a_window_is_open_as_long_as_its_days_have_it(one: Window) -> None:
    minutes = (one.end_min - one.start_min) % 1440 or 1440
    open_min = sum(one.holds((WEEK + timedelta(minutes=minute)).timestamp()) for minute in range(7 * 1440))
    assert open_min == minutes * len(one.days)


@pytest.mark.parametrize(
    ("schedule", "maintenance", "why"),
    [
        ((), (), ""),
        (("08:00", "10:00"), (), ""),
        ((), ("10:00", "11:00"), ""),
        (("10:00", "11:00"), (), "outside its schedule `10:00-11:00` (there it is Mon 09:30)"),
        (("08:00", "10:00"), ("09:00", "10:00"), "inside its maintenance `09:00-10:00` (there it is Mon 09:30)"),
    ],
)
def test_a_trip_starts_inside_its_schedule_and_outside_its_maintenance(
    schedule: tuple[str, str], maintenance: tuple[str, str], why: str
) -> None:
    now_s = datetime(2026, 11, 23, 9, 30, tzinfo=BERLIN).timestamp()
    inside, outside = ((window(*given),) if given else () for given in (schedule, maintenance))
    assert closed(inside, outside, now_s) == why


def test_one_of_several_windows_is_enough() -> None:
    now_s = datetime(2026, 11, 23, 9, 30, tzinfo=BERLIN).timestamp()
    early, late = window("01:00", "02:00"), window("09:00", "10:00")
    assert closed((early, late), (), now_s) == ""
    assert closed((), (early, late), now_s).startswith("inside its maintenance `09:00-10:00`")
    assert closed((early, early), (), now_s).count("`01:00-02:00` (there it is Mon 09:30)") == 2
