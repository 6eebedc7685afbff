"""The trips of one file: defaults, matrix and references applied, then built."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from mailtrip_checks.definitions.build import Source, build
from mailtrip_checks.definitions.endpoints import Endpoints
from mailtrip_checks.definitions.layers import Ground, Layer, lay_over, merged_trip
from mailtrip_checks.definitions.matrix import rows, secret_cells
from mailtrip_checks.definitions.mistakes import Mark, Mistakes
from mailtrip_checks.definitions.places import as_mapping, is_url
from mailtrip_checks.definitions.references import References, Row
from mailtrip_checks.definitions.schema import TripKeys
from mailtrip_checks.definitions.tree import Items, Map, Text
from mailtrip_checks.definitions.validation import Subject, validated
from mailtrip_checks.trips import Trip

_PLACES: Final = (("send", "via"), ("receive", "at"))
_BAD_IN_NAMES: Final = re.compile(r"::|[\[\]\\/]|[^ -~\x80-\U0010ffff]|^\s|\s$")


def read_trips(
    layers: Sequence[Layer],
    references: References,
    environment: str | None,
    reserved_tags: frozenset[str],
    mistakes: Mistakes,
) -> tuple[Trip, ...]:
    """The trips of the nearest layer, which is the trip file's; complete only if there is no mistake."""
    own = layers[-1]
    ground = lay_over(layers, environment, mistakes)
    if not own.trips:
        mistakes.add(
            own.trips.at if own.trips.at.path == own.path else Mark(own.path), "trips", "has no trip; write one"
        )
    return _Reader(ground, references, environment, reserved_tags, mistakes).all(own.trips)


class _Reader:
    def __init__(
        self,
        ground: Ground,
        references: References,
        environment: str | None,
        reserved_tags: frozenset[str],
        mistakes: Mistakes,
    ) -> None:
        self._ground = ground
        self._references = references
        self._environment = environment
        self._reserved_tags = reserved_tags
        self._mistakes = mistakes
        self._endpoints = Endpoints(ground.servers, references)

    def all(self, trips: Map) -> tuple[Trip, ...]:
        return tuple(
            trip
            for name, own in trips.items()
            if isinstance(own, Map)
            for trip in self._one(name, trips.key_mark(name), own)
        )

    def _one(self, name: str, mark: Mark, own: Map) -> Iterator[Trip]:
        """The trip, or its matrix's trips."""
        if not name or _BAD_IN_NAMES.search(name):
            what = r"cannot be a trip's name; leave out `::`, `[`, `]`, `/`, `\`, control characters and outer blanks"
            self._mistakes.add(mark, "trips", what)
        merged = merged_trip(self._ground.defaults, own)
        matrix = merged.pop("matrix", None)
        self._expand_urls(merged)
        self._check_tags(merged)
        for row in self._rows(matrix, merged) if isinstance(matrix, Map) else (Row(),):
            filled = self._references.fill(merged, row, "", self._mistakes)
            assert isinstance(filled, Map)  # noqa: S101  (a mapping is filled to a mapping)
            subject = Subject(filled, self._mistakes, "", row)
            trip_id = f"{name}[{row.id}]" if row.id else name
            source = Source(trip_id, mark, self._environment, own)
            trip = build(source, validated(TripKeys, subject), subject, self._endpoints)
            if trip:
                yield trip

    def _rows(self, matrix: Map, trip: Map) -> tuple[Row, ...]:
        filled = self._references.fill(matrix, Row(), "matrix", self._mistakes)
        assert isinstance(filled, Map)  # noqa: S101  (as above)
        found = rows(filled, secret_cells(trip, self._ground.servers), self._mistakes)
        if found is None:
            # Without its rows the trip cannot be built; its keys are looked at all the same.
            validated(TripKeys, Subject(trip, self._mistakes))
        return found or ()

    def _expand_urls(self, trip: Map) -> None:
        """A URL is cut into its parts before references are filled in, so that no value can move its bounds."""
        for leg_name, key in _PLACES:
            leg = trip.get(leg_name)
            place = leg.get(key) if isinstance(leg, Map) else None
            if isinstance(leg, Map) and isinstance(place, Text) and is_url(place):
                try:
                    mapping = as_mapping(place)
                except ValueError as error:
                    self._mistakes.add(place.at, f"{leg_name}.{key}", str(error))
                    mapping = None
                if mapping is not None:
                    trip[leg_name] = Map(leg.at, [*leg.items(), (key, mapping)])

    def _check_tags(self, trip: Map) -> None:
        tags = trip.get("tags")
        for tag in tags if isinstance(tags, Items) else ():
            if isinstance(tag, Text) and tag in self._reserved_tags:
                what = f"`{tag}` is a mark that pytest or a plugin defines; use another word"
                self._mistakes.add(tag.at, "tags", what)
