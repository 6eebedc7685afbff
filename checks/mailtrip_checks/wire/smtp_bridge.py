"""Lets aiosmtplib speak over a `Stream`.

aiosmtplib takes a connected socket. It gets one end of a socket pair; the other end is carried to and from the stream,
which alone knows of TLS. So all three protocols share connecting, handshakes, the instants at which bytes came and
the transcript, which shows what was truly said, half lines and garbage too; and aiosmtplib is used by its public face.
"""

import asyncio
import socket
from collections.abc import Callable

from mailtrip_checks.wire.stream import Stream

_LONGEST_LINE_BYTES = 64 * 1024


class Bridge(asyncio.Protocol):
    """The far end of aiosmtplib's socket; made by `open`."""

    _near: socket.socket
    _far: asyncio.Transport
    _carrier: asyncio.Task[None]

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.ended = False
        """Whether the server has closed."""
        self.replied_at_s = 0.0
        """When the last bytes of the server came in."""
        self.shows: Callable[[bytes], str | None] | None = None
        """What the transcript shows of what is sent; None from it is the thing itself, "" is nothing."""
        self._far_closed = asyncio.Event()
        self._replies: list[str] = []
        self._line = b""

    @staticmethod
    async def open(stream: Stream) -> tuple["Bridge", socket.socket]:
        """The bridge, and the socket for aiosmtplib. Raises OSError where there is no socket left."""
        near, far = socket.socketpair()
        try:
            near.setblocking(False)
            far.setblocking(False)
            transport, bridge = await asyncio.get_running_loop().create_connection(lambda: Bridge(stream), sock=far)
        except BaseException:
            near.close()
            far.close()
            raise
        bridge._near, bridge._far = near, transport
        bridge._carrier = asyncio.create_task(bridge._carry(), name="smtp-bridge")
        return bridge, near

    @property
    def unasked(self) -> str:
        """What the server said behind its last answer."""
        return "\n".join([*self._replies[1:], _text(self._line)]).strip()

    # What asyncio calls.

    def data_received(self, data: bytes) -> None:
        """aiosmtplib says something: a command, or a part of a message."""
        self._replies.clear()
        if not self.ended:
            self.stream.write(data, self.shows(data) if self.shows else None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._far_closed.set()

    # What comes from the server.

    async def _carry(self) -> None:
        while (chunk := await self.stream.read()).data:
            self.replied_at_s = chunk.at_s
            self._note(chunk.data)
            self._far.write(chunk.data)
        self.ended = True
        self.stream.transcript.received(_text(self._line))
        self._far.close()  # aiosmtplib reads what is on the way, and then the end

    def _note(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > _LONGEST_LINE_BYTES:
            lines, self._line = [*lines, self._line], b""
        for line in lines:
            self.stream.transcript.received(_text(line))
            if line[3:4] != b"-":
                self._replies.append(_text(line))

    async def close(self) -> None:
        """Drop both connections, and wait until their sockets are gone."""
        self._carrier.cancel()
        await asyncio.wait([self._carrier])
        self._far.abort()
        await self._far_closed.wait()
        self._near.close()  # where aiosmtplib never came to use it
        self.stream.abort()
        await self.stream.close()


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace").rstrip()
