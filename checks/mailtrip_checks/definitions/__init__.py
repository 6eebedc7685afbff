"""From `*.trip.yaml` and `mailtrip.yaml` to frozen `Trip`s.

A file is read (`yaml_file`) to a tree of texts with places (`tree`), laid over what its folders share (`layers`),
multiplied by its matrix (`matrix`), filled with what comes from outside (`references`), checked key by key (`schema`,
`validation`), and built (`build`, `endpoints`). Behind that there are only frozen types.
"""

from pathlib import Path

from mailtrip_checks.definitions.context import Context
from mailtrip_checks.definitions.layers import SHARED_FILE, Layer, look_alike, read_layer, shared_folders
from mailtrip_checks.definitions.mistakes import DefinitionError, Mark, Mistake, Mistakes
from mailtrip_checks.definitions.reading import read_trips
from mailtrip_checks.definitions.references import References
from mailtrip_checks.definitions.tree import is_file
from mailtrip_checks.trips import Trip

__all__ = ["Context", "DefinitionError", "Definitions", "Mistake"]


class Definitions:
    """Reads trip files; what they share is read once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._references = References(context.environ, context.variables)
        self._shared: dict[Path, tuple[Layer | None, tuple[Mistake, ...]]] = {}

    def trips(self, path: Path) -> tuple[Trip, ...]:
        """The file's trips in the order of writing; raises DefinitionError with every mistake in it and above it."""
        mistakes = Mistakes()
        folders = shared_folders(path, self._context.root)
        above = [self._above(folder) for folder in folders]
        for _, known in above:
            mistakes.include(known)
        own = read_layer(path, mistakes)
        # What an unreadable file would have said is not known, so its absence is no further mistake.
        if own is None or any(layer is None and known for layer, known in above):
            raise DefinitionError(mistakes.all())
        layers = [*(layer for layer, _ in above if layer), own]
        found = read_trips(layers, self._references, self._context, mistakes)
        mistakes.raise_any()
        return found

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
