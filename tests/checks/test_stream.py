"""A stream stamps what comes when it comes, holds no more than it must, and turns to TLS only where that is safe."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import TimedOut, TlsFailed
from mailtrip_checks.outcome import Direction
from mailtrip_checks.secrets import Masker
from mailtrip_checks.trips import Endpoint, Protocol, Security, Trust
from mailtrip_checks.wire import stream as stream_module
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.stream import Stream, open_stream
from mailtrip_checks.wire.tls import TlsNotOffered
from mailtrip_checks.wire.transcript import Stages, Transcript
from tests.checks.manual_clock import ManualClock

Authority = tuple[Path, ssl.SSLContext]
Play = Callable[..., AbstractAsyncContextManager[int]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ENDPOINT = Endpoint("in", Protocol.IMAP, "127.0.0.1", 1, Security.NONE)
MANY = bytes(range(256)) * 80_000  # 20 MB: more than all buffers on the way hold
PIECES = [MANY[start : start + 65_536] for start in range(0, len(MANY), 65_536)]


class Opening:
    """Opens streams to one port, and keeps what they record."""

    def __init__(self, port: int, trust: Trust | None = None, host: str = "127.0.0.1") -> None:
        self.clock = ManualClock()
        self.endpoint = replace(ENDPOINT, port=port, trust=trust or Trust(), host=host)
        self.stages = Stages(self.clock, Leg.MAILBOX)
        self.transcript = Transcript(self.clock, Leg.MAILBOX, Masker())

    async def stream(self, *, tls: bool = False) -> Stream:
        return await open_stream(self.endpoint, Network(self.clock), self.stages, self.transcript, tls=tls)

    @property
    def notes(self) -> list[str]:
        return [line.text for line in self.transcript.since(0).lines() if line.direction is Direction.NOTE]


@asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve each connection, and see to its end."""
    connections: list[asyncio.Task[None]] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.append(task)
        with suppress(OSError):
            await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if connections:
            await asyncio.wait(connections, timeout=5)


async def read_all(stream: Stream) -> bytes:
    data = bytearray()
    while chunk := (await stream.read()).data:
        data += chunk
    return bytes(data)


async def write_pieces(stream: Stream) -> None:
    for piece in PIECES:
        stream.write(piece, "")
        await stream.drain()


# Reading and writing.


@pytest.mark.asyncio
async def test_what_is_said_comes_through_and_is_recorded(play: Play) -> None:
    async with play("S: hello\nC: LOGIN secret\nC: NOOP\nS: bye\nCLOSE") as port:
        opening = Opening(port)
        stream = await opening.stream()
        assert (await stream.read()).data == b"hello\r\n"
        stream.write(b"LOGIN secret\r\n", "LOGIN ***")
        stream.write(b"NO", "")
        stream.write(b"OP\r\n")
        assert await read_all(stream) == b"bye\r\n"
        await stream.close()
    host = f"127.0.0.1:{port} [127.0.0.1]"
    assert (stream.where, stream.host) == (f"127.0.0.1:{port}", host)
    shown = [f"{line.direction} {line.text}" for line in opening.transcript.since(0).lines()]
    assert shown == [f"* connected to {host}", "> LOGIN ***", "> OP"]
    assert [stage.name for stage in opening.stages.taken] == ["resolve", "connect"]
    assert not stream.secure


@pytest.mark.asyncio
async def test_bytes_that_are_no_text_are_sent_as_they_are_and_shown_escaped() -> None:
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        received.append(await reader.read())

    async with serving(serve) as port:
        opening = Opening(port)
        stream = await opening.stream()
        stream.write("é ".encode() + b"\xe9\r\n")
        await stream.close()
    assert received == ["é ".encode() + b"\xe9\r\n"]
    assert opening.transcript.since(0).lines()[-1].text == "é \\xe9"


@pytest.mark.asyncio
async def test_a_chunk_bears_the_instant_at_which_it_came_and_not_that_of_its_reading() -> None:
    speak = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for word in (b"one", b"two"):
            await speak.wait()
            speak.clear()
            writer.write(word)
        await reader.read()

    async with serving(serve) as port, asyncio.timeout(5):
        opening = Opening(port)
        stream = await opening.stream()
        speak.set()
        while not stream.pending:
            await asyncio.sleep(0)
        await opening.clock.advance(60)
        assert await stream.read() == (b"one", 1_000.0)
        reading = asyncio.create_task(stream.read())
        await opening.clock.advance(60)
        speak.set()
        assert await reading == (b"two", 1_120.0)
        assert not stream.pending
        await stream.close()


@pytest.mark.parametrize("ending", [asyncio.WriteTransport.close, asyncio.WriteTransport.abort], ids=["close", "reset"])
@pytest.mark.asyncio
async def test_the_end_of_the_stream_comes_after_all_that_was_said_and_stays(
    ending: Callable[[asyncio.WriteTransport], None],
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"last words")
        await reader.readline()
        ending(writer.transport)

    async with serving(serve) as port, asyncio.timeout(5):
        stream = await Opening(port).stream()
        assert (await stream.read()).data == b"last words"
        stream.write(b"bye\n")
        for _ in range(3):
            assert (await stream.read()).data == b""
        stream.write(b"too late")
        await stream.drain()
        await stream.close()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.asyncio
