"""Locations: under `--dist each` every worker runs the whole suite, each from where it stands.

A worker's location is its gateway's id (`--tx ssh=…//id=berlin`, else gw0, gw1, …). Its trips bear it as a parameter
of their name, so that no two reports have the same node id, and `::inbox` and `-k berlin` select as ever.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from mailtrip.stash import SUFFIXES, WORKER_LAST_FAILED, WORKER_LOCATION, WORKER_LOCATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""What a location may be called: what is harmless in a node id, in a file's name and in HTML."""


def location_of(config: pytest.Config) -> str | None:
    """Where this process runs its trips; None where there is but one place."""
    return _told(config).get(WORKER_LOCATION)


def located(name: str, location: str | None) -> str:
    """The name (or node id) of a trip at a location: `inbox[berlin]`, `migrated[alice-old@berlin]`."""
    if location is None:
        return name
    return f"{name[:-1]}@{location}]" if name.endswith("]") else f"{name}[{location}]"


def unlocated(name: str, location: str | None) -> str:
    """What `located` made that name of."""
    for ending, plain in ((f"@{location}]", "]"), (f"[{location}]", "")):
        if name.endswith(ending):
            return name.removesuffix(ending) + plain
    return name


def pytest_configure(config: pytest.Config) -> None:
    """What the command line names of the trips is what they are called here."""
    if (here := location_of(config)) is not None:
        everywhere: Sequence[str] = _told(config)[WORKER_LOCATIONS]
        config.args[:] = _arguments_here(config.args, here, everywhere)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`--lf` by what the controller remembers: where nothing has failed, there is nothing to run."""
    failed: Sequence[str] | None = _told(config).get(WORKER_LAST_FAILED)
    if failed is None:
        return
    again = set(failed)
    passed = [item for item in items if item.path.name.endswith(SUFFIXES) and item.nodeid not in again]
    if passed:
        config.hook.pytest_deselected(items=passed)
        items[:] = [item for item in items if item not in set(passed)]


def _told(config: pytest.Config) -> dict[str, Any]:
    told: dict[str, Any] = getattr(config, "workerinput", {})
    return told


def _arguments_here(arguments: Sequence[str], here: str, everywhere: Sequence[str]) -> Iterator[str]:
    """A trip that is named with a location runs there alone; one that is named without, at all of them."""
    for argument in arguments:
        file, _, name = argument.partition("::")
        if not file.endswith(SUFFIXES) or not name.endswith("]"):
            yield argument  # `::inbox` names every inbox[…]
            continue
        places = [place for place in everywhere if unlocated(name, place) != name]
        if not places:
            yield located(argument, here)
        elif here in places:
            yield argument
