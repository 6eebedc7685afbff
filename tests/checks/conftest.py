"""A mail server that plays a written dialogue, and certificates for it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

Play = Callable[..., AbstractAsyncContextManager[int]]
"""`play(script, script…, piece=None, tls=False)` serves one connection a script and yields the port.

A script is a text: `S: line` is said by the server, `C: line` is what the client must say (`C: *` is any line),
`S> text` is sent as it stands, `\\r` and `\\n` written out, `TLS` is a handshake, `CLOSE` the end of the connection; at
the end of the script the server stays silent until the client is gone, whatever happened. `piece` cuts
what the server says into so many bytes. Leaving asserts that each script was played to its end.
"""


class _Player:
    def __init__(self, scripts: tuple[str, ...], piece: int | None, context: ssl.SSLContext) -> None:
        self.waiting = list(scripts)
        self.piece = piece
        self.context = context
        self.wrong: list[str] = []
        self.connections: list[asyncio.Task[None]] = []

    @property
    def playing(self) -> bool:
        return not all(task.done() for task in self.connections)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.append(task)
        try:
            if not self.waiting:
                self.wrong.append("a connection that no script waits for")
                return
            for line in filter(str.strip, self.waiting.pop(0).splitlines()):
                await self.step(line.lstrip(), reader, writer)
            if rest := (await reader.read()).decode():
                self.wrong.append(f"the script is over, but the client said {rest!r}")
        except OSError:
            pass  # the client dropped the connection, or refused our certificate
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def step(self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match line[:2]:
            case "S:":
                await self.say(line[3:].encode() + b"\r\n", writer)
            case "S>":
                await self.say(line[3:].encode().decode("unicode_escape").encode("latin-1"), writer)
            case "C:":
                said = (await reader.readline()).decode().removesuffix("\r\n")
                if line[3:] not in (said, "*"):
                    self.wrong.append(f"the client said {said!r}, not {line[3:]!r}")
            case "TL":
                await writer.start_tls(self.context)
            case "CL":
                writer.close()
            case _:
                self.wrong.append(f"what is {line!r}?")

    async def say(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        step = self.piece or len(data)
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            await asyncio.sleep(0)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A private authority: its certificate's file, and a server context for localhost."""
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return path, context


@pytest.fixture
def play(authority: tuple[Path, ssl.SSLContext]) -> Play:
    @asynccontextmanager
    async def playing(*scripts: str, piece: int | None = None, tls: bool = False) -> AsyncIterator[int]:
        player = _Player(scripts, piece, authority[1])
        context = authority[1] if tls else None
        server = await asyncio.start_server(player.serve, "127.0.0.1", 0, ssl=context)
        try:
            port: int = server.sockets[0].getsockname()[1]
            yield port
            # A client that soon gives up is gone before its connection is accepted here.
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    while player.waiting or player.playing:
                        await asyncio.sleep(0.001)
            if player.playing:
                player.wrong.append("after 5 s the client still has a connection open")
        finally:
            server.close()
            for task in player.connections:
                task.cancel()
            await asyncio.gather(*player.connections, return_exceptions=True)
        assert player.wrong == []
        assert player.waiting == [], "the client opened too few connections"

    return playing
