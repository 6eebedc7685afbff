"""Which of the run's items need which: what is deselected is not waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailtrip.stash import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from mailtrip.trip_file import TripItem
    from mailtrip_checks.trips import TripKey


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Last of all: what is needed comes before what needs it. All else stays in its order."""
    yield
    if any(item.path.name.endswith(SUFFIXES) for item in items):
        items[:] = _in_order(items)


def needs_of(items: Iterable[TripItem]) -> Mapping[TripItem, tuple[TripItem, ...]]:
    """For each item those of the others that its trip needs."""
    items = list(items)
    by_key: dict[TripKey, TripItem] = {item.trip.key: item for item in items}
    return {item: tuple(by_key[key] for key in item.trip.needs if key in by_key) for item in items}


def _in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    from mailtrip.trip_file import TripItem

    needs = needs_of(item for item in items if isinstance(item, TripItem))
    ordered: dict[pytest.Item, None] = {}
    for item in items:
        # Depth first, without recursion: a chain may be long. There are no circles.
        waiting = [item]
        while waiting:
            last = waiting[-1]
            missing = [need for need in needs[last] if need not in ordered] if isinstance(last, TripItem) else []
            waiting += reversed(missing)
            if not missing:
                ordered[waiting.pop()] = None
    return list(ordered)
