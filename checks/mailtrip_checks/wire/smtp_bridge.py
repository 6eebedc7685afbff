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

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.ended = False
        """Whether the server has closed."""
        self.replied_at_s = 0.0
        """When the last bytes of the server came in."""
        self.shows: Callable[[bytes], str | None] | None = None
        """What the transcript shows of what is sent; None from it is the thing itself, "" is nothing."""
        self._pair: asyncio.WriteTransport | None = None
        self._pair_closed = asyncio.Event()
        self._carrier: asyncio.Task[None] | None = None
        self._replies: list[str] = []
        self._line = b""

    @classmethod
    async def open(cls, stream: Stream) -> tuple["Bridge", socket.socket]:
        """The bridge, and the socket for aiosmtplib, which closes it. Raises OSError where there is no socket left."""
        bridge = cls(stream)
        near, far = socket.socketpair()
        try:
            near.setblocking(False)
            far.setblocking(False)
            await asyncio.get_running_loop().create_connection(lambda: bridge, sock=far)
        except BaseException:
            near.close()
            far.close()
            raise
        bridge._carrier = asyncio.create_task(bridge._carry(), name="smtp-bridge")
        return bridge, near

    @property
    def unasked(self) -> str:
        """What the server said behind its last answer."""
        return "\n".join([*self._replies[1:], _text(self._line)]).strip()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            self._pair = transport

    def data_received(self, data: bytes) -> None:
        """aiosmtplib says something: a command, or a part of a message."""
        self._replies.clear()
        try:
            self.stream.write(data, self.shows(data) if self.shows else None)
        except ConnectionError:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pair_closed.set()

    # What comes from the server.

    async def _carry(self) -> None:
        try:
            while (chunk := await self.stream.read()).data:
                self.replied_at_s = chunk.at_s
                self._note(chunk.data)
                if self._pair is not None:
                    self._pair.write(chunk.data)
        finally:
            self._end()

    def _note(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > _LONGEST_LINE_BYTES:
            lines, self._line = [*lines, self._line], b""
        for line in lines:
            self.stream.transcript.received(_text(line))
            if line[3:4] != b"-":
                self._replies.append(_text(line))

    def _end(self) -> None:
        if self.ended:
            return
        self.ended = True
        self.stream.transcript.received(_text(self._line))
        if self._pair is not None and not self._pair.is_closing():
            self._pair.write_eof()

    async def close(self) -> None:
        """Drop both connections, and wait until their sockets are gone."""
        if self._carrier is not None:
            self._carrier.cancel()
        if self._pair is not None:
            self._pair.abort()
            await self._pair_closed.wait()
        self.stream.abort()
        await self.stream.close()


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace").rstrip()
