"""Logging in by a token over SMTP, IMAP and POP3, against servers that play written dialogues."""

import base64
import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol as Interface

import pytest

from mailtrip_checks.clock import SystemClock
from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import LoginFailed, ProtocolError, TokenFailed
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.trips import Auth, Endpoint, FixedToken, Protocol, Security, TokenCommand
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.imap import ImapSession
from mailtrip_checks.wire.pop3 import MaildropBusy, Pop3Session
from mailtrip_checks.wire.sasl_oauth import Mechanism, response
from mailtrip_checks.wire.smtp import SmtpSession
from mailtrip_checks.wire.transcript import Stages, Transcript

pytestmark = pytest.mark.asyncio

Play = Callable[..., AbstractAsyncContextManager[int]]
USER, TOKEN = "probe,a=b@example.com", "ya29.token-of~the/probe+="
LONG = "long" * 200


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def challenge(**members: object) -> str:
    return encoded(json.dumps(members))


def xoauth2(token: str = TOKEN) -> str:
    return encoded(f"user={USER}\1auth=Bearer {token}\1\1")


class Session(Interface):
    async def close(self) -> None: ...


@dataclass
class World:
    """Opens a session with a token, and keeps what it left behind."""

    clock: SystemClock = field(default_factory=SystemClock)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network = Network(self.clock, Masker([Secret(TOKEN)]))
        self.stages = Stages(self.clock, Leg.MAILBOX)
        self.transcript = Transcript(self.clock, Leg.MAILBOX, self.network.masker)

    async def log_in(self, protocol: Protocol, port: int, token: str | None = TOKEN) -> None:
        source = FixedToken(Secret(token)) if token else None
        endpoint = Endpoint("box", protocol, "127.0.0.1", port, Security.NONE, Auth.OAUTH2, USER, oauth2=source)
        await self.enter(endpoint)

    async def enter(self, endpoint: Endpoint) -> None:
        session: Session
        if endpoint.protocol is Protocol.SMTP:
            session = await SmtpSession.open(
                endpoint,
                self.network,
                helo="me.example",
                stages=self.stages,
                transcript=self.transcript,
                warn=self.warnings.append,
            )
        else:
            client = ImapSession if endpoint.protocol is Protocol.IMAP else Pop3Session
            session = await client.open(
                endpoint,
                self.network,
                step_timeout_s=5,
                stages=self.stages,
                transcript=self.transcript,
                warn=self.warnings.append,
            )
        await session.close()

    @property
    def shown(self) -> str:
        return "\n".join(line.text for line in self.transcript.since(0).lines())


@pytest.fixture
def world() -> World:
    return World()


def smtp(offers: str, dialogue: str) -> str:
    return f"S: 220 hello\nC: EHLO me.example\nS: 250-hi\nS: 250 AUTH {offers}\n{dialogue}\nC: QUIT\nS: 221 bye\nCLOSE"


def imap(offers: str, dialogue: str) -> str:
    return f"S: * OK [CAPABILITY IMAP4rev1 {offers}] hello\n{dialogue}"


def pop3(offers: str, dialogue: str) -> str:
    return f"S: +OK hello\nC: CAPA\nS: +OK\nS: {offers}\nS: .\n{dialogue}"


# What is said.


async def test_smtp_uses_xoauth2_where_nothing_better_is_offered(world: World, play: Play) -> None:
    async with play(smtp("LOGIN XOAUTH2", f"C: AUTH XOAUTH2 {xoauth2()}\nS: 235 welcome")) as port:
        await world.log_in(Protocol.SMTP, port)
    assert "AUTH XOAUTH2 ***" in world.shown
    assert xoauth2() not in world.shown


async def test_oauthbearer_is_said_as_the_rfc_has_it() -> None:
    endpoint = Endpoint("box", Protocol.IMAP, "mail.example", 993, Security.TLS, Auth.OAUTH2, USER)
    said = base64.b64decode(response(Mechanism.OAUTHBEARER, endpoint, TOKEN)).decode()
    assert said == f"n,a=probe=2Ca=3Db@example.com,\1host=mail.example\1port=993\1auth=Bearer {TOKEN}\1\1"


@pytest.mark.parametrize(
    ("protocol", "script"),
    [
        (Protocol.SMTP, smtp("XOAUTH2 OAUTHBEARER", "C: *\nS: 235 welcome")),
        (
            Protocol.IMAP,
            imap("SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER", "C: *\nS: a1 OK [CAPABILITY IMAP4rev1] in"),
        ),
        (Protocol.POP3, pop3("SASL XOAUTH2 OAUTHBEARER", "C: *\nS: +OK in")),
    ],
)
async def test_oauthbearer_is_preferred(world: World, play: Play, protocol: Protocol, script: str) -> None:
    async with play(script) as port:
        await world.log_in(protocol, port)
    assert re.search(r"AUTH(ENTICATE)? OAUTHBEARER \*\*\*$", world.shown, re.MULTILINE)
    assert [stage.name for stage in world.stages.taken].count("login") == 1


