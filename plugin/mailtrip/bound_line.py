"""One line at the start of a run that says how long its trips can take at most, for who schedules it."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from mailtrip.stash import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from mailtrip_checks.trips import Trip


def of_items(config: pytest.Config, items: Sequence[pytest.Item]) -> str | None:
    """The line for what this process collected; None where there is nothing to tell, or nobody wants it."""
    if not (_is_wanted(config) and any(item.path.name.endswith(SUFFIXES) for item in items)):
        return None
    from mailtrip.trip_file import TripItem

    ours = [item for item in items if isinstance(item, TripItem) and item.trip.skip is None]
    together = [item.trip for item in ours if item.starts_early]
    return _line(config, together, [item.trip for item in ours if not item.starts_early])


def of_ids(config: pytest.Config, node_ids: Sequence[str]) -> str | None:
    """The same where others collect: what they found is read here too. None where this process cannot read it."""
    files = dict.fromkeys(file for file, _, _ in (node_id.partition("::") for node_id in node_ids))
    ours = [file for file in files if file.endswith(SUFFIXES)]
    if not (_is_wanted(config) and ours):
        return None
    from mailtrip.trip_file import definitions
    from mailtrip_checks.definitions import DefinitionError

    wanted, found = set(node_ids), list["Trip"]()
    for file in ours:
        try:
            trips = definitions(config).trips(config.rootpath / file)
        except (DefinitionError, OSError):  # a worker elsewhere may see files and variables that we do not
            return None
        found += (trip for trip in trips if f"{file}::{trip.id}" in wanted and trip.skip is None)
    return _line(config, found, [])


def _is_wanted(config: pytest.Config) -> bool:
    option = config.option
    return config.get_verbosity() > -2 and not (option.collectonly or option.setupplan)


def _line(config: pytest.Config, together: Sequence[Trip], at_their_turn: Sequence[Trip]) -> str | None:
    from mailtrip_checks.bound import bound_s

    count = len(together) + len(at_their_turn)
    concurrency: int = config.option.mailtrip_concurrency
    length_s = bound_s(together, concurrency) + sum(bound_s([trip], concurrency) for trip in at_their_turn)
    return f"mailtrip: {count} {'trip' if count == 1 else 'trips'}, done within {in_words(length_s)}" if count else None


def in_words(length_s: float) -> str:
    """`45 s`, `7 min` or `2 h 6 min`, rounded up."""
    if length_s <= 120:
        return f"{ceil(length_s)} s"
    hours, minutes = divmod(ceil(length_s / 60), 60)
    return " ".join(([f"{hours} h"] if hours else []) + ([f"{minutes} min"] if minutes else []))
