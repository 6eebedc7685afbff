"""How much of a stranger's mail is held: its head. No I/O.

A token of ours stands in the header, so a mail whose head bears none is refused whatever follows; of what follows only
the end is let through (RFC 5321 §4.5.2), which the SMTP side needs to give its answer after DATA.
"""

from collections.abc import Callable

HEAD_BYTES = 128 * 1024
_END = b"\r\n.\r\n"


class Gate:
    """What comes between two answers, passed on as long as `may_be_ours` finds nothing against it."""

    def __init__(self, may_be_ours: Callable[[bytes], bool]) -> None:
        self._may_be_ours = may_be_ours
        self._head = bytearray()
        self._tail: bytes | None = None  # of what is thrown away: what the end may have begun with

    def passed(self, data: bytes) -> bytes:
        """What is left of this piece."""
        if self._tail is None and len(self._head) < HEAD_BYTES:
            self._head += data
            if len(self._head) >= HEAD_BYTES and not self._may_be_ours(bytes(self._head)):
                self._tail = bytes(self._head[: -len(data)][1 - len(_END) :])
        if self._tail is None:
            return data
        rest = self._tail + data
        end = rest.find(_END)
        if end < 0:
            self._tail = rest[1 - len(_END) :]
            return b""
        self.answered()
        return rest[end:]

    def answered(self) -> None:
        """What comes now begins anew."""
        self._head.clear()
        self._tail = None
