"""A byte stream whose chunks bear the instant at which they came in, before anybody has parsed them."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import NamedTuple

from mailtrip_checks.errors import TlsFailed
from mailtrip_checks.trips import Endpoint
from mailtrip_checks.wire.connect import Network, open_socket, peer
from mailtrip_checks.wire.tls import check_fingerprint, tls_failure
from mailtrip_checks.wire.transcript import Stages, Transcript

LONGEST_HANDSHAKE_S = 900.0  # a leg's bound is shorter, and says what took too long
LONGEST_CLOSE_S = 1.0  # of the machine's own time: nobody measures it
_PAUSE_AT_BYTES = 4 * 1024 * 1024


class Chunk(NamedTuple):
    """Bytes and the monotonic instant of their arrival; no bytes at the end of the stream."""

    data: bytes
    at_s: float


class Stream(asyncio.Protocol):
    """One connection of a line protocol; made by `open_stream`. Not for two readers at once."""

    def __init__(self, endpoint: Endpoint, network: Network, transcript: Transcript) -> None:
        self.endpoint = endpoint
        self.transcript = transcript
        self.host = self.where = f"{endpoint.host}:{endpoint.port}"
        self.secured_by = "plain"
        """How the connection is secured, for reports: `plain`, `STARTTLS` or `TLS` (from the first byte)."""
        self._network = network
        self._transport: asyncio.Transport | None = None
        self._chunks: deque[Chunk] = deque()
        self._held_bytes = 0
        self._arrived = asyncio.Event()
        self._listeners: list[asyncio.Event] = []
        self._reader: Callable[[Chunk], None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended = False
        self._closed = asyncio.Event()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):  # as those of TCP and TLS are
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._reader is not None:
            self._reader(Chunk(data, self._network.clock.now()))
            return
        self._chunks.append(Chunk(data, self._network.clock.now()))
        self._held_bytes += len(data)
        if self._held_bytes > _PAUSE_AT_BYTES and self._transport is not None:
            self._transport.pause_reading()
        self._ring()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._writable.set()
        self._closed.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _end(self) -> None:
        self._ended = True
        if self._reader is not None:
            self._reader(Chunk(b"", self._network.clock.now()))
        self._ring()

    def _ring(self) -> None:
        self._network.wake_ups.ring(self._arrived, *self._listeners)

    # What clients call.

    @property
    def reached(self) -> str:
        """`name:port [address], plain` (or `STARTTLS`, `TLS`): what was used, for reports."""
        return f"{self.host}, {self.secured_by}"

    @property
    def secure(self) -> bool:
        """Whether TLS is on."""
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is not None

    @property
    def pending(self) -> bool:
        """Whether bytes have come that nobody has read."""
        return bool(self._chunks)

    def hand_to(self, reader: Callable[[Chunk], None]) -> None:
        """Call this with all that comes, and has come, from now on; nothing can be read in other ways then."""
        while (chunk := self.read_nowait()) is not None:
            reader(chunk)
            if not chunk.data:
                break
        self._reader = reader

    @contextmanager
    def ringing(self, event: asyncio.Event) -> Generator[None]:
        """Set this event, too, when bytes come, or their end."""
        self._listeners.append(event)
        try:
            yield
        finally:
            self._listeners.remove(event)

    async def arrives(self) -> None:
        """Wait until `read_nowait` has something to give."""
        while not self._chunks and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()

    async def read(self) -> Chunk:
        """The next bytes; an empty chunk once the peer has closed."""
        while (chunk := self.read_nowait()) is None:
            await self.arrives()
        return chunk

    def read_nowait(self) -> Chunk | None:
        """The same; None where nothing has come yet."""
        if not self._chunks:
            return Chunk(b"", self._network.clock.now()) if self._ended else None
        chunk = self._chunks.popleft()
        self._held_bytes -= len(chunk.data)
        if self._held_bytes <= _PAUSE_AT_BYTES and self._transport is not None and not self._ended:
            self._transport.resume_reading()
        return chunk

    def write(self, data: bytes, shown: str | None = None) -> None:
        """Send; the transcript shows `shown` instead where the data holds a credential, nothing where it is empty."""
        self.transcript.sent(data.decode("utf-8", "backslashreplace") if shown is None else shown)
        self._connected().write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was written."""
        await self._writable.wait()

    async def start_tls(self) -> None:
        """Switch to TLS on the open connection.

        Raises TlsFailed for a bad handshake or certificate, and where plaintext was injected behind the server's
        consent (RFC 3207 §4.2, RFC 2595 §3: what came before the handshake must be forgotten).
        """
        if self._chunks:
            raise TlsFailed(f"{self.where} sent plaintext behind its answer to STARTTLS: somebody may have injected it")
        context = self._network.contexts.for_trust(self.endpoint.trust)
        self.transcript.doing = f"the TLS handshake with {self.host}"
        loop = asyncio.get_running_loop()
        try:
            secure = await loop.start_tls(
                self._connected(),
                self,
                context,
                server_hostname=self.endpoint.host,
                ssl_handshake_timeout=LONGEST_HANDSHAKE_S,
            )
        except OSError as error:
            raise tls_failure(error, self.where) from error
        if secure is None:
            raise TlsFailed(f"{self.where} closed the connection during the TLS handshake")
        self._transport = secure
        self.check_certificate()
        self.secured_by = "STARTTLS"

    def check_certificate(self) -> None:
        """Raise TlsFailed unless the certificate is the one that the endpoint's fingerprint names, if it names one."""
        ssl_object: ssl.SSLObject = self._connected().get_extra_info("ssl_object")
        check_fingerprint(self.endpoint.trust, ssl_object.getpeercert(binary_form=True))
        cipher = ssl_object.cipher()
        self.transcript.note(f"{ssl_object.version()} {cipher[0] if cipher else ''}")

    def _connected(self) -> asyncio.Transport:
        if self._transport is None:
            raise ConnectionResetError(f"{self.where} closed the connection")
        return self._transport

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Close, and wait until the socket is gone."""
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(LONGEST_CLOSE_S):
                await self._closed.wait()
        except TimeoutError:
            self._transport.abort()


async def open_stream(
    endpoint: Endpoint, network: Network, stages: Stages, transcript: Transcript, *, tls: bool
) -> Stream:
    """A connected stream, with TLS from the first byte where `tls`; stages `resolve`, `connect`, `tls`.

    Raises Unresolved, Unreachable, TlsFailed, TlsNotOffered.
    """
    context = network.contexts.for_trust(endpoint.trust) if tls else None
    sock = await open_socket(endpoint, network, stages, transcript)
    stream = Stream(endpoint, network, transcript)
    stream.host = peer(endpoint, sock)
    transcript.note(f"connected to {stream.host}")
    loop = asyncio.get_running_loop()
    if context is None:
        await loop.create_connection(lambda: stream, sock=sock)
        return stream
    transcript.doing = f"the TLS handshake with {stream.host}"
    with stages.of("tls"):
        try:
            await loop.create_connection(
                lambda: stream,
                sock=sock,
                ssl=context,
                server_hostname=endpoint.host,
                ssl_handshake_timeout=LONGEST_HANDSHAKE_S,
            )
            stream.check_certificate()
            stream.secured_by = "TLS"
        except OSError as error:
            stream.abort()
            raise tls_failure(error, stream.where) from error
        except BaseException:
            stream.abort()
            raise
    return stream
