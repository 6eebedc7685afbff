"""Where access tokens come from, how long they are kept, and what is told where none comes."""

import asyncio
import base64
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from mailtrip_checks import token_command, token_endpoint
from mailtrip_checks.clock import SystemClock
from mailtrip_checks.ends import End
from mailtrip_checks.errors import TimedOut, TokenFailed
from mailtrip_checks.jwt import Claims, claims
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.tokens import Tokens
from mailtrip_checks.trips import FixedToken, TokenCommand, TokenEndpoint

pytestmark = pytest.mark.asyncio

Answer = tuple[int, object]


class Clock(SystemClock):
    """The machine's, moved on by `later_s`."""

    later_s = 0.0

    def now(self) -> float:
        return super().now() + self.later_s

    def wall(self) -> float:
        return super().wall() + self.later_s

    def timeout_at(self, instant_s: float) -> asyncio.Timeout:
        return asyncio.timeout_at(instant_s - self.later_s)


@dataclass
class Endpoint:
    """A token endpoint on loopback: each request takes the next answer, the last one again and again."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
            served.asked.append(dict(parse_qsl(asked)))
            status, said = served.answers.pop(0) if len(served.answers) > 1 else served.answers[0]
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Endpoint(f"http://127.0.0.1:{server.server_port}/token")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


class World:
    """Tokens with what they need."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.masker = Masker()
        self.tokens = Tokens()

    async def get(self, source: FixedToken | TokenCommand | TokenEndpoint) -> str:
        async with asyncio.timeout(20):
            return (await self.tokens.get(source, self.clock, self.masker)).reveal()

    async def failure(self, source: FixedToken | TokenCommand | TokenEndpoint) -> TokenFailed:
        with pytest.raises(TokenFailed) as caught:
            await self.get(source)
        assert caught.value.end is End.LOGIN_FAILED
        return caught.value


@pytest.fixture
def world() -> World:
    return World()


