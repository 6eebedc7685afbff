"""Definitions written to a folder of their own and read from there."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mailtrip_checks.definitions import Context, DefinitionError, Definitions, Mistake
from mailtrip_checks.trips import Trip


class Folder:
    """A folder of definitions; `environ` and `variables` are what they may read from outside."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ: Mapping[str, str] = {}
        self.variables: Mapping[str, str] = {}
        self.reserved_tags: frozenset[str] = frozenset()
        self.fault_mistake: Callable[[Mapping[str, object]], tuple[str, str] | None] = lambda _: None

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def read(self, text: str | bytes, *, name: str = "a.trip.yaml", environment: str | None = None) -> tuple[Trip, ...]:
        path = self.write(name, text)
        context = Context(environment, self.variables, self.environ, self.root, self.reserved_tags, self.fault_mistake)
        return Definitions(context).trips(path)

    def one(self, text: str, *, name: str = "a.trip.yaml", environment: str | None = None) -> Trip:
        (trip,) = self.read(text, name=name, environment=environment)
        return trip

    def mistakes(
        self, text: str | bytes, *, name: str = "a.trip.yaml", environment: str | None = None
    ) -> tuple[Mistake, ...]:
        with pytest.raises(DefinitionError) as caught:
            self.read(text, name=name, environment=environment)
        assert str(caught.value) == "\n".join(map(str, caught.value.mistakes))
        return caught.value.mistakes

    def complaint(self, text: str | bytes, *, name: str = "a.trip.yaml", environment: str | None = None) -> str:
        """The file's one mistake, as it is shown, without the folder."""
        (mistake,) = self.mistakes(text, name=name, environment=environment)
        return str(mistake).removeprefix(f"{self.root}/")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
