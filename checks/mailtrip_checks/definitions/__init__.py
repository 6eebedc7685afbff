"""From `*.trip.yaml` and `mailtrip.yaml` to frozen `Trip`s.

A file is read (`yaml_file`) to a tree of texts with places (`tree`), laid over what its folders share (`layers`),
multiplied by its matrix (`matrix`), filled with what comes from outside (`references`), checked key by key (`schema`,
`validation`), built (`build`, `endpoints`), and told which others it needs (`needs`). Behind that there are only frozen
types.
"""

from dataclasses import replace
from pathlib import Path

from mailtrip_checks.definitions.context import Context
from mailtrip_checks.definitions.layers import SHARED_FILE, Layer, look_alike, read_layer, shared_folders
from mailtrip_checks.definitions.mistakes import DefinitionError, Mark, Mistake, Mistakes
from mailtrip_checks.definitions.needs import Outline, resolved
from mailtrip_checks.definitions.reading import read_outline, read_trips
from mailtrip_checks.definitions.references import References
from mailtrip_checks.definitions.tree import is_file
from mailtrip_checks.trips import Trip

__all__ = ["Context", "DefinitionError", "Definitions", "Mistake"]


class Definitions:
    """Reads trip files; what they share is read once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._references = References(context.environ, context.variables)
        self._outlines: dict[Path, Outline] = {}
        self._shared: dict[Path, tuple[Layer | None, tuple[Mistake, ...]]] = {}

    def trips(self, path: Path) -> tuple[Trip, ...]:
        """The file's trips in the order of writing; raises DefinitionError with every mistake in it and above it."""
        mistakes = Mistakes()
        layers = self._layers(path, mistakes)
        if layers is None:
            raise DefinitionError(mistakes.all())
        found, outlined = read_trips(layers, self._references, self._context, mistakes)
        self._outlines[path] = Outline(outlined, mistakes.all())
        needs = resolved(path, self._outline, mistakes)
        mistakes.raise_any()
        return tuple(replace(trip, needs=needs[trip.key]) if needs[trip.key] else trip for trip in found)

    def _layers(self, path: Path, mistakes: Mistakes) -> list[Layer] | None:
        """What holds for the file's trips, from far to near, and itself; None where one of them cannot be read."""
        folders = shared_folders(path, self._context.root)
        above = [self._above(folder) for folder in folders]
        for _, known in above:
            mistakes.include(known)
        own = read_layer(path, mistakes)
        # What an unreadable file would have said is not known, so its absence is no further mistake.
        if own is None or any(layer is None and known for layer, known in above):
            return None
        return [*(layer for layer, _ in above if layer), own]

    def _outline(self, path: Path) -> Outline:
        """The trips of a file that another one names."""
        if path not in self._outlines:
            mistakes = Mistakes()
            layers = self._layers(path, mistakes)
            trips = read_outline(layers, self._references, self._context, mistakes) if layers else None
            self._outlines[path] = Outline(trips or {}, mistakes.all())
        return self._outlines[path]

    def _above(self, folder: Path) -> tuple[Layer | None, tuple[Mistake, ...]]:
        """The folder's mailtrip.yaml, if it has one, and the mistakes in it."""
        if folder not in self._shared:
            found = Mistakes()
            if misnamed := look_alike(folder):
                found.add(Mark(misnamed), "", f"is never read; name it {SHARED_FILE}")
            path = folder / SHARED_FILE
            layer = read_layer(path, found) if is_file(path) else None
            self._shared[folder] = layer, found.all()
        return self._shared[folder]
