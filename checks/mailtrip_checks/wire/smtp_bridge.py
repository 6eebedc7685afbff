"""Lets aiosmtplib speak over a `Stream`.

aiosmtplib's protocol takes an asyncio transport, and gets this one: what it writes goes to the stream, which alone
knows of TLS, and what comes there is handed to it. So all three protocols share connecting, handshakes, the instants at
which bytes came and the transcript, which shows what was truly said, half lines and garbage too.
"""

import asyncio
from collections.abc import Callable

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from mailtrip_checks.wire.stream import Chunk, Stream

_LONGEST_LINE_BYTES = 64 * 1024
_MOST_REPLIES = 100  # that are kept of what nobody asked for


class Bridge(asyncio.Transport):
    """What `client`, made here, takes for its connection; nothing has been read of it yet."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        self.ended = False
        """Whether the server has closed."""
        self.replied_at_s = 0.0
        """When the last bytes of the server came in."""
        self.shows: Callable[[bytes], str | None] | None = None
        """What the transcript shows of what is sent; None from it is the thing itself, "" is nothing."""
        # Its own timeout is off, for the leg's is one for all steps. Each EHLO says our name; without one here, too,
        # it would be looked up.
        self.client = aiosmtplib.SMTP(start_tls=False, local_hostname="localhost", timeout=None)
        self._protocol = SMTPProtocol(asyncio.get_running_loop())
        self._closing = False
        self._replies: list[str] = []
        self._line = b""
        self._protocol.connection_made(self)
        self.client.transport, self.client.protocol = self, self._protocol
        stream.hand_to(self._came)

    @property
    def unasked(self) -> str:
        """What the server said behind its last answer."""
        return "\n".join([*self._replies[1:], _text(self._line)]).strip()

    async def greeting(self) -> aiosmtplib.SMTPResponse:
        """The server's first reply."""
        return await self._protocol.read_response()

    # What aiosmtplib calls.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """A command, or a message."""
        self._replies.clear()
        if not self.ended:
            sent = bytes(data)
            self.stream.write(sent, self.shows(sent) if self.shows else None)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Nothing: the stream knows."""
        return default

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """It wants no more of it."""
        self._closing = True

    # What comes from the server.

    def _came(self, chunk: Chunk) -> None:
        if not chunk.data:
            self._end()
            return
        self.replied_at_s = chunk.at_s
        self._note(chunk.data)
        self._protocol.data_received(chunk.data)

    def _end(self) -> None:
        if not self.ended:
            self.ended = self._closing = True
            self.stream.transcript.received(_text(self._line))
            self._protocol.eof_received()
            self._protocol.connection_lost(None)

    def _note(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > _LONGEST_LINE_BYTES:
            lines, self._line = [*lines, self._line], b""
        for line in lines:
            self.stream.transcript.received(_text(line))
            if line[3:4] != b"-" and len(self._replies) < _MOST_REPLIES:
                self._replies.append(_text(line))

    async def drop(self) -> None:
        """Drop the connection, and wait until its socket is gone."""
        self.client.close()
        self.stream.abort()
        await self.stream.close()


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace").rstrip()
