"""`schedule` and `maintenance`: how windows are written."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from mailtrip_checks.schedule import Window

if TYPE_CHECKING:
    from tests.checks.definitions.conftest import Folder

LEGS = "send: {via: embedded, from: a@x.org, to: b@x.org}, receive: {at: embedded}"
MAILBOX = "receive: {at: embedded, user: b@x.org}"
BERLIN = ZoneInfo("Europe/Berlin")


def whole(more: str) -> str:
    return f"trips:\n  one: {{{LEGS}, {more}}}\n"


@pytest.mark.parametrize(
    ("written", "days", "start_min", "end_min"),
    [
        ("Sun 02:00-04:00 Europe/Berlin", {6}, 120, 240),
        ("Mon-Fri 08:00-18:00 Europe/Berlin", {0, 1, 2, 3, 4}, 480, 1080),
        ("Fri-Mon 08:00-18:00 Europe/Berlin", {4, 5, 6, 0}, 480, 1080),
        ("mon,WED 22:00-02:00 Europe/Berlin", {0, 2}, 1320, 120),
        ("Mon - Tue, Sat 8:00-9:30 Europe/Berlin", {0, 1, 5}, 480, 570),
        ("daily 00:00-24:00 Europe/Berlin", set(range(7)), 0, 1440),
        ("  22:00-00:00   Europe/Berlin", set(range(7)), 1320, 0),
        ("Mon-Mon 00:00-24:00 Europe/Berlin", {0}, 0, 1440),
    ],
)
def test_a_window_has_days_times_and_a_zone(
    folder: Folder, written: str, days: set[int], start_min: int, end_min: int
) -> None:
    trip = folder.one(whole(f'schedule: "{written}"'))
    assert trip.schedule == (Window(written.strip(), frozenset(days), start_min, end_min, BERLIN),)
    assert trip.maintenance == ()


def test_utc_needs_no_time_zone_database(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_there(name: str) -> ZoneInfo:
        raise LookupError(name)

    monkeypatch.setattr("zoneinfo.ZoneInfo", none_there)
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    assert folder.one(whole('maintenance: "01:00-02:00 UTC"')).maintenance[0].zone is UTC
    complaint = folder.complaint(whole('maintenance: "01:00-02:00 Europe/Berlin"'))
    assert "needs the time zone database, which this machine lacks; install the system's package tzdata" in complaint


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("Sun", "is no window; write it as `Mon-Fri 08:00-18:00 Europe/Berlin`"),
        ("Sun 2-4 UTC", "is no window; write it as `Mon-Fri 08:00-18:00 Europe/Berlin`"),
        ("Sunday 02:00-04:00 UTC", "has a day that is none; did you mean `Sun`?"),
        ("xyz 02:00-04:00 UTC", "has a day that is none; write Mon, Tue, Wed, Thu, Fri, Sat, Sun or daily"),
        ("Mon,,Tue 02:00-04:00 UTC", "has a day that is none; write Mon, Tue, Wed, Thu, Fri, Sat, Sun or daily"),
        ("02:00-04:00", "has no time zone; write one at its end, such as Europe/Berlin or UTC"),
        ("02:00-02:00 UTC", "ends when it starts; write 00:00-24:00 for a whole day"),
        ("24:00-02:00 UTC", "ends when it starts; write 00:00-24:00 for a whole day"),
        ("02:00-24:01 UTC", "has a time that no clock shows; write 00:00 to 24:00"),
        ("02:60-04:00 UTC", "has a time that no clock shows; write 00:00 to 24:00"),
        ("02:00-04:00 Europe/berln", "has a time zone that is not known; did you mean `Europe/Berlin`?"),
        ("02:00-04:00 CEST", "has a time zone that is not known; write one such as Europe/Berlin"),
        ("02:00-04:00 PST", "has a time zone that is not known; write one such as Europe/Berlin"),
        ("02:00-04:00 ../../etc/passwd", "has a time zone that is not known; write one such as Europe/Berlin"),
        ("02:00-04:00 /etc/passwd", "has a time zone that is not known; write one such as Europe/Berlin"),
    ],
)
def test_what_is_no_window_is_told_with_what_to_write(folder: Folder, written: str, told: str) -> None:
    complaint = folder.complaint(f"trips:\n  one:\n    {MAILBOX}\n    schedule: {written}\n")
    assert complaint == f"a.trip.yaml:4:15: schedule.1: `{written}` {told}"


def test_a_mistake_in_a_list_names_its_place_in_it(folder: Folder) -> None:
    complaint = folder.complaint(f'trips:\n  one:\n    {MAILBOX}\n    schedule: ["01:00-02:00 UTC", x]\n')
    assert complaint.startswith("a.trip.yaml:4:35: schedule.2: `x` is no window")


def test_a_zone_of_another_shape_is_a_mistake(folder: Folder) -> None:
    assert "is a mapping" in folder.complaint(whole("schedule: [{a: b}]"))
    assert "is a mapping; write a list" in folder.complaint(whole("schedule: {a: b}"))


def test_windows_add_up_over_the_files_and_null_takes_them_away(folder: Folder) -> None:
    folder.write("mailtrip.yaml", 'defaults: {maintenance: "Sun 01:00-02:00 UTC", schedule: ["08:00-09:00 UTC"]}\n')
    text = f"""\
defaults: {{maintenance: ["Mon 01:00-02:00 UTC"]}}
trips:
  one: {{{LEGS}, maintenance: "Tue 01:00-02:00 UTC", schedule: null}}
  two: {{{LEGS}, schedule: "10:00-11:00 UTC"}}
"""
    one, two = folder.read(text)
    assert [window.text[:3] for window in one.maintenance] == ["Sun", "Mon", "Tue"]
    assert one.schedule == ()
    assert [window.text[:3] for window in two.maintenance] == ["Sun", "Mon"]
    assert [window.text[:5] for window in two.schedule] == ["08:00", "10:00"]


def test_a_window_may_come_from_outside_and_is_then_not_shown_in_a_mistake(folder: Folder) -> None:
    folder.variables = {"when": "02:00-04:00 Europe/Berlin"}
    assert folder.one(whole('schedule: "${var:when}"')).schedule[0].start_min == 120
    folder.variables = {"when": "secret"}
    assert "secret" not in folder.complaint(whole('schedule: "${var:when}"'))
