"""From an endpoint to a connection: addresses, and the five security modes against every kind of server."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import pytest
import trustme

from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import ProtocolError, TimedOut, TlsFailed, TripError, Unreachable, Unresolved
from mailtrip_checks.secrets import Masker
from mailtrip_checks.trips import Endpoint, Family, Protocol, Security, Trust
from mailtrip_checks.wire.connect import Network, StarttlsRefused, open_socket, peer, secured
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.stream import Stream, open_stream
from mailtrip_checks.wire.tls import TlsNotOffered
from mailtrip_checks.wire.transcript import Stages, Transcript
from tests.checks.manual_clock import ManualClock

ENDPOINT = Endpoint("in", Protocol.IMAP, "127.0.0.1", 1, Security.NONE)


class Server(Enum):
    PLAIN = "no TLS"
    STARTTLS = "STARTTLS only"
    REFUSING = "STARTTLS offered and refused"
    IMPLICIT = "implicit TLS only"
    BAD_STARTTLS = "STARTTLS with a certificate that nobody trusts"
    BAD_IMPLICIT = "implicit TLS with a certificate that nobody trusts"


IS_IMPLICIT = (Server.IMPLICIT, Server.BAD_IMPLICIT)
OFFERS_STARTTLS = (Server.STARTTLS, Server.REFUSING, Server.BAD_STARTTLS)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trust, ssl.SSLContext, ssl.SSLContext]:
    """Whom to trust, and a server's context that is trusted, and one that is not."""
    known, unknown = trustme.CA(), trustme.CA()
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    known.cert_pem.write_to_path(str(path))
    made: list[ssl.SSLContext] = []
    for authority in (known, unknown):
        made.append(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(made[-1])
    return Trust(ca=path), made[0], made[1]


class TinyServer:
    """A protocol of two questions: OFFERS and STARTTLS."""

    def __init__(self, kind: Server, context: ssl.SSLContext) -> None:
        self.kind = kind
        self.context = context
        self.connections: list[asyncio.Task[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.append(task)
        with suppress(OSError):
            if self.kind in IS_IMPLICIT:
                await writer.start_tls(self.context)
            writer.write(b"hello\n")
            while question := await reader.readline():
                await self.answer(question, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def answer(self, question: bytes, writer: asyncio.StreamWriter) -> None:
        if question == b"OFFERS\n":
            writer.write(b"yes\n" if self.kind in OFFERS_STARTTLS else b"no\n")
        elif question == b"STARTTLS\n":
            writer.write(b"no\n" if self.kind is Server.REFUSING else b"yes\n")
            if self.kind is not Server.REFUSING:
                await writer.start_tls(self.context)


@asynccontextmanager
async def serving(
    kind: Server, contexts: tuple[Trust, ssl.SSLContext, ssl.SSLContext]
) -> AsyncIterator[tuple[Endpoint, TinyServer]]:
    trust, good, bad = contexts
    tiny = TinyServer(kind, bad if kind in (Server.BAD_STARTTLS, Server.BAD_IMPLICIT) else good)
    server = await asyncio.start_server(tiny.serve, "127.0.0.1", 0)
    try:
        yield replace(ENDPOINT, port=server.sockets[0].getsockname()[1], trust=trust), tiny
    finally:
        server.close()
        if tiny.connections:
            await asyncio.wait(tiny.connections, timeout=5)


@dataclass
class TinySession:
    stream: Stream

    async def ask(self, question: str) -> str:
        self.stream.write(f"{question}\n".encode())
        return (await self.stream.read()).data.decode().strip()

    async def offers_starttls(self) -> bool:
        return await self.ask("OFFERS") == "yes"

    async def starttls(self) -> None:
        if (reply := await self.ask("STARTTLS")) != "yes":
            raise StarttlsRefused("refused", reply=reply)
        await self.stream.start_tls()

    async def close(self) -> None:
        await self.stream.close()


async def connect(endpoint: Endpoint, clock: ManualClock, warnings: list[str]) -> bool:
    """Connect by the endpoint's mode; whether the connection is encrypted, and works."""
    network = Network(clock)

    async def dial(tls: bool) -> TinySession:
        stages = Stages(clock, Leg.MAILBOX)
        stream = await open_stream(endpoint, network, stages, Transcript(clock, Leg.MAILBOX, Masker()), tls=tls)
        try:
            async with within(clock, 30, "the greeting"):
                assert (await stream.read()).data == b"hello\n"
        except TripError:
            await stream.close()
            raise
        return TinySession(stream)

    session = await secured(endpoint, dial, warnings.append)
    secure = session.stream.secure
    assert await session.ask("OFFERS") in ("yes", "no")
    await session.close()
    return secure


PLAIN, SECURE, HANGS = "plain", "secure", TimedOut
NONE, STARTTLS, TLS = Security.NONE, Security.STARTTLS, Security.TLS
STARTTLS_IF, TLS_IF = Security.STARTTLS_IF_AVAILABLE, Security.TLS_IF_AVAILABLE

MODES: dict[Server, dict[Security, str | type[TripError]]] = {
    Server.PLAIN: {
        NONE: PLAIN, STARTTLS_IF: "offer STARTTLS", TLS_IF: "offers no TLS", STARTTLS: TlsNotOffered, TLS: TlsNotOffered
    },
    Server.STARTTLS: {
        NONE: PLAIN, STARTTLS_IF: SECURE, TLS_IF: "offers no TLS", STARTTLS: SECURE, TLS: TlsNotOffered
    },
    Server.REFUSING: {
        NONE: PLAIN, STARTTLS_IF: "refused STARTTLS", TLS_IF: "offers no TLS", STARTTLS: StarttlsRefused,
        TLS: TlsNotOffered,
    },
    Server.IMPLICIT: {NONE: HANGS, STARTTLS_IF: HANGS, TLS_IF: SECURE, STARTTLS: HANGS, TLS: SECURE},
    Server.BAD_STARTTLS: {
        NONE: PLAIN, STARTTLS_IF: TlsFailed, TLS_IF: "offers no TLS", STARTTLS: TlsFailed, TLS: TlsNotOffered
    },
    Server.BAD_IMPLICIT: {NONE: HANGS, STARTTLS_IF: HANGS, TLS_IF: TlsFailed, STARTTLS: HANGS, TLS: TlsFailed},
}  # fmt: skip


@pytest.mark.parametrize("server", Server)
@pytest.mark.parametrize("security", Security)
@pytest.mark.asyncio
async def test_a_mode_falls_back_only_where_no_tls_is_offered_and_says_so(
    server: Server, security: Security, contexts: tuple[Trust, ssl.SSLContext, ssl.SSLContext]
) -> None:
    expected = MODES[server][security]
    clock, warnings = ManualClock(), list[str]()
    async with serving(server, contexts) as (endpoint, _), asyncio.timeout(10):
        connecting = asyncio.create_task(connect(replace(endpoint, security=security), clock, warnings))
        if expected is HANGS:
            await clock.until_waiting()
            await clock.advance(30)
        if isinstance(expected, type):
            with pytest.raises(TripError) as caught:
                await connecting
            assert type(caught.value) is expected
            assert warnings == []
            return
        assert await connecting is (expected == SECURE)
        if expected in (PLAIN, SECURE):
            assert warnings == []
        else:
            [warning] = warnings
            assert expected in warning
            assert warning.startswith(f"127.0.0.1:{endpoint.port} ")
            assert warning.endswith("the connection is not encrypted")


@pytest.mark.asyncio
async def test_a_refused_starttls_falls_back_to_a_new_connection(
    contexts: tuple[Trust, ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with serving(Server.REFUSING, contexts) as (endpoint, tiny):
        await connect(replace(endpoint, security=Security.STARTTLS_IF_AVAILABLE), ManualClock(), [])
        assert len(tiny.connections) == 2


# The same choice, on a session that does as it is told.


class Scripted:
    """A session that was opened, and whether it is closed."""

    def __init__(self, tls: bool, offers: bool | Exception, starttls: BaseException | None) -> None:
        self.tls = tls
        self.offers = offers
        self.fails_with = starttls
        self.is_closed = False

    async def offers_starttls(self) -> bool:
        if isinstance(self.offers, Exception):
            raise self.offers
        return self.offers

    async def starttls(self) -> None:
        if self.fails_with:
            raise self.fails_with
        self.tls = True

    async def close(self) -> None:
        self.is_closed = True


async def scripted(
    security: Security,
    *,
    offers: bool | Exception = True,
    starttls: BaseException | None = None,
    dialling: Callable[[bool], None] = lambda _: None,
) -> tuple[list[Scripted], list[str], Scripted | BaseException]:
    """The sessions that were opened, the warnings, and the end."""
    opened: list[Scripted] = []
    warnings: list[str] = []

    async def dial(tls: bool) -> Scripted:
        dialling(tls)
        opened.append(Scripted(tls, offers, starttls))
        return opened[-1]

    try:
        end = await secured(replace(ENDPOINT, security=security), dial, warnings.append)
    except BaseException as error:
        return opened, warnings, error
    return opened, warnings, end


ANY_STARTTLS = pytest.mark.parametrize("security", [Security.STARTTLS, Security.STARTTLS_IF_AVAILABLE])


@ANY_STARTTLS
@pytest.mark.parametrize(
    "failure",
    [TlsFailed("bad certificate"), ProtocolError("gone"), asyncio.CancelledError(), KeyError("ours")],
    ids=repr,
)
@pytest.mark.asyncio
async def test_a_session_whose_starttls_fails_is_closed_and_never_used_in_plain(
    security: Security, failure: BaseException
) -> None:
    [session], warnings, end = await scripted(security, starttls=failure)
    assert end is failure
    assert session.is_closed
    assert warnings == []


@ANY_STARTTLS
@pytest.mark.asyncio
async def test_a_session_that_cannot_say_what_it_offers_is_closed(security: Security) -> None:
    [session], warnings, end = await scripted(security, offers=ProtocolError("gone"))
    assert isinstance(end, ProtocolError)
    assert session.is_closed
    assert warnings == []


@pytest.mark.asyncio
async def test_a_refusal_is_told_with_the_servers_words_and_its_session_closed() -> None:
    refused = StarttlsRefused("no", reply="454 not now")
    opened, [warning], end = await scripted(Security.STARTTLS_IF_AVAILABLE, starttls=refused)
    assert "(454 not now)" in warning
    assert [session.is_closed for session in opened] == [True, False]
    assert end is opened[1]
    [session], warnings, end = await scripted(Security.STARTTLS, starttls=refused)
    assert end is refused
    assert session.is_closed
    assert warnings == []


@pytest.mark.asyncio
async def test_where_starttls_is_required_and_not_offered_the_session_is_closed() -> None:
    [session], _, end = await scripted(Security.STARTTLS, offers=False)
    assert isinstance(end, TlsNotOffered)
    assert session.is_closed


@pytest.mark.parametrize("failure", [TlsFailed("bad certificate"), Unreachable("gone"), TimedOut("too long")], ids=repr)
@pytest.mark.asyncio
async def test_a_failure_that_is_no_missing_tls_is_no_reason_to_go_on_in_plain(failure: TripError) -> None:
    asked: list[bool] = []

    def dialling(tls: bool) -> None:
        asked.append(tls)
        raise failure

    _, warnings, end = await scripted(Security.TLS_IF_AVAILABLE, dialling=dialling)
    assert end is failure
    assert asked == [True]
    assert warnings == []


# Addresses and sockets.


def recorders(clock: ManualClock) -> tuple[Stages, Transcript]:
    return Stages(clock, Leg.SMTP), Transcript(clock, Leg.SMTP, Masker())


async def opened(endpoint: Endpoint) -> tuple[socket.socket, Stages, Transcript]:
    stages, transcript = recorders(ManualClock())
    return await open_socket(endpoint, Network(ManualClock()), stages, transcript), stages, transcript


def listening(family: socket.AddressFamily, address: str) -> socket.socket:
    listener = socket.socket(family)
    listener.bind((address, 0))
    listener.listen()
    return listener


@pytest.mark.parametrize(
    ("family", "address", "wanted"),
    [
        (socket.AF_INET, "127.0.0.1", Family.IPV4),
        (socket.AF_INET, "127.0.0.1", Family.ANY),
        (socket.AF_INET6, "::1", Family.IPV6),
        (socket.AF_INET6, "::1", Family.ANY),
    ],
)
@pytest.mark.asyncio
async def test_a_server_on_either_family_is_reached_in_two_stages(
    family: socket.AddressFamily, address: str, wanted: Family
) -> None:
    with listening(family, address) as listener:
        endpoint = replace(ENDPOINT, host=address, port=listener.getsockname()[1], family=wanted)
        sock, stages, _ = await opened(endpoint)
        with sock:
            assert not sock.getblocking()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert peer(endpoint, sock) == f"{address}:{endpoint.port} [{address}]"
    assert [stage.name for stage in stages.taken] == ["resolve", "connect"]


def free_port() -> int:
    with listening(socket.AF_INET, "127.0.0.1") as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.asyncio
async def test_a_port_that_refuses_is_unreachable_and_the_stage_is_told() -> None:
    endpoint = replace(ENDPOINT, port=free_port())
    with pytest.raises(Unreachable) as caught:
        await opened(endpoint)
    assert caught.value.what == f"127.0.0.1:{endpoint.port} cannot be reached (127.0.0.1: connection refused)"
    assert (caught.value.leg, caught.value.stage) == (Leg.SMTP, "connect")


@pytest.mark.parametrize(
    "host",
    ["no-such-host.invalid", ".example.org", "a..b", "x" * 64 + ".example.org", "nul\0.invalid", "exämple.invalid"],
)
@pytest.mark.asyncio
async def test_a_name_without_an_address_is_unresolved(host: str) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(Unresolved) as caught:
            await opened(replace(ENDPOINT, host=host))
    assert caught.value.what.startswith(f"no address for {host}: ")
    assert (caught.value.leg, caught.value.stage) == (Leg.SMTP, "resolve")


@pytest.mark.asyncio
async def test_a_name_without_an_address_of_the_family_says_which() -> None:
    with pytest.raises(Unresolved, match=r"no ipv6 address for 127\.0\.0\.1: "):
        await opened(replace(ENDPOINT, family=Family.IPV6))


@pytest.mark.asyncio
async def test_each_address_of_a_name_is_tried_and_those_that_fail_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(socket.AF_INET, "127.0.0.1") as listener:
        port = listener.getsockname()[1]
        refusing = free_port()

        def resolve(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
            found = [
                (socket.AF_INET, "127.0.0.1", refusing),
                (99_999, "nowhere", port),
                (socket.AF_INET, "127.0.0.1", port),
            ]
            return [(family, socket.SOCK_STREAM, 0, "", (address, port)) for family, address, port in found]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        sock, _, transcript = await opened(replace(ENDPOINT, host="many.example.org"))
        sock.close()
    notes = [line.text for line in transcript.since(0).lines()]
    assert notes == [f"127.0.0.1 port {refusing}: connection refused", notes[1]]
    assert notes[1] == f"nowhere port {port}: address family not supported by protocol"


@pytest.mark.asyncio
async def test_a_caller_may_bring_its_own_kind_of_socket() -> None:
    class Own(socket.socket):
        pass

    with listening(socket.AF_INET, "127.0.0.1") as listener:
        stages, transcript = recorders(ManualClock())
        endpoint = replace(ENDPOINT, port=listener.getsockname()[1])
        with await open_socket(endpoint, Network(ManualClock()), stages, transcript, Own) as sock:
            assert isinstance(sock, Own)


@pytest.mark.asyncio
async def test_cancelling_a_connection_that_hangs_closes_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []
    hangs = asyncio.Event()

    def make(family: int, kind: int, protocol: int) -> socket.socket:
        made.append(socket.socket(family, kind, protocol))
        return made[-1]

    async def hang(*_: object) -> None:
        hangs.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", hang)
    stages, transcript = recorders(ManualClock())
    connecting = asyncio.create_task(open_socket(ENDPOINT, Network(ManualClock()), stages, transcript, make))
    await hangs.wait()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert made[0].fileno() == -1
    assert [stage.name for stage in stages.taken] == ["resolve", "connect"]


def test_a_socket_that_is_gone_has_no_address_to_show() -> None:
    sock = socket.socket()
    sock.close()
    assert [peer(ENDPOINT, gone) for gone in (sock, None)] == ["127.0.0.1:1", "127.0.0.1:1"]


@pytest.mark.asyncio
async def test_an_authority_that_cannot_be_read_is_told_before_anybody_is_called(tmp_path: Path) -> None:
    endpoint = replace(ENDPOINT, port=free_port(), trust=Trust(ca=tmp_path / "ca.pem"))
    with pytest.raises(TlsFailed, match="cannot be used"):
        await open_stream(endpoint, Network(ManualClock()), *recorders(ManualClock()), tls=True)