def jwt(**payload: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{part}.c2lnbmF0dXJl"


def python(folder: Path, program: str) -> TokenCommand:
    return TokenCommand((sys.executable, "-c", program), folder)


def refreshing(endpoint: Endpoint) -> TokenEndpoint:
    return TokenEndpoint(endpoint.url, "the client", Secret("client secret"), Secret("refresh me"), "mail offline")


async def test_a_fixed_token_is_given_and_hidden(world: World) -> None:
    assert await world.get(FixedToken(Secret("fixed-token"))) == "fixed-token"
    assert world.masker.mask("a fixed-token") == "a ***"


# The token endpoint.


async def test_a_refresh_token_is_exchanged_for_a_token(world: World, endpoint: Endpoint) -> None:
    endpoint.answers = [(200, {"access_token": "granted-1", "token_type": "Bearer", "expires_in": 3600})]
    assert await world.get(refreshing(endpoint)) == "granted-1"
    form = {"grant_type": "refresh_token", "refresh_token": "refresh me", "client_id": "the client"}
    assert endpoint.asked == [{**form, "client_secret": "client secret", "scope": "mail offline"}]


async def test_without_a_refresh_token_the_client_asks_for_itself(world: World, endpoint: Endpoint) -> None:
    endpoint.answers = [(200, {"access_token": "granted-1"})]
    assert await world.get(TokenEndpoint(endpoint.url, "id", Secret("client secret"))) == "granted-1"
    assert endpoint.asked == [{"grant_type": "client_credentials", "client_id": "id", "client_secret": "client secret"}]


async def test_a_token_is_hidden_in_every_encoding_as_soon_as_it_is_got(world: World, endpoint: Endpoint) -> None:
    endpoint.answers = [(200, {"access_token": "granted-1", "refresh_token": "renewed-2"})]
    await world.get(refreshing(endpoint))
    travelling = base64.b64encode(b"user=me\1auth=Bearer granted-1\1\1").decode()
    assert world.masker.mask(f"AUTH XOAUTH2 {travelling} renewed-2") == "AUTH XOAUTH2 *** ***"


async def test_a_token_is_kept_while_it_is_good_and_renewed_before_it_expires(world: World, endpoint: Endpoint) -> None:
    endpoint.answers = [(200, {"access_token": f"granted-{n}", "expires_in": "3600"}) for n in (1, 2)]
    source = refreshing(endpoint)
    assert await world.get(source) == "granted-1"
    world.clock.later_s = 3500
    assert await world.get(source) == "granted-1"
    world.clock.later_s = 3570
    assert await world.get(source) == "granted-2"
    assert len(endpoint.asked) == 2


async def test_a_refresh_token_that_changes_is_used_from_then_on(world: World, endpoint: Endpoint) -> None:
    endpoint.answers = [(200, {"access_token": "granted-1", "refresh_token": "refresh me next", "expires_in": 10})]
    source = refreshing(endpoint)
    await world.get(source)
    world.clock.later_s = 11
    await world.get(source)
    assert [asked["refresh_token"] for asked in endpoint.asked] == ["refresh me", "refresh me next"]


@pytest.mark.parametrize("expires_in", [None, "soon", True, float("inf"), 10**400])
async def test_a_token_without_a_known_end_is_kept(world: World, endpoint: Endpoint, expires_in: object) -> None:
    endpoint.answers = [(200, {"access_token": "granted-1", "expires_in": expires_in})]
    source = refreshing(endpoint)
    await world.get(source)
    world.clock.later_s = 0.4
    await world.get(source)
    assert len(endpoint.asked) == 1


async def test_many_who_ask_at_once_share_one_fetch(world: World, endpoint: Endpoint) -> None:
    endpoint.answers = [(200, {"access_token": "granted-1"})]
    asked = [asyncio.create_task(world.get(refreshing(endpoint))) for _ in range(5)]
    await asyncio.sleep(0)
    asked[0].cancel()  # who gives up leaves the others their fetch
    await asyncio.wait(asked)
    assert [task.result() for task in asked[1:]] == ["granted-1"] * 4
    assert len(endpoint.asked) == 1


async def test_many_who_ask_at_once_share_one_failure_and_the_next_asks_again(world: World, endpoint: Endpoint) -> None:
    endpoint.answers = [(503, b""), (200, {"access_token": "granted-1"})]
    source = refreshing(endpoint)
    failures = await asyncio.gather(*(world.get(source) for _ in range(3)), return_exceptions=True)
    assert len({id(failure) for failure in failures}) == 3
    assert {str(failure) for failure in failures} == {
        f"the token endpoint {endpoint.url} gave no token: HTTP 503 without a reason"
    }
    assert await world.get(source) == "granted-1"


async def test_a_token_that_a_server_refused_is_not_used_again(world: World, endpoint: Endpoint) -> None:
    endpoint.answers = [(200, {"access_token": f"granted-{n}"}) for n in (1, 2)]
    source = refreshing(endpoint)
    world.tokens.refused(await world.get(source))
    assert await world.get(source) == "granted-2"


async def test_a_refusal_of_the_endpoint_is_told_with_its_reason_and_without_secrets(
    world: World, endpoint: Endpoint
) -> None:
    world.masker.add(Secret("refresh me"))
    endpoint.answers = [(400, {"error": "invalid_grant", "error_description": "refresh me\nis expired"})]
    error = await world.failure(refreshing(endpoint))
    assert str(error) == f"the token endpoint {endpoint.url} gave no token: invalid_grant: *** is expired"
    assert error.advice.startswith("The refresh token is good no more")
    assert error.reply == "HTTP 400 invalid_grant"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, [], {}, {"access_token": ""}, {"access_token": 1}])
async def test_an_answer_without_a_token_is_told(world: World, endpoint: Endpoint, body: object) -> None:
    endpoint.answers = [(200, body)]
    error = await world.failure(refreshing(endpoint))
    assert str(error) == f"the token endpoint {endpoint.url} answered without an access_token"


async def test_an_answer_without_end_is_not_read_to_its_end(world: World, endpoint: Endpoint) -> None:
    endpoint.answers = [(200, b'{"access_token": "t", "more": "' + b"x" * 2_000_000 + b'"}')]
    assert "without an access_token" in str(await world.failure(refreshing(endpoint)))


