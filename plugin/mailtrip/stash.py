"""What the parts of the plugin agree on: names, and what they leave for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mailtrip.runner import Runner

SUFFIXES = (".trip.yaml", ".trip.yml")
"""The names of trip files end so."""


def is_trip(nodeid: str) -> bool:
    """Whether a node id is that of a trip."""
    return nodeid.partition("::")[0].endswith(SUFFIXES)


RUNNER: pytest.StashKey[Runner] = pytest.StashKey()
"""What runs the trips of this session; there while its fixture is set up."""
BROKEN_FILES = pytest.StashKey[int]()
"""How many trip files could not be read."""
MAILS_THAT_STAY = "mails that stay, or may still come"
"""Above what LEFT_BEHIND holds."""
LEFT_BEHIND = pytest.StashKey[list[str]]()
"""The mails that a stopped run could not delete, for the end of the report."""
SENT_TWICE = pytest.StashKey[list[str]]()
"""The trips that may have been sent twice, because a worker was lost, for the end of the report."""

BOUND_TOLD = pytest.StashKey[bool]()
"""How long the run can take has been told, or cannot be."""
WORKER_KEY = "mailtrip_key"
"""Among a worker's input: the controller's key."""
WORKER_DONE = "mailtrip_done"
"""Among a worker's input: node ids of trips that a lost worker had ended; they are not started again."""
WORKER_TELLS = "mailtrip_tells"
"""Among a worker's input: a channel on which it tells what it has in flight, and is told of more that is done."""
WORKER_LOCATION = "mailtrip_location"
"""Among a worker's input under `--dist each`: what its location is called."""
WORKER_LOCATIONS = "mailtrip_locations"
"""Among the same: what all locations are called."""
WORKER_LAST_FAILED = "mailtrip_last_failed"
"""Among the same under `--lf`: the trips that have failed."""
WORKER_LEFT_BEHIND = "mailtrip_left_behind"
"""Among a worker's output: what LEFT_BEHIND holds there."""
