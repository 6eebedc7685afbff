"""What the parts of the plugin agree on: names, and what they leave for each other."""

import pytest

SUFFIXES = (".trip.yaml", ".trip.yml")
"""The names of trip files end so."""

BROKEN_FILES = pytest.StashKey[int]()
"""How many trip files could not be read."""
LEFT_BEHIND = pytest.StashKey[list[str]]()
"""The mails that a stopped run could not delete, for the end of the report."""

BOUND_TOLD = pytest.StashKey[bool]()
"""How long the run can take has been told, or cannot be."""
SCHEDULED = pytest.StashKey[bool]()
"""The trips have been given to a worker."""

WORKER_HAS_ALL = "mailtrip_has_all"
"""Among a worker's input: all trips of the run are its own."""
WORKER_KEY = "mailtrip_key"
"""Among a worker's input: the controller's key."""
WORKER_LEFT_BEHIND = "mailtrip_left_behind"
"""Among a worker's output: what LEFT_BEHIND holds there."""
