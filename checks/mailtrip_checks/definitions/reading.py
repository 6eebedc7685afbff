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
from mailtrip_checks.definitions.needs import Outlined, TripsByName, needs_text
from mailtrip_checks.definitions.places import cut
from mailtrip_checks.definitions.references import NO_ROW, References, Row, reads_row
from mailtrip_checks.definitions.schema import TripKeys
from mailtrip_checks.definitions.tree import Items, Map, Text, Tree
from mailtrip_checks.definitions.validation import Subject, validated
from mailtrip_checks.trips import Trip, TripKey

_PLACES: Final = (("send", "via"), ("receive", "at"))
_BAD_IN_NAMES: Final = re.compile(r"::|[\[\]\\/]|[\x00-\x1f\x7f]|^\s|\s$")


def read_trips(
    layers: Sequence[Layer], references: References, context: Context, mistakes: Mistakes
) -> tuple[tuple[Trip, ...], TripsByName]:
    """The trips of the nearest layer, which is the trip file's, and their outlines; complete only without a mistake."""
    own = layers[-1]
    reader = _reader(layers, references, context, mistakes)
    if not own.trips and not mistakes:
        mistakes.add(own.trips.at, "trips", "has no trip; write one under `trips:`")
    read = {name: list(reader.trips(name, trip)) for name, trip in _named(own)}
    built = tuple(trip for rows in read.values() for _, trip in rows if trip)
    return built, {name: tuple(outlined for outlined, _ in rows) for name, rows in read.items()}


def read_outline(layers: Sequence[Layer], references: References, context: Context, mistakes: Mistakes) -> TripsByName:
    """The outlines of the nearest layer's trips; what only their legs read does not have to be there."""
    reader = _reader(layers, references, context, mistakes)
    return {name: tuple(reader.outlined(name, trip)) for name, trip in _named(layers[-1])}


def _reader(layers: Sequence[Layer], references: References, context: Context, mistakes: Mistakes) -> "_Reader":
    ground = lay_over(layers, context.environment, mistakes)
    inherited = frozenset(need.at for need in needs_text(ground.defaults))
    return _Reader(ground, references, Endpoints(ground.servers, references, context), context, mistakes, inherited)


def _named(own: Layer) -> Iterator[tuple[str, Map]]:
    return ((name, trip) for name, trip in own.trips.items() if isinstance(trip, Map))


@dataclass(frozen=True, slots=True)
class _Reader:
    ground: Ground
    references: References
    endpoints: Endpoints
    context: Context
    mistakes: Mistakes
    inherited: frozenset[Mark]

    def trips(self, name: str, own: Map) -> Iterator[tuple[Outlined, Trip | None]]:
        """The trip, or its matrix's trips; None for one that cannot be built."""
        mark = name.at if isinstance(name, Text) else own.at
        if not name or _BAD_IN_NAMES.search(name):
            what = r"cannot be a trip's name; leave out `::`, `[`, `]`, `/`, `\`, control characters and outer blanks"
            self.mistakes.add(mark, "trips", what)
        merged, matrix = self._merged(own)
        self._check_tags(merged)
        for row, filled in self._filled(merged, self._rows(matrix, merged)):
            subject = Subject(filled, self.mistakes, "", row)
            outlined = self._outline(name, own, row, filled)
            source = Source(outlined.key.id, mark, self.context.environment, own)
            yield outlined, build(source, validated(TripKeys, subject), subject, self.endpoints)

    def _filled(self, merged: Map, rows: Sequence[Row]) -> Iterator[tuple[Row, Map]]:
        """Each row, and the trip with its references filled in; what no row changes is filled in once."""
        of_rows = Map(merged.at, [(key, value) for key, value in merged.items() if reads_row(value)])
        others = Map(merged.at, [(key, value) for key, value in merged.items() if key not in of_rows])
        filled = self.references.fill_map(others, NO_ROW, "", self.mistakes) if rows else others
        for row in rows:
            yield row, Map(merged.at, (filled | self.references.fill_map(of_rows, row, "", self.mistakes)).items())

    def outlined(self, name: str, own: Map) -> Iterator[Outlined]:
        """The trip's outline, or those of its matrix's trips."""
        merged, matrix = self._merged(own)
        needs = Map(merged.at, [("needs", merged.get("needs"))])
        for row in self._rows(matrix, merged):
            yield self._outline(name, own, row, self.references.fill_map(needs, row, "", self.mistakes))

    def _outline(self, name: str, own: Map, row: Row, filled: Map) -> Outlined:
        key = TripKey(own.at.path, f"{name}[{row.id}]" if row.id else str(name))
        return Outlined(key, str(name), row, needs_text(filled), self.inherited)

    def _merged(self, own: Map) -> tuple[Map, Tree]:
        """The trip with what holds for it, and its matrix."""
        merged = merged_trip(self.ground.defaults, own)
        matrix = merged.pop("matrix", None)
        _cut_urls(merged)
        return merged, matrix

    def _rows(self, matrix: Tree, trip: Map) -> tuple[Row, ...]:
        if not isinstance(matrix, Map):
            return (NO_ROW,)
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