async def test_a_reader_that_is_slow_holds_the_sender_back_and_loses_nothing(tls: bool, authority: Authority) -> None:
    written = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in PIECES:
            writer.write(piece)
            await writer.drain()
        written.set()

    async with serving(serve, authority[1] if tls else None) as port, asyncio.timeout(20):
        opening = Opening(port, Trust(ca=authority[0]))
        stream = await opening.stream(tls=tls)
        begun = (await stream.read()).data
        for _ in range(2_000):
            await asyncio.sleep(0)
        assert not written.is_set()
        assert begun + await read_all(stream) == MANY
        assert written.is_set()
        await stream.close()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.asyncio
async def test_a_server_that_is_slow_holds_the_writer_back_and_gets_all(tls: bool, authority: Authority) -> None:
    listen = asyncio.Event()
    received = bytearray()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await listen.wait()
        while data := await reader.read(1_000_000):
            received.extend(data)

    async with serving(serve, authority[1] if tls else None) as port, asyncio.timeout(20):
        stream = await Opening(port, Trust(ca=authority[0])).stream(tls=tls)
        writing = asyncio.create_task(write_pieces(stream))
        for _ in range(2_000):
            await asyncio.sleep(0)
        assert not writing.done()
        listen.set()
        await writing
        await stream.close()
    assert received == MANY


@pytest.mark.asyncio
async def test_a_writer_that_is_held_back_is_let_go_when_the_connection_is_lost() -> None:
    leave = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await leave.wait()
        writer.transport.abort()

    async with serving(serve) as port, asyncio.timeout(5):
        stream = await Opening(port).stream()
        stream.write(MANY, "")
        draining = asyncio.create_task(stream.drain())
        await asyncio.sleep(0)
        leave.set()
        await draining
        assert (await stream.read()).data == b""
        await stream.close()


@pytest.mark.asyncio
async def test_a_stream_that_never_connected_can_be_closed_but_not_used() -> None:
    opening = Opening(1)
    stream = Stream(opening.endpoint, Network(opening.clock), opening.transcript)
    assert not stream.secure
    stream.abort()
    await stream.close()
    with pytest.raises(ConnectionResetError, match=r"127\.0\.0\.1:1 closed the connection"):
        stream.write(b"hello")


# TLS from the first byte.


@pytest.mark.asyncio
async def test_implicit_tls_is_a_stage_and_the_transcript_tells_its_version(play: Play, authority: Authority) -> None:
    async with play("S: hello", tls=True) as port:
        opening = Opening(port, Trust(ca=authority[0]))
        stream = await opening.stream(tls=True)
        assert stream.secure
        assert (await stream.read()).data == b"hello\r\n"
        await stream.close()
    assert [stage.name for stage in opening.stages.taken] == ["resolve", "connect", "tls"]
    assert opening.notes[1].startswith("TLSv1.3 TLS_")


async def fingerprint_at(port: int) -> str:
    certificate = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
    return sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()


