"""From `*.trip.yaml` and `mailtrip.yaml` to frozen `Trip`s.

A file is read to a tree of texts with places (`tree`), laid over what its folders share (`layers`), multiplied by its
matrix (`matrix`), filled with what comes from outside (`references`), checked key by key (`schema`, `validation`), and
built (`build`, `endpoints`). Behind that there are only frozen types.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mailtrip_checks.definitions.layers import SHARED_FILE, Layer, look_alike, read_layer, shared_folders
from mailtrip_checks.definitions.mistakes import DefinitionError, Mark, Mistake, Mistakes
from mailtrip_checks.definitions.reading import read_trips
from mailtrip_checks.definitions.references import References
from mailtrip_checks.trips import Trip

__all__ = ["Context", "DefinitionError", "Definitions", "Mistake"]


@dataclass(frozen=True, slots=True)
class Context:
    """What a definition may depend on besides its files.

    `environment` is the chosen one; `variables` are what `${var:…}` reads, `environ` what `${env:…}` reads. mailtrip.yaml
    is looked for from the trip file's folder up to `root`. `reserved_tags` are marks that somebody else defines.
    """

    environment: str | None
    variables: Mapping[str, str]
    environ: Mapping[str, str]
    root: Path
    reserved_tags: frozenset[str] = frozenset()


class Definitions:
    """Reads trip files; what they share is read once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._references = References(context.environ, context.variables)
        self._shared: dict[Path, tuple[Layer | None, tuple[Mistake, ...]]] = {}

    def trips(self, path: Path) -> tuple[Trip, ...]:
        """The file's trips in the order of writing; raises DefinitionError with every mistake in it and above it."""
        mistakes = Mistakes()
        layers = [
            layer for folder in shared_folders(path, self._context.root) if (layer := self._above(folder, mistakes))
        ]
        own = read_layer(path, mistakes)
        if own is None:
            raise DefinitionError(mistakes.all())
        context = self._context
        found = read_trips([*layers, own], self._references, context.environment, context.reserved_tags, mistakes)
        mistakes.raise_any()
        return found

    def _above(self, folder: Path, mistakes: Mistakes) -> Layer | None:
        if folder not in self._shared:
            found = Mistakes()
            if misnamed := look_alike(folder):
                found.add(Mark(misnamed), "", f"is never read; name it {SHARED_FILE}")
            path = folder / SHARED_FILE
            layer = read_layer(path, found) if path.exists() else None
            self._shared[folder] = layer, found.all()
        layer, known = self._shared[folder]
        mistakes.include(known)
        return layer
