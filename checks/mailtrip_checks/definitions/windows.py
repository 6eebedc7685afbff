"""`Mon-Fri 08:00-18:00 Europe/Berlin`: a window as definitions write it."""

import re
from datetime import UTC, tzinfo
from typing import Final

from mailtrip_checks.definitions.mistakes import did_you_mean, one_of
from mailtrip_checks.definitions.scalars import shown, text
from mailtrip_checks.definitions.tree import Text
from mailtrip_checks.schedule import DAYS, Window

_WINDOW: Final = re.compile(
    r"(?:(?P<days>[^\d\s][^\d]*?)\s+)?(?P<start>\d{1,2}:\d\d)-(?P<end>\d{1,2}:\d\d)(?:\s+(?P<zone>\S+))?", re.ASCII
)
_NUMBER_OF: Final = {day: number for number, day in enumerate(DAYS)}
_DAY_MIN: Final = 24 * 60


def window(value: object) -> Window:
    """A window of one or many days of the week; raises ValueError."""
    found = text(value)
    match = _WINDOW.fullmatch(found.strip())
    if match is None:
        raise ValueError(f"{shown(found)} is no window; write it as `Mon-Fri 08:00-18:00 Europe/Berlin`")
    start_min, end_min = (_minute(match[name], found) for name in ("start", "end"))
    if start_min in (end_min, _DAY_MIN):
        raise ValueError(f"{shown(found)} ends when it starts; write 00:00-24:00 for a whole day")
    if match["zone"] is None:
        raise ValueError(f"{shown(found)} has no time zone; write one at its end, such as Europe/Berlin or UTC")
    days, zone = _days(match["days"] or "daily", found), _zone(match["zone"], found)
    return Window(str(found).strip(), days, start_min, end_min, zone)


def _minute(written: str, found: Text) -> int:
    hours, minutes = map(int, written.split(":"))
    if minutes > 59 or hours * 60 + minutes > _DAY_MIN:
        raise ValueError(f"{shown(found)} has a time that no clock shows; write 00:00 to 24:00")
    return hours * 60 + minutes


def _days(written: str, found: Text) -> frozenset[int]:
    if written.lower() == "daily":
        return frozenset(range(7))
    days: set[int] = set()
    for part in written.split(","):
        first, *last = (_day(name.strip(), found) for name in part.split("-", 1))
        length = (last[0] - first) % 7 if last else 0
        days.update((first + further) % 7 for further in range(length + 1))
    return frozenset(days)


def _day(name: str, found: Text) -> int:
    number = _NUMBER_OF.get(name.capitalize())
    if number is None:
        near = did_you_mean(name, DAYS) or f"; write {one_of((*DAYS, 'daily'))}"
        raise ValueError(f"{shown(found)} has a day that is none{near}")
    return number


def _zone(name: str, found: Text) -> tzinfo:
    if name == "UTC":  # also where there is no time zone database
        return UTC
    from zoneinfo import ZoneInfo, available_timezones  # here, for most definitions have no window

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        known = available_timezones()
    if not known:
        raise ValueError(
            "needs the time zone database, which this machine lacks; install the system's package tzdata, "
            "or run `pip install tzdata`, or write UTC"
        )
    # No abbreviation: one that looks like another may lie hours away from it.
    cities = (zone for zone in known if "/" in zone and not zone.startswith("Etc/"))
    near = did_you_mean(name, cities) or "; write one such as Europe/Berlin"
    raise ValueError(f"{shown(found)} has a time zone that is not known{near}")
