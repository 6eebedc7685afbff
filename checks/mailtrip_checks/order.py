"""In which order the trips of a run start, and after how long."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from mailtrip_checks.trips import Trip


@dataclass(frozen=True, slots=True)
class Start:
    """The trip at `index` of those given starts `after_s` seconds from now."""

    index: int
    after_s: float


def starts(trips: Sequence[Trip]) -> list[Start]:
    """The starts of these trips, first come first.

    The most urgent begin; among equals the hosts take turns, so that one with many trips does not make the others wait.
    Trips with the same `spread` share that time out evenly.
    """
    order = _order(trips)
    members = Counter(trip.spread_s for trip in trips)
    seen: Counter[float] = Counter()
    begun: list[Start] = []
    for index in order:
        spread_s = trips[index].spread_s
        begun.append(Start(index, spread_s * seen[spread_s] / members[spread_s]))
        seen[spread_s] += 1
    return sorted(begun, key=lambda start: start.after_s)


def _order(trips: Sequence[Trip]) -> list[int]:
    turns: Counter[Hashable] = Counter()
    places: list[tuple[int, int, int]] = []
    for index, trip in enumerate(trips):
        queue = trip.priority, _hosts(trip)
        places.append((trip.priority, turns[queue], index))
        turns[queue] += 1
    return [index for _, _, index in sorted(places)]


def _hosts(trip: Trip) -> Hashable:
    return trip.send and trip.send.via.host, trip.receive and trip.receive.at.host