async def test_a_token_too_long_for_a_command_follows_the_servers_334(world: World, play: Play) -> None:
    script = smtp("XOAUTH2", f"C: AUTH XOAUTH2\nS: 334 \nC: {xoauth2(LONG)}\nS: 235 welcome")
    async with play(script) as port:
        await world.log_in(Protocol.SMTP, port, LONG)


@pytest.mark.parametrize("piece", [None, 1])
async def test_imap_waits_for_the_plus_without_sasl_ir(world: World, play: Play, piece: int | None) -> None:
    dialogue = (
        f"C: a1 AUTHENTICATE XOAUTH2\nS: * 3 EXISTS\nS: + \nC: {xoauth2()}\nS: * OK soon\nS: a1 OK [CAPABILITY X] in"
    )
    async with play(imap("AUTH=XOAUTH2", dialogue), piece=piece) as port:
        await world.log_in(Protocol.IMAP, port)


async def test_imap_says_all_at_once_with_sasl_ir(world: World, play: Play) -> None:
    dialogue = f"C: a1 AUTHENTICATE XOAUTH2 {xoauth2(LONG)}\nS: a1 OK [CAPABILITY X] in"
    async with play(imap("SASL-IR AUTH=XOAUTH2", dialogue)) as port:
        await world.log_in(Protocol.IMAP, port, LONG)


async def test_pop3_says_a_short_token_at_once_and_a_long_one_after_the_plus(world: World, play: Play) -> None:
    async with play(pop3("SASL PLAIN XOAUTH2", f"C: AUTH XOAUTH2 {xoauth2()}\nS: +OK in")) as port:
        await world.log_in(Protocol.POP3, port)
    dialogue = f"C: AUTH XOAUTH2\nS: + \nC: {xoauth2(LONG)}\nS: +OK in"
    async with play(pop3("SASL PLAIN XOAUTH2", dialogue)) as port:
        await world.log_in(Protocol.POP3, port, LONG)


# What a refusal means.


@pytest.mark.parametrize(("mechanism", "last_word"), [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")])
@pytest.mark.parametrize("protocol", [Protocol.SMTP, Protocol.IMAP, Protocol.POP3])
async def test_the_servers_reason_is_told_and_nothing_else_is_tried(
    world: World, play: Play, protocol: Protocol, mechanism: str, last_word: str
) -> None:
    why = challenge(status="400", scope="https://mail.example/", other={"a": 1})
    script = {
        Protocol.SMTP: smtp(mechanism, f"C: *\nS: 334 {why}\nC: {last_word}\nS: 535 5.7.8 no"),
        Protocol.IMAP: imap(f"SASL-IR AUTH={mechanism}", f"C: *\nS: + {why}\nC: {last_word}\nS: a1 NO no"),
        Protocol.POP3: pop3(f"SASL {mechanism}", f"C: *\nS: + {why}\nC: {last_word}\nS: -ERR [AUTH] no"),
    }[protocol]
    async with play(script) as port:
        with pytest.raises(LoginFailed, match="it says status 400, scope https://mail") as caught:
            await world.log_in(protocol, port)
    assert f"refused the token of {USER} ({mechanism})" in str(caught.value)
    assert caught.value.reply.endswith("no")
    assert caught.value.stage == "login"
    assert TOKEN not in world.shown + str(caught.value)


REFUSED = {
    Protocol.SMTP: smtp("XOAUTH2", "C: *\nS: 535 5.7.3 Authentication unsuccessful"),
    Protocol.IMAP: imap("SASL-IR AUTH=XOAUTH2", "C: *\nS: a1 NO AUTHENTICATE failed."),
    Protocol.POP3: pop3("SASL XOAUTH2", "C: *\nS: -ERR Authentication failure"),
}


@pytest.mark.parametrize("protocol", [Protocol.SMTP, Protocol.IMAP, Protocol.POP3])
async def test_a_server_that_gives_no_reason_is_said_to_give_none(world: World, play: Play, protocol: Protocol) -> None:
    async with play(REFUSED[protocol]) as port:
        with pytest.raises(LoginFailed, match=r"it gave no reason$") as caught:
            await world.log_in(protocol, port)
    assert "scope" in caught.value.advice


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"exp": -300}, "the token expired 5 min ago"),
        ({"exp": -59}, "the token expired (59|60) s ago"),
        ({"exp": -8000}, "the token expired 2 h ago"),
        ({"exp": -864000, "aud": "x"}, "the token expired 10 days ago and is for x"),
        (
            {"exp": 3000, "aud": ["https://mail.example", "b"]},
            "good for another 50 min and is for https://mail.example, b",
        ),
        ({"aud": "graph"}, "the token is for graph"),
        ({}, "it gave no reason"),
    ],
)
async def test_a_jwt_tells_why_where_the_server_does_not(
    world: World, play: Play, claims: dict[str, object], told: str
) -> None:
    if isinstance(left_s := claims.get("exp"), int):
        claims = {**claims, "exp": world.clock.wall() + left_s}
    token = f"e30.{encoded(json.dumps(claims)).rstrip('=')}.c2ln".replace("+", "-").replace("/", "_")
    async with play(
        smtp("XOAUTH2", "C: *\nS: 334 \nC: *\nS: 535 no") if len(token) > 300 else REFUSED[Protocol.SMTP]
    ) as port:
        with pytest.raises(LoginFailed, match=f"{told}$") as caught:
            await world.log_in(Protocol.SMTP, port, token)
    assert ("new token" in caught.value.advice) == ("expired" in told)


