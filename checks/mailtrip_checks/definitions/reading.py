"""The trips of one file: defaults, matrix and references applied, then built."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mailtrip_checks.definitions.build import Source, build
from mailtrip_checks.definitions.context import Context
from mailtrip_checks.definitions.endpoints import Endpoints
from mailtrip_checks.definitions.layers import Ground, Layer, lay_over, merged_trip
from mailtrip_checks.definitions.matrix import rows, secret_cells
from mailtrip_checks.definitions.mistakes import Mark, Mistakes
from mailtrip_checks.definitions.places import cut
from mailtrip_checks.definitions.references import NO_ROW, References, Row
from mailtrip_checks.definitions.schema import TripKeys
from mailtrip_checks.definitions.tree import Items, Map, Text
from mailtrip_checks.definitions.validation import Subject, validated
from mailtrip_checks.trips import Trip

_PLACES: Final = (("send", "via"), ("receive", "at"))
_BAD_IN_NAMES: Final = re.compile(r"::|[\[\]\\/]|[^ -~\x80-\U0010ffff]|^\s|\s$")


def read_trips(
    layers: Sequence[Layer], references: References, context: Context, mistakes: Mistakes
) -> tuple[Trip, ...]:
    """The trips of the nearest layer, which is the trip file's; complete only if there is no mistake."""
    own = layers[-1]
    ground = lay_over(layers, context.environment, mistakes)
    if not own.trips and not mistakes:
        mistakes.add(own.trips.at, "trips", "has no trip; write one under `trips:`")
    return _Reader(ground, references, Endpoints(ground.servers, references), context, mistakes).all(own.trips)


@dataclass(frozen=True, slots=True)
class _Reader:
    ground: Ground
    references: References
    endpoints: Endpoints
    context: Context
    mistakes: Mistakes

    def all(self, trips: Map) -> tuple[Trip, ...]:
        return tuple(
            trip
            for name, own in trips.items()
            if isinstance(own, Map)
            for trip in self._one(name, name.at if isinstance(name, Text) else own.at, own)
        )

    def _one(self, name: str, mark: Mark, own: Map) -> Iterator[Trip]:
        """The trip, or its matrix's trips."""
        if not name or _BAD_IN_NAMES.search(name):
            what = r"cannot be a trip's name; leave out `::`, `[`, `]`, `/`, `\`, control characters and outer blanks"
            self.mistakes.add(mark, "trips", what)
        merged = merged_trip(self.ground.defaults, own)
        matrix = merged.pop("matrix", None)
        _cut_urls(merged)
        self._check_tags(merged)
        for row in self._rows(matrix, merged) if isinstance(matrix, Map) else (NO_ROW,):
            filled = self.references.fill_map(merged, row, "", self.mistakes)
            subject = Subject(filled, self.mistakes, "", row)
            trip_id = f"{name}[{row.id}]" if row.id else name
            source = Source(trip_id, mark, self.context.environment, own)
            trip = build(source, validated(TripKeys, subject), subject, self.endpoints)
            if trip:
                yield trip

    def _rows(self, matrix: Map, trip: Map) -> tuple[Row, ...]:
        filled = self.references.fill_map(matrix, NO_ROW, "matrix", self.mistakes)
        found = rows(filled, secret_cells(trip, self.ground.servers), self.mistakes)
        if found is None:
            # Without its rows the trip cannot be built; its keys are looked at all the same.
            validated(TripKeys, Subject(trip, self.mistakes))
        return found or ()

    def _check_tags(self, trip: Map) -> None:
        tags = trip.get("tags")
        for tag in tags if isinstance(tags, Items) else ():
            if isinstance(tag, Text) and tag in self.context.reserved_tags:
                what = f"`{tag}` is a mark that pytest or a plugin defines; use another word"
                self.mistakes.add(tag.at, "tags", what)


def _cut_urls(trip: Map) -> None:
    """A URL is cut into its parts before references are filled in, so that no value can move its bounds."""
    for name, key in _PLACES:
        leg = trip.get(name)
        if isinstance(leg, Map) and key in leg:
            trip[name] = Map(leg.at, [(inner, cut(value) if inner == key else value) for inner, value in leg.items()])
