"""What LIST tells of a folder (RFC 3501 §7.2.2, RFC 6154)."""

from dataclasses import dataclass

from mailtrip_checks.wire import mutf7
from mailtrip_checks.wire.imap_parser import Data


@dataclass(frozen=True, slots=True)
class ListedFolder:
    """A folder's name as a person reads it, and how the server marks it: `\\Noselect`, `\\Trash`."""

    name: str
    marks: frozenset[str]

    def is_marked(self, mark: str) -> bool:
        """Whether it bears this mark; case does not matter."""
        return mark.lower() in {known.lower() for known in self.marks}


def listed(data: Data) -> ListedFolder | None:
    """Read `* LIST (marks) delimiter name`; None where it is none."""
    try:
        marks, _, name = data.values()
    except ValueError:
        return None
    if not isinstance(marks, tuple) or not isinstance(name, bytes):
        return None
    words = (mark.decode("ascii", "backslashreplace") for mark in marks if isinstance(mark, bytes))
    return ListedFolder(_plain(name), frozenset(words))


def _plain(name: bytes) -> str:
    try:
        return mutf7.decode(name)
    except ValueError:
        return name.decode("utf-8", "backslashreplace")