async def test_a_redirect_is_not_followed(world: World, endpoint: Endpoint) -> None:
    endpoint.answers = [(307, b"")]
    assert "HTTP 307" in str(await world.failure(refreshing(endpoint)))


async def test_an_endpoint_that_is_not_there_is_told_without_its_query(world: World) -> None:
    error = await world.failure(TokenEndpoint("http://127.0.0.1:1/token?policy=x", "id", Secret("client secret")))
    assert str(error).startswith("the token endpoint http://127.0.0.1:1/token cannot be asked: ")


async def test_an_endpoint_that_stays_silent_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_endpoint, "WITHIN_S", 0.05)

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises((TimedOut, TokenFailed)) as caught:
            await world.get(TokenEndpoint(url, "id", Secret("client secret")))
        assert url in str(caught.value)


async def test_a_missing_httpx_says_how_to_get_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    error = await world.failure(TokenEndpoint("https://login.example.com", "id", Secret("client secret")))
    assert str(error) == "the token endpoint https://login.example.com needs httpx, which is not installed"
    assert error.advice == "Run `pip install 'pytest-mailtrip[oauth]'`."


# The command.


async def test_a_command_prints_the_token(world: World, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("printed-token")
    source = python(tmp_path, "print(open('token').read())")
    assert await world.get(source) == "printed-token"
    assert world.masker.mask("printed-token") == "***"


async def test_a_printed_jwt_is_renewed_before_it_expires(world: World, tmp_path: Path) -> None:
    token = jwt(exp=world.clock.wall() + 600)
    source = python(tmp_path, f"open('runs', 'a').write('x'); print({token!r})")
    for later_s, runs in ((0, "x"), (500, "x"), (580, "xx")):
        world.clock.later_s = later_s
        assert await world.get(source) == token
        assert (tmp_path / "runs").read_text() == runs


async def test_a_command_that_fails_is_told_with_the_first_line_of_its_complaint(world: World, tmp_path: Path) -> None:
    world.masker.add(Secret("known secret"))
    program = "import sys; print('half-a-token'); sys.exit('\\nno token: known secret half-a-token\\nmore')"
    error = await world.failure(python(tmp_path, program))
    assert str(error) == f"the token command {sys.executable!r} ended with 1: no token: *** ***"
    assert "Run the command by hand" in error.advice


async def test_a_command_that_says_nothing_is_told(world: World, tmp_path: Path) -> None:
    assert str(await world.failure(python(tmp_path, ""))).endswith("printed no token")
    killed = await world.failure(python(tmp_path, "import os; os.kill(os.getpid(), 9)"))
    assert str(killed).endswith("was ended by signal 9")


async def test_a_command_that_is_not_there_is_told(world: World, tmp_path: Path) -> None:
    error = await world.failure(TokenCommand(("./get-token", "secret argument"), tmp_path))
    assert str(error) == "the token command './get-token' cannot be run: No such file or directory"
    assert "secret argument" not in repr(TokenCommand(("./get-token", "secret argument"), tmp_path))


async def test_a_command_that_hangs_is_killed_with_what_it_started(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_command, "WITHIN_S", 0.3)
    with pytest.raises(TimedOut, match=r"the token command '/bin/sh': no answer within 0\.3 s"):
        await world.get(TokenCommand(("/bin/sh", "-c", "sleep 600 & sleep 600"), tmp_path))


async def test_of_an_endless_output_only_the_beginning_is_kept(world: World, tmp_path: Path) -> None:
    token = await world.get(python(tmp_path, "print('x' * 1_000_000)"))
    assert token == "x" * 65536


# What a token says of itself.


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (jwt(exp=12, aud="mail"), Claims(12, ("mail",))),
        (jwt(aud=["a", 3, "b"]), Claims(None, ("a", "b"))),
        (jwt(exp="12", aud=3), Claims()),
        (jwt(exp=True), Claims()),
        ("a.b", None),
        ("a.?.c", None),
        ("a.e30.c", Claims()),
        ("a.W10.c", None),
        ("opaque", None),
    ],
)
async def test_a_jwt_tells_its_end_and_its_audience(token: str, expected: Claims | None) -> None:
    assert claims(token) == expected
