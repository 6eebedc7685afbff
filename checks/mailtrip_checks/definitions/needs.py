"""`needs: [name, file::name]`: from names to the trips that are meant, across files, and without cycles."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

from mailtrip_checks.definitions.layers import SHARED_FILE
from mailtrip_checks.definitions.mistakes import Mark, Mistake, Mistakes, did_you_mean
from mailtrip_checks.definitions.references import Row
from mailtrip_checks.definitions.scalars import shown
from mailtrip_checks.definitions.tree import REFERENCE, Items, Map, Text, is_file, listed
from mailtrip_checks.trips import TripKey

_TRIP_FILES: Final = (".trip.yaml", ".trip.yml")
_NEED: Final = re.compile(r"(?:(?P<file>.+)::)?(?P<id>(?P<name>[^\[\]]+)(?:\[[^\[\]]+\])?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Outlined:
    """As much of a trip as decides who needs whom. `needs` are as written; those at `inherited` stand above it."""

    key: TripKey
    name: str
    row: Row
    needs: tuple[Text, ...]
    inherited: frozenset[Mark]


TripsByName: TypeAlias = Mapping[str, tuple[Outlined, ...]]
"""A file's trips; those of one matrix bear one name."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The trips of a file, and what is wrong with it."""

    trips: TripsByName
    mistakes: tuple[Mistake, ...]


OutlineOf: TypeAlias = Callable[[Path], Outline]
_Edges: TypeAlias = Mapping[TripKey, Mapping[TripKey, Text]]


def needs_text(trip: Map) -> tuple[Text, ...]:
    """What stands under `needs`, as far as it is text."""
    needs = listed(trip.get("needs"))
    return tuple(need for need in needs if isinstance(need, Text)) if isinstance(needs, Items) else ()


def resolved(path: Path, outline_of: OutlineOf, mistakes: Mistakes) -> Mapping[TripKey, tuple[TripKey, ...]]:
    """The trips that each of this file's needs; a need that is not there, and a cycle, is a mistake."""
    edges: dict[TripKey, Mapping[TripKey, Text]] = {}
    files, seen = deque([path]), {path}
    while files:
        file = files.popleft()
        # What is wrong with another file's needs is told when that file is collected.
        found = dict(_edges(outline_of(file), outline_of, mistakes if file == path else Mistakes()))
        edges |= found
        further = dict.fromkeys(key.path for needs in found.values() for key in needs)
        files.extend(other for other in further if other not in seen)
        seen.update(further)
    _check_cycles(path, edges, mistakes)
    return {key: tuple(needs) for key, needs in edges.items() if key.path == path}


def _edges(
    outline: Outline, outline_of: OutlineOf, mistakes: Mistakes
) -> Iterator[tuple[TripKey, Mapping[TripKey, Text]]]:
    for trip in chain.from_iterable(outline.trips.values()):
        needs: dict[TripKey, Text] = {}
        for need in trip.needs:
            if need.literal and REFERENCE in need:
                continue  # what it lacks has been told
            try:
                found = list(_meant(need, trip, outline_of))
            except ValueError as error:
                mistakes.add(need.at, "needs", f"{error}{'' if need.literal else trip.row.hint(need.written)}")
            else:
                needs |= dict.fromkeys((key for key in found if key not in needs), need)
        yield trip.key, needs


def _meant(need: Text, trip: Outlined, outline_of: OutlineOf) -> Iterator[TripKey]:
    """The trips of one need; raises ValueError."""
    match = _NEED.fullmatch(need)
    if match is None:
        raise ValueError(f"{shown(need)} is no trip's name; write it as name, name[row] or file.trip.yaml::name")
    path = _file(need, match["file"], trip)
    outline = outline_of(path)
    if outline.mistakes and path != trip.key.path:
        raise ValueError(f"{shown(need)} is in a file with mistakes: {outline.mistakes[0]}")
    named = outline.trips.get(match["name"], ())
    if not named:
        near = did_you_mean(match["name"], outline.trips)
        raise ValueError(f"{shown(need)} is no trip that there is{near or '; write the name of one'}")
    meant = [other.key for other in named if match["id"] in (other.name, other.key.id)]
    if not meant:
        near = did_you_mean(match["id"], {other.key.id for other in named})
        raise ValueError(f"{shown(need)} is no row of that trip{near or '; write the id of one'}")
    if need.at in trip.inherited and path == trip.key.path and match["name"] == trip.name:
        return  # what all trips of a place need does not need itself
    yield from meant


def _file(need: Text, written: str | None, trip: Outlined) -> Path:
    if written is None:
        if need.at.path.name == SHARED_FILE:
            raise ValueError(f"{shown(need)} names no file, and here are no trips; write it as file.trip.yaml::name")
        return trip.key.path
    path = Path(os.path.normpath(need.at.path.parent / written))
    if not path.name.endswith(_TRIP_FILES) or not is_file(path):
        raise ValueError(f"{shown(need)} names no trip file; write a path to a *.trip.yaml relative to this file")
    return path


def _check_cycles(path: Path, edges: _Edges, mistakes: Mistakes) -> None:
    try:
        TopologicalSorter({key: needs for key, needs in edges.items() if needs}).prepare()
    except CycleError as error:
        backwards: list[TripKey] = error.args[1]
    else:
        return
    # Begun at a trip of this file, where one is in it.
    way = backwards[:0:-1]
    first = next((number for number, key in enumerate(way) if key.path == path), 0)
    way = [*way[first:], *way[:first]]
    need = edges[way[0]][way[1 % len(way)]]
    told = " → ".join(key.seen_from(path) for key in (*way, way[0]))
    what = f"makes a circle: {told}; take one of these needs away, an inherited one by `needs: null`"
    mistakes.add(need.at, "needs", what)