@pytest.mark.parametrize(
    ("why", "told"),
    [
        (encoded("no\x00 JSON"), "it says no  JSON"),
        ("?", "it gave no reason"),
        (encoded("[" * 20_000)[:340], r"it says \[+"),
        (encoded("[1]"), r"it says \[1\]"),
        (encoded("{}"), "it gave no reason"),
        (encoded(json.dumps({"error": f"bad {TOKEN}"})), "it gave no reason"),
    ],
)
async def test_whatever_the_challenge_holds_it_is_told_or_left_out(
    world: World, play: Play, why: str, told: str
) -> None:
    async with play(smtp("XOAUTH2", f"C: *\nS: 334 {why}\nC: \nS: 535 no")) as port:
        with pytest.raises(LoginFailed, match=f"{told}$"):
            await world.log_in(Protocol.SMTP, port)


async def test_a_refused_token_is_fetched_anew_the_next_time(world: World, play: Play, tmp_path: Path) -> None:
    source = TokenCommand(("/bin/sh", "-c", "echo x >> runs; echo tok; "), tmp_path)
    async with play(REFUSED[Protocol.POP3], pop3("SASL XOAUTH2", "C: *\nS: +OK in")) as port:
        endpoint = Endpoint("box", Protocol.POP3, "127.0.0.1", port, Security.NONE, Auth.OAUTH2, USER, oauth2=source)
        with pytest.raises(LoginFailed):
            await world.enter(endpoint)
        await world.enter(endpoint)
    assert (tmp_path / "runs").read_text() == "x\nx\n"


@pytest.mark.parametrize(
    ("protocol", "script", "advice"),
    [
        (Protocol.SMTP, smtp("XOAUTH2", "C: *\nS: 454 4.7.0 later"), "The server cannot check passwords now"),
        (Protocol.IMAP, imap("SASL-IR AUTH=XOAUTH2", "C: *\nS: a1 NO [UNAVAILABLE] x"), "The server cannot check"),
    ],
)
async def test_a_server_that_cannot_check_now_is_told_as_such(
    world: World, play: Play, protocol: Protocol, script: str, advice: str
) -> None:
    async with play(script) as port:
        with pytest.raises(LoginFailed) as caught:
            await world.log_in(protocol, port)
    assert caught.value.advice.startswith(advice)


async def test_a_maildrop_that_is_busy_is_no_refused_token(world: World, play: Play) -> None:
    async with play(pop3("SASL XOAUTH2", "C: *\nS: -ERR [IN-USE] later")) as port:
        with pytest.raises(MaildropBusy):
            await world.log_in(Protocol.POP3, port)


@pytest.mark.parametrize(
    ("protocol", "script"),
    [
        (Protocol.SMTP, smtp("PLAIN LOGIN", "")),
        (Protocol.IMAP, imap("AUTH=PLAIN", "")),
        (Protocol.POP3, pop3("SASL PLAIN", "")),
        (Protocol.POP3, "S: +OK hello\nC: CAPA\nS: -ERR unknown"),
    ],
)
async def test_a_server_that_offers_neither_is_told_and_nothing_is_tried(
    world: World, play: Play, protocol: Protocol, script: str
) -> None:
    async with play(script) as port:
        with pytest.raises(LoginFailed, match=r"does not offer .*OAUTHBEARER or XOAUTH2"):
            await world.log_in(protocol, port)


@pytest.mark.parametrize(
    ("protocol", "script"),
    [
        (Protocol.SMTP, smtp("XOAUTH2", "C: *\nS: 250 what").replace("C: QUIT\nS: 221 bye\n", "")),
        (Protocol.IMAP, imap("SASL-IR AUTH=XOAUTH2", "C: *\nS: a9 OK in")),
        (Protocol.POP3, pop3("SASL XOAUTH2", "C: *\nS: + \nC: \nS: + again")),
    ],
)
async def test_an_answer_out_of_turn_is_a_protocol_error(
    world: World, play: Play, protocol: Protocol, script: str
) -> None:
    async with play(script) as port:
        with pytest.raises(ProtocolError):
            await world.log_in(protocol, port)


@pytest.mark.parametrize("protocol", [Protocol.SMTP, Protocol.IMAP, Protocol.POP3])
async def test_without_a_token_no_connection_is_opened(world: World, play: Play, protocol: Protocol) -> None:
    for token, told in ((None, "and no token"), ("two words", "holds a blank")):
        with pytest.raises(TokenFailed, match=told) as caught:
            await world.log_in(protocol, 1, token)
        assert (caught.value.leg, caught.value.stage) == (Leg.MAILBOX, "login")
    assert world.stages.taken == []