async def until_left(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.asyncio
async def test_the_certificate_that_a_fingerprint_names_is_good_and_no_other(authority: Authority) -> None:
    async with serving(until_left, authority[1]) as port:
        fingerprint = await fingerprint_at(port)
        stream = await Opening(port, Trust(fingerprint=fingerprint)).stream(tls=True)
        assert stream.secure
        await stream.close()
        wrong = Opening(port, Trust(fingerprint="0" * 64))
        with pytest.raises(TlsFailed, match=f"sha256:{fingerprint}, not sha256:0000") as caught:
            await wrong.stream(tls=True)
    assert caught.value.stage == "tls"


@pytest.mark.asyncio
async def test_an_untrusted_certificate_fails_and_is_taken_where_that_was_asked_for(authority: Authority) -> None:
    async with serving(until_left, authority[1]) as port:
        with pytest.raises(TlsFailed, match=f"the certificate of 127.0.0.1:{port} is not trusted: unable to get"):
            await Opening(port).stream(tls=True)
        stream = await Opening(port, Trust(verify=False)).stream(tls=True)
        assert stream.secure
        await stream.close()


@pytest.mark.asyncio
async def test_a_certificate_for_another_name_fails(authority: Authority) -> None:
    async with serving(until_left, authority[1]) as port:
        opening = Opening(port, Trust(ca=authority[0]), host="127.1")  # another spelling of the same address
        with pytest.raises(TlsFailed, match=r"is not trusted: .*mismatch"):
            await opening.stream(tls=True)


HELLO_BYTES = 100  # of a client's first flight, which is longer


async def plain_text(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"* OK hello\r\n")
    await reader.read()


async def short_plain_text(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"+OK\r\n")
    await reader.read()


async def error_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(HELLO_BYTES)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


async def closing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.readexactly(HELLO_BYTES)


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(HELLO_BYTES)
    writer.transport.abort()


async def alerting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(HELLO_BYTES)
    writer.write(bytes.fromhex("15 0303 0002 02 28"))  # fatal, handshake_failure
    await writer.drain()
    await reader.read()


@pytest.mark.parametrize("serve", [plain_text, short_plain_text, error_page])
@pytest.mark.asyncio
async def test_plain_text_in_answer_to_a_hello_means_that_tls_is_not_offered(serve: Serve) -> None:
    async with serving(serve) as port:
        with pytest.raises(TlsNotOffered, match=f"127.0.0.1:{port} does not speak TLS on this port"):
            await Opening(port).stream(tls=True)


@pytest.mark.parametrize("is_starttls", [False, True], ids=["implicit", "STARTTLS"])
@pytest.mark.parametrize(
    ("serve", "what"),
    [
        (closing, "closed the connection during the TLS handshake"),
        (resetting, "closed the connection during the TLS handshake"),
        (alerting, "the TLS handshake with .* failed: .*HANDSHAKE_FAILURE"),
    ],
)
@pytest.mark.asyncio
async def test_a_handshake_that_the_server_breaks_off_has_failed(serve: Serve, what: str, is_starttls: bool) -> None:
    async with serving(serve) as port, asyncio.timeout(5):
        opening = Opening(port)
        stream = await opening.stream() if is_starttls else None
        with pytest.raises(TlsFailed, match=what) as caught:
            await (stream.start_tls() if stream else opening.stream(tls=True))
        assert type(caught.value) is TlsFailed
        if stream:
            await stream.close()


@pytest.mark.asyncio
async def test_a_handshake_that_hangs_ends_with_its_deadline_and_leaves_no_socket() -> None:
    async with serving(until_left) as port, asyncio.timeout(5):
        opening = Opening(port)

        async def connect() -> None:
            async with within(opening.clock, 30, "the mailbox leg"):
                await opening.stream(tls=True)

        connecting = asyncio.create_task(connect())
        await opening.clock.until_waiting()
        while not opening.notes:
            await asyncio.sleep(0)
        await opening.clock.advance(30)
        with pytest.raises(TimedOut):
            await connecting


@pytest.mark.asyncio
async def test_a_peer_that_takes_nothing_any_more_is_left_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "LONGEST_CLOSE_S", 0.01)
    leave = asyncio.Event()

    async def serve(*_: object) -> None:
        await leave.wait()

    async with serving(serve) as port, asyncio.timeout(5):
        stream = await Opening(port).stream()
        stream.write(MANY, "")
        await stream.close()
        leave.set()
        assert (await stream.read()).data == b""


# STARTTLS.


@pytest.mark.asyncio
async def test_starttls_turns_the_connection_and_what_follows_is_encrypted(play: Play, authority: Authority) -> None:
    async with play("C: STARTTLS\nS: go\nTLS\nS: hello\nC: LOGIN") as port:
        opening = Opening(port, Trust(ca=authority[0]))
        stream = await opening.stream()
        stream.write(b"STARTTLS\r\n")
        assert (await stream.read()).data == b"go\r\n"
        assert not stream.secure
        await stream.start_tls()
        assert stream.secure
        assert (await stream.read()).data == b"hello\r\n"
        stream.write(b"LOGIN\r\n")
        await stream.close()
    assert opening.notes[1].startswith("TLSv1.3 TLS_")


@pytest.mark.asyncio
async def test_plaintext_behind_the_answer_to_starttls_is_an_attack() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"injected\r\n")
        await reader.read()

    async with serving(serve) as port, asyncio.timeout(5):
        stream = await Opening(port).stream()
        while not stream.pending:
            await asyncio.sleep(0)
        with pytest.raises(TlsFailed, match="may have injected it"):
            await stream.start_tls()
        assert not stream.secure
        await stream.close()


@pytest.mark.asyncio
async def test_plaintext_in_the_middle_of_the_handshake_fails_it() -> None:
    async with serving(error_page) as port, asyncio.timeout(5):
        stream = await Opening(port).stream()
        with pytest.raises(TlsFailed):
            await stream.start_tls()
        assert (await read_all(stream)) == b""
        await stream.close()


@pytest.mark.parametrize(
    ("trust", "what"), [(Trust(), "is not trusted"), (Trust(fingerprint="0" * 64), "has the fingerprint")]
)
@pytest.mark.asyncio
async def test_a_bad_certificate_fails_starttls_too(play: Play, trust: Trust, what: str) -> None:
    async with play("TLS") as port, asyncio.timeout(5):
        stream = await Opening(port, trust).stream()
        with pytest.raises(TlsFailed, match=what):
            await stream.start_tls()
        await stream.close()


@pytest.mark.asyncio
async def test_an_authority_that_cannot_be_read_fails_starttls_and_the_connection_can_be_closed(tmp_path: Path) -> None:
    async with serving(until_left) as port, asyncio.timeout(5):
        stream = await Opening(port, Trust(ca=tmp_path / "ca.pem")).stream()
        with pytest.raises(TlsFailed, match="cannot be used"):
            await stream.start_tls()
        await stream.close()
