"""The IMAP client against servers that play a written dialogue."""

import asyncio
import base64
import math
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailtrip_checks.clock import SystemClock
from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import (
    Busy,
    LoginFailed,
    ProtocolError,
    Refused,
    TimedOut,
    TlsFailed,
    TripError,
    Unreachable,
)
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.trips import Auth, Endpoint, Protocol, Security, Trust
from mailtrip_checks.wire.connect import Network, StarttlsRefused
from mailtrip_checks.wire.imap import CommandRefused, FetchedHeader, ImapSession, Selected
from mailtrip_checks.wire.transcript import Stages, Transcript

pytestmark = pytest.mark.asyncio

Play = Callable[..., AbstractAsyncContextManager[int]]
PASSWORD = "hunter2!secret"
READY = "S: * OK [CAPABILITY IMAP4rev1 IDLE UIDPLUS MOVE UNSELECT] ready"
BYE = """
    C: {tag} LOGOUT
    S: * BYE bye
    S: {tag} OK done
"""


@dataclass
class World:
    """What a test opens sessions with, and what it sees of them."""

    ca: Path
    clock: SystemClock = field(default_factory=SystemClock)
    step_timeout_s: float = 5.0
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.masker = Masker([Secret(PASSWORD)])
        self.stages = Stages(self.clock, Leg.MAILBOX)
        self.transcript = Transcript(self.clock, Leg.MAILBOX, self.masker)

    def endpoint(self, port: int, auth: Auth, user: str, password: str, security: Security = Security.NONE) -> Endpoint:
        return Endpoint(
            "in",
            Protocol.IMAP,
            "localhost",
            port,
            security,
            auth,
            user,
            Secret(password),
            Trust(ca=self.ca),
        )

    async def open(
        self,
        port: int,
        auth: Auth = Auth.NONE,
        *,
        user: str = "probe@example.com",
        password: str = PASSWORD,
        security: Security = Security.NONE,
    ) -> ImapSession:
        return await ImapSession.open(
            self.endpoint(port, auth, user, password, security),
            Network(self.clock, self.masker),
            step_timeout_s=self.step_timeout_s,
            stages=self.stages,
            transcript=self.transcript,
            warn=self.warnings.append,
        )

    @property
    def dialogue(self) -> list[str]:
        return [f"{line.direction} {line.text}" for line in self.transcript.since(0).lines()]

    @asynccontextmanager
    async def session(self, port: int) -> AsyncIterator[ImapSession]:
        session = await self.open(port)
        try:
            yield session
        finally:
            await session.close()


@pytest.fixture
def world(authority: tuple[Path, ssl.SSLContext]) -> World:
    return World(authority[0])


async def failure(world: World, play: Play, script: str, auth: Auth = Auth.NONE, **more: object) -> TripError:
    """How opening a session against the script fails."""
    async with play(script) as port:
        with pytest.raises(TripError) as caught:
            await world.open(port, auth, **more)  # type: ignore[arg-type]  # passed on as given
    return caught.value


# The greeting.


async def test_without_auth_it_only_connects(world: World, play: Play) -> None:
    async with play("S: * OK ready" + BYE.format(tag="a1")) as port:
        session = await world.open(port)
        await session.logout()
    assert [stage.name for stage in world.stages.taken] == ["resolve", "connect"]
    assert session.broken


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        ("S: * BYE go away", Refused, "refuses the connection: go away"),
        ("S: * BYE too many connections", Busy, "refuses the connection: too many connections"),
        ("S: * BYE [LIMIT] full", Busy, "refuses the connection: full"),
        ("S: 220 mx.example ESMTP", ProtocolError, "sent no IMAP greeting: '220 mx.example ESMTP'"),
        ("S: a1 OK hello", ProtocolError, "sent no IMAP greeting"),
        ("S: * 3 EXISTS", ProtocolError, "sent no IMAP greeting"),
        ("CLOSE", Unreachable, "closed the connection before a greeting"),
        ("S> * OK rea\nCLOSE", ProtocolError, "in the middle of its greeting: '* OK rea'"),
    ],
)
async def test_a_greeting_that_is_none_ends_it(
    world: World, play: Play, script: str, kind: type[TripError], says: str
) -> None:
    error = await failure(world, play, script)
    assert type(error) is kind
    assert says in error.what
    assert (error.leg, error.stage) == (Leg.MAILBOX, "connect")


async def test_a_silent_server_times_out(world: World, play: Play) -> None:
    world.step_timeout_s = 0.02
    error = await failure(world, play, "")
    assert isinstance(error, TimedOut)
    assert "waiting for the greeting at localhost" in error.what
    assert error.stage == "connect"


async def test_a_secret_at_the_place_of_the_cut_is_not_shown(world: World, play: Play) -> None:
    error = await failure(world, play, f"S: {'x' * 192}{PASSWORD}")
    assert "hunter" not in error.what


# Security.


async def test_starttls_comes_before_the_login_and_what_was_said_before_is_forgotten(world: World, play: Play) -> None:
    script = f"""
        S: * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready
        C: a1 STARTTLS
        S: a1 OK go
        TLS
        C: a2 CAPABILITY
        S: * CAPABILITY IMAP4rev1 UIDPLUS
        S: a2 OK done
        C: a3 LOGIN "probe@example.com" "{PASSWORD}"
        S: a3 OK in
        C: a4 CAPABILITY
        S: * CAPABILITY IMAP4rev1 UIDPLUS MOVE
        S: a4 OK done
    """
    async with play(script) as port:
        session = await world.open(port, Auth.PASSWORD, security=Security.STARTTLS)
        assert session.has("MOVE")
        assert not session.has("STARTTLS")
        await session.close()
    assert [stage.name for stage in world.stages.taken] == ["resolve", "connect", "tls", "login"]


async def test_plaintext_behind_the_answer_to_starttls_is_refused(world: World, play: Play) -> None:
    script = """
        S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
        C: a1 STARTTLS
        S> a1 OK go\\r\\n* CAPABILITY IMAP4rev1\\r\\n
    """
    error = await failure(world, play, script, security=Security.STARTTLS)
    assert isinstance(error, TlsFailed)
    assert "injected" in error.what
    assert error.stage == "tls"


async def test_half_a_line_behind_the_answer_to_starttls_is_refused(world: World, play: Play) -> None:
    script = """
        S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
        C: a1 STARTTLS
        S> a1 OK go\\r\\n* CAPA
    """
    error = await failure(world, play, script, security=Security.STARTTLS)
    assert isinstance(error, TlsFailed)
    assert "injected" in error.what


async def test_starttls_that_is_refused_is_a_failure_where_it_is_required(world: World, play: Play) -> None:
    script = """
        S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
        C: a1 STARTTLS
        S: a1 NO not today
    """
    error = await failure(world, play, script, security=Security.STARTTLS)
    assert isinstance(error, StarttlsRefused)
    assert error.reply == "not today"


async def test_a_starttls_that_is_not_offered_is_a_failure_where_it_is_required(world: World, play: Play) -> None:
    script = """
        S: * OK ready
        C: a1 CAPABILITY
        S: * CAPABILITY IMAP4rev1
        S: a1 OK done
    """
    error = await failure(world, play, script, security=Security.STARTTLS)
    assert isinstance(error, TlsFailed)
    assert "does not offer STARTTLS" in error.what


async def test_preauth_rules_out_starttls(world: World, play: Play) -> None:
    error = await failure(world, play, "S: * PREAUTH welcome", security=Security.STARTTLS)
    assert isinstance(error, TlsFailed)
    assert "PREAUTH" in error.what


async def test_preauth_needs_no_login_and_is_taken_where_starttls_is_a_wish(world: World, play: Play) -> None:
    async with play("S: * PREAUTH [CAPABILITY IMAP4rev1 MOVE] welcome") as port:
        session = await world.open(port, Auth.PASSWORD, security=Security.STARTTLS_IF_AVAILABLE)
        assert session.has("MOVE")
        await session.close()
    assert world.warnings


async def test_implicit_tls_greets_over_tls(world: World, play: Play) -> None:
    async with play("S: * OK ready", tls=True) as port:
        session = await world.open(port, security=Security.TLS)
        await session.close()
    assert [stage.name for stage in world.stages.taken] == ["resolve", "connect", "tls", "connect"]


async def test_a_handshake_that_nobody_answers_times_out_in_its_stage(world: World) -> None:
    world.step_timeout_s = 0.5
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimedOut) as caught:
        await world.open(silent.getsockname()[1], security=Security.TLS)
    assert (caught.value.leg, caught.value.stage) == (Leg.MAILBOX, "tls")


# The login.


def login(capabilities: str, *lines: str) -> str:
    return "\n".join((f"S: * OK [CAPABILITY IMAP4rev1 {capabilities}] ready", *lines))


def plain(user: str, password: str) -> str:
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


@pytest.mark.parametrize(
    ("user", "password", "auth", "script"),
    [
        ("u", PASSWORD, Auth.PASSWORD, login("", f'C: a1 LOGIN "u" "{PASSWORD}"')),
        ('a"b', "back\\slash", Auth.PASSWORD, login("AUTH=PLAIN", 'C: a1 LOGIN "a\\"b" "back\\\\slash"')),
        ("u", "ä", Auth.PASSWORD, login("LITERAL+", 'C: a1 LOGIN "u" {2+}', "C: ä")),
        (
            "ü",
            "ä",
            Auth.PASSWORD,
            login("", "C: a1 LOGIN {2}", "S: + go", "C: ü {2}", "S: * OK wait", "S: + go", "C: ä"),
        ),
        (
            "u",
            "ä",
            Auth.PASSWORD,
            login("AUTH=PLAIN", "C: a1 AUTHENTICATE PLAIN", "S: +", f"C: {plain('u', 'ä')}"),
        ),
        (
            "u",
            "p",
            Auth.PASSWORD,
            login("LOGINDISABLED AUTH=PLAIN SASL-IR", f"C: a1 AUTHENTICATE PLAIN {plain('u', 'p')}"),
        ),
        ("u", "p", Auth.PLAIN, login("AUTH=PLAIN SASL-IR", f"C: a1 AUTHENTICATE PLAIN {plain('u', 'p')}")),
    ],
)
async def test_any_character_can_be_in_user_and_password(
    world: World, play: Play, user: str, password: str, auth: Auth, script: str
) -> None:
    world.masker.add(Secret(password))
    async with play(script + "\nS: a1 OK [CAPABILITY IMAP4rev1] in") as port:
        session = await world.open(port, auth, user=user, password=password)
        await session.close()
    sent = [line for line in world.dialogue if line.startswith(">")]
    assert sent[0].startswith(("> a1 LOGIN", "> a1 AUTHENTICATE PLAIN"))
    assert not [line for line in sent if password in line.split(" ", 1)[1] and len(password) > 1]
    assert not [line for line in sent if plain(user, password) in line]


async def test_a_refused_login_is_tried_once_and_names_the_part_before_the_at(world: World, play: Play) -> None:
    script = login(
        "AUTH=PLAIN", f'C: a1 LOGIN "probe@example.com" "{PASSWORD}"', f"S: a1 NO [AUTHENTICATIONFAILED] {PASSWORD}?"
    )
    error = await failure(world, play, script, Auth.PASSWORD)
    assert isinstance(error, LoginFailed)
    assert error.what.endswith("refused the login of probe@example.com: ***?")
    assert error.reply == "***?"
    assert "`user: probe`" in error.advice
    assert error.stage == "login"
    assert not [line for line in world.dialogue if PASSWORD in line]


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ("NO wrong", "the whole address"),
        ("NO [UNAVAILABLE] no database", "authentication service"),
        ("BAD [PRIVACYREQUIRED] first TLS", "starttls"),
    ],
)
async def test_the_advice_follows_the_servers_code(world: World, play: Play, answer: str, advice: str) -> None:
    script = login("", f'C: a1 LOGIN "probe" "{PASSWORD}"', f"S: a1 {answer}")
    error = await failure(world, play, script, Auth.PASSWORD, user="probe")
    assert advice in error.advice


@pytest.mark.parametrize(
    "answer",
    [
        "S: a1 NO [LIMIT] full",
        "S: a1 NO [ALERT] Too many simultaneous connections. (Failure)",
        "S: * BYE Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
    ],
)
async def test_too_many_connections_are_no_refused_login(world: World, play: Play, answer: str) -> None:
    error = await failure(
        world, play, login("", f'C: a1 LOGIN "probe" "{PASSWORD}"', answer), Auth.PASSWORD, user="probe"
    )
    assert isinstance(error, Busy)
    assert error.of_user


@pytest.mark.parametrize(
    ("capabilities", "auth", "says", "advice"),
    [
        ("LOGINDISABLED STARTTLS", Auth.PASSWORD, "wants TLS before it offers LOGIN", "security: starttls"),
        ("STARTTLS", Auth.PLAIN, "wants TLS before it offers AUTHENTICATE PLAIN", "security: starttls"),
        ("AUTH=XOAUTH2 AUTH=GSSAPI", Auth.PLAIN, "PLAIN (it offers: GSSAPI, XOAUTH2)", "auth: password"),
        ("", Auth.PLAIN, "does not offer AUTHENTICATE PLAIN (it offers: nothing)", "auth: password"),
        ("", Auth.CRAM_MD5, "cram-md5 does not exist over IMAP", "auth: plain"),
    ],
)
async def test_a_mechanism_that_the_server_lacks_is_not_tried(
    world: World, play: Play, capabilities: str, auth: Auth, says: str, advice: str
) -> None:
    error = await failure(world, play, login(capabilities), auth)
    assert isinstance(error, LoginFailed)
    assert says in error.what
    assert advice in error.advice


async def test_over_tls_a_server_without_login_wants_another_mechanism(world: World, play: Play) -> None:
    async with play(login("LOGINDISABLED AUTH=XOAUTH2"), tls=True) as port:
        with pytest.raises(LoginFailed, match="XOAUTH2") as caught:
            await world.open(port, Auth.PASSWORD, security=Security.TLS)
    assert "another mechanism" in caught.value.advice


@pytest.mark.parametrize("user", ["a\0b", "\ud800"])
async def test_a_credential_that_cannot_travel_is_said_before_anything_is_sent(
    world: World, play: Play, user: str
) -> None:
    error = await failure(world, play, login(""), Auth.PASSWORD, user=user)
    assert isinstance(error, LoginFailed)
    assert "NUL" in error.what


async def test_a_literal_that_is_refused_ends_the_login(world: World, play: Play) -> None:
    script = login("", "C: a1 LOGIN {2}", "S: a1 NO no literals here")
    error = await failure(world, play, script, Auth.PASSWORD, user="ü")
    assert isinstance(error, LoginFailed)
    assert error.reply == "no literals here"


# Broken dialogues.


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("S: * BYE shutting down", "closed the connection while looking for mail: shutting down"),
        ("CLOSE", "closed the connection while looking for mail"),
        ("S> * 1 FETCH (BODY[] {500}\\r\\nhalf\nCLOSE", "closed the connection while looking for mail"),
        ("S: a9 OK done", "answered a command 'a9' that was not given, while looking for mail"),
        ("S: <html>", "sent what is no IMAP while looking for mail: '<html>'"),
        ("S: * 1 FETCH (BODY[] {999999999}", "announced more than 134217728 bytes"),
    ],
)
async def test_a_dialogue_that_breaks_is_said_and_cannot_go_on(world: World, play: Play, lines: str, says: str) -> None:
    async with play(f"{READY}\nC: a1 NOOP\n{lines}") as port:
        session = await world.open(port)
        with pytest.raises(ProtocolError) as caught:
            await session.noop()
        assert says in caught.value.what
        assert session.broken
        with pytest.raises(ProtocolError, match="was given up before"):
            await session.noop()
        await session.logout()


async def test_a_server_that_does_not_answer_times_out(world: World, play: Play) -> None:
    world.step_timeout_s = 0.1
    async with play(f"{READY}\nC: a1 NOOP\n") as port:
        session = await world.open(port)
        with pytest.raises(TimedOut, match="looking for mail at localhost"):
            await session.noop()
        assert session.broken
        await session.close()


async def test_a_cancelled_command_leaves_the_session_broken(world: World, play: Play) -> None:
    async with play(f"{READY}\nC: a1 NOOP\n") as port:
        session = await world.open(port)
        task = asyncio.create_task(session.noop())
        while not session.broken:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.broken
        await session.close()


@pytest.mark.parametrize("end", ["S: * BYE bye\nCLOSE", "CLOSE", "S: a1 BAD what?"])
async def test_logout_never_raises(world: World, play: Play, end: str) -> None:
    async with play(f"{READY}\nC: a1 LOGOUT\n{end}") as port:
        session = await world.open(port)
        await session.logout()
        assert session.broken


# Folders.


OPENED = """
    S: * FLAGS (\\Deleted)
    S: * 3 EXISTS
    S: * OK [UIDVALIDITY 77] ok
    S: * OK [UIDNEXT 12] ok
    S: {tag} OK [READ-ONLY] done
"""


@pytest.mark.parametrize("piece", [None, 1, 7])
async def test_a_folder_is_opened_wherever_the_network_cuts(world: World, play: Play, piece: int | None) -> None:
    script = f'{READY}\nC: a1 EXAMINE "INBOX"\n{OPENED.format(tag="a1")}'
    async with play(script, piece=piece) as port, world.session(port) as session:
        assert await session.examine("INBOX") == Selected(77, 12, 3)
        assert session.exists == 3


@pytest.mark.parametrize(
    ("folder", "wire"),
    [("Junk E-Mail", '"Junk E-Mail"'), ('a "b"\\c', '"a \\"b\\"\\\\c"'), ("Gelöscht & weg", '"Gel&APY-scht &- weg"')],
)
async def test_folder_names_travel_quoted_in_modified_utf7(world: World, play: Play, folder: str, wire: str) -> None:
    script = f"{READY}\nC: a1 SELECT {wire}\n{OPENED.format(tag='a1')}"
    async with play(script) as port, world.session(port) as session:
        assert (await session.select(folder)).uidnext == 12


async def test_a_folder_that_cannot_be_opened_is_named(world: World, play: Play) -> None:
    async with (
        play(f'{READY}\nC: a1 EXAMINE "Jnuk"\nS: a1 NO [NONEXISTENT] no such mailbox') as port,
        world.session(port) as session,
    ):
        with pytest.raises(CommandRefused, match="does not open the folder 'Jnuk': no such mailbox") as caught:
            await session.examine("Jnuk")
        assert caught.value.reply == "no such mailbox"
        assert not session.broken


@pytest.mark.parametrize(
    ("lines", "uidnext"),
    [
        ("S: * 0 EXISTS\nS: a1 OK done", 1),
        (
            "S: * 2 EXISTS\nS: a1 OK done\nC: a2 UID FETCH * (UID)\nS: * 2 FETCH (UID 41)\nS: a2 OK done",
            42,
        ),
        ("S: * 2 EXISTS\nS: a1 OK done\nC: a2 UID FETCH * (UID)\nS: a2 BAD what?", None),
    ],
)
async def test_a_missing_uidnext_is_found_from_the_last_mail(
    world: World, play: Play, lines: str, uidnext: int | None
) -> None:
    async with play(f'{READY}\nC: a1 EXAMINE "INBOX"\n{lines}') as port, world.session(port) as session:
        selected = await session.examine("INBOX")
        assert (selected.uidnext, selected.uidvalidity) == (uidnext, None)


async def test_expunges_and_new_mails_are_counted_as_they_come(world: World, play: Play) -> None:
    script = f"""{READY}
        C: a1 NOOP
        S: * 5 EXISTS
        S: a1 OK done
        C: a2 NOOP
        S: * 2 EXPUNGE
        S: * 1 EXPUNGE
        S: a2 OK done
        C: a3 NOOP
        S: * 4 EXISTS
        S: a3 OK done
        C: a4 NOOP
        S: + more?
        S: * 4 EXISTS
        S: a4 OK done
    """
    async with play(script) as port, world.session(port) as session:
        await session.noop()
        first_at_s = session.exists_at_s
        await session.noop()
        assert (session.exists, session.exists_at_s) == (3, first_at_s)
        await session.noop()
        assert session.exists == 4
        second_at_s = session.exists_at_s
        assert second_at_s > first_at_s
        await session.noop()
        assert session.exists_at_s == second_at_s


# Mails.

FIELDS = "BODY.PEEK[HEADER.FIELDS (X-Mailtrip Message-ID Subject In-Reply-To References Content-Type)]"


@pytest.mark.parametrize("piece", [None, 1])
async def test_headers_come_by_uid_and_strangers_data_between_them_is_left_out(
    world: World, play: Play, piece: int | None
) -> None:
    script = f"""{READY}
        C: a1 UID FETCH 7:* (UID {FIELDS})
        S: * 9 FETCH (BODY[HEADER.FIELDS (X-MAILTRIP)] {{12}}
        S: Subject: b
        S:  UID 9)
        S: * 4 FETCH (FLAGS (\\Seen))
        S: * 10 EXISTS
        S: * 8 FETCH (UID 8 BODY[HEADER.FIELDS (X-MAILTRIP)] "Subject: a")
        S: a1 OK done
    """.replace("S:  UID 9)", "S: UID 9)")
    async with play(script, piece=piece) as port, world.session(port) as session:
        headers = await session.uid_fetch_headers("7:*")
        assert session.exists == 10
    assert headers == [FetchedHeader(8, b"Subject: a"), FetchedHeader(9, b"Subject: b\r\n")]
    assert "Subject: b" not in world.dialogue


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("S> * 3 FETCH (UID 7 BODY[] {5}\\r\\nA\\r\\n\\r\\n FLAGS (\\\\Seen))\\r\\n", b"A\r\n\r\n"),
        ("S: * 3 FETCH (UID 8 BODY[] {0}\nS: )", None),
        ("S: * 3 FETCH (UID 7 BODY[] NIL)", None),
        ("S: * 3 FETCH (FLAGS ())", None),
    ],
)
async def test_a_message_is_fetched_whole_or_is_gone(
    world: World, play: Play, reply: str, message: bytes | None
) -> None:
    script = f"{READY}\nC: a1 UID FETCH 7 (UID BODY.PEEK[])\n{reply}\nS: a1 OK done"
    async with play(script) as port, world.session(port) as session:
        assert (await session.uid_fetch_messages([7])).get(7) == message


async def test_a_fetch_that_cannot_be_read_is_a_protocol_error(world: World, play: Play) -> None:
    script = f"{READY}\nC: a1 UID FETCH 7 (UID BODY.PEEK[])\nS: * 3 FETCH (UID 7\nS: a1 OK done"
    async with play(script) as port, world.session(port) as session:
        with pytest.raises(ProtocolError, match="FETCH that cannot be read"):
            await session.uid_fetch_messages([7])


async def test_searches_collect_what_the_server_found(world: World, play: Play) -> None:
    script = f"""{READY}
        C: a1 UID SEARCH HEADER "X-Mailtrip" "tok\\"en"
        S: * SEARCH 9 4
        S: * SEARCH 4 (MODSEQ 917162500) {"9" * 5000}
        S: a1 OK done
        C: a2 UID SEARCH CHARSET UTF-8 HEADER "Subject" {{3}}
        S: + go
        C: äx
        S: * SEARCH
        S: a2 OK done
    """
    async with play(script) as port, world.session(port) as session:
        assert await session.uid_search_header("X-Mailtrip", 'tok"en') == [4, 9]
        assert await session.uid_search_header("Subject", "äx") == []


async def test_mails_are_flagged_expunged_moved_and_copied_by_uid(world: World, play: Play) -> None:
    script = f"""{READY}
        C: a1 UID STORE 4:5,9 +FLAGS.SILENT (\\Deleted)
        S: a1 OK done
        C: a2 UID EXPUNGE 4:5
        S: a2 OK done
        C: a3 EXPUNGE
        S: a3 OK done
        C: a4 UID MOVE 4 "[Gmail]/Trash"
        S: * OK [COPYUID 1 4 7] moved
        S: a4 OK done
        C: a5 UID COPY 4 "Ablage"
        S: a5 OK done
        C: a6 UID SEARCH UID 4:6
        S: * SEARCH 6 88
        S: a6 OK done
    """
    async with play(script) as port, world.session(port) as session:
        await session.uid_store_deleted([9, 4, 5])
        await session.uid_expunge([4, 5])
        await session.expunge()
        await session.uid_move([4], "[Gmail]/Trash")
        await session.uid_copy([4], "Ablage")
        assert await session.uids_present([4, 5, 6]) == {6}
        await session.uid_store_deleted([])
        assert await session.uids_present([]) == set()


async def test_a_refused_command_breaks_nothing(world: World, play: Play) -> None:
    script = f"""{READY}
        C: a1 UID MOVE 4 "Trash"
        S: a1 NO [TRYCREATE] no such folder
        C: a2 NOOP
        S: a2 OK done
    """
    async with play(script) as port, world.session(port) as session:
        with pytest.raises(CommandRefused, match="answered NO when moving mails to 'Trash': no such folder"):
            await session.uid_move([4], "Trash")
        await session.noop()


async def test_of_mails_that_are_fetched_together_one_may_be_gone(world: World, play: Play) -> None:
    script = f"""{READY}
        C: a1 UID FETCH 7:9 (UID BODY.PEEK[])
        S: * 3 FETCH (BODY[] "nine" UID 9)
        S: * 1 FETCH (FLAGS ())
        S: * 2 FETCH (UID 7 BODY[] "seven")
        S: * 4 FETCH (UID 12 BODY[] "twelve")
        S: a1 OK done
    """
    async with play(script) as port, world.session(port) as session:
        assert await session.uid_fetch_messages([7, 8, 9]) == {7: b"seven", 9: b"nine"}
        assert await session.uid_fetch_messages([]) == {}


# Push.

MOMENT_S = 0.02  # real, and more than nothing


async def idle(session: ImapSession, for_s: float, wake: asyncio.Event | None = None) -> bool:
    """Wait so long, or until a mail came: whether one did."""
    before, until_s = session.exists_at_s, SystemClock().now() + for_s

    def due_s() -> float:
        return 0.0 if session.exists_at_s > before else until_s

    await session.idle(due_s, wake or asyncio.Event())
    return session.exists_at_s > before


async def test_idle_returns_with_the_push_and_can_be_issued_again(world: World, play: Play) -> None:
    script = f"""{READY}
        C: a1 IDLE
        S: * OK still here
        S: + idling
        S: * OK still here
        S: * 1 EXISTS
        C: DONE
        S: a1 OK done
        C: a2 IDLE
        S: + idling
        S: * 2 EXISTS
        C: DONE
        S: * 1 RECENT
        S: a2 OK done
    """
    async with play(script) as port, world.session(port) as session:
        assert await idle(session, 60)
        first_at_s = session.exists_at_s
        assert await idle(session, 60)
        assert (session.exists, session.exists_at_s > first_at_s) == (2, True)


async def test_a_mail_that_is_told_before_idle_began_ends_it_at_once(world: World, play: Play) -> None:
    script = f"{READY}\nC: a1 IDLE\nS: * 1 EXISTS\nS: + idling\nC: DONE\nS: a1 OK done"
    async with play(script) as port, world.session(port) as session:
        assert await idle(session, 60)


async def test_idle_ends_when_its_time_is_over(world: World, play: Play) -> None:
    async with (
        play(f"{READY}\nC: a1 IDLE\nS: + idling\nC: DONE\nS: a1 OK done") as port,
        world.session(port) as session,
    ):
        assert not await idle(session, MOMENT_S)
        assert not session.broken


async def test_a_mail_that_comes_while_idle_ends_counts(world: World, play: Play) -> None:
    script = f"{READY}\nC: a1 IDLE\nS: + idling\nC: DONE\nS: * 1 EXISTS\nS: a1 OK done"
    async with play(script) as port, world.session(port) as session:
        assert await idle(session, MOMENT_S)


async def test_idle_asks_anew_how_long_when_somebody_wakes_it(world: World, play: Play) -> None:
    wake, due_s = asyncio.Event(), [SystemClock().now() + 60] * 2
    script = f"{READY}\nC: a1 IDLE\nS: + idling\nC: DONE\nS: a1 OK done"
    async with play(script) as port, world.session(port) as session:
        waiting = asyncio.create_task(session.idle(lambda: due_s.pop() if due_s else 0.0, wake))
        while waiting not in asyncio.all_tasks() or len(due_s) == 2:
            await asyncio.sleep(0)
        wake.set()
        while due_s:
            await asyncio.sleep(0)
        assert not waiting.done()
        wake.set()
        assert await waiting


@pytest.mark.parametrize("refusal", ["BAD unknown command", "NO not here", "OK strange"])
async def test_a_refused_idle_is_not_tried_again_and_only_waits(world: World, play: Play, refusal: str) -> None:
    async with play(f"{READY}\nC: a1 IDLE\nS: a1 {refusal}") as port, world.session(port) as session:
        assert not await idle(session, MOMENT_S)
        assert not await idle(session, MOMENT_S)


async def test_without_idle_a_mail_told_unasked_still_ends_the_wait(world: World, play: Play) -> None:
    async with play("S: * OK ready\nS: * 4 EXISTS") as port, world.session(port) as session:
        assert await idle(session, 60)
        assert session.exists == 4


async def test_an_idle_that_the_server_ends_needs_no_done(world: World, play: Play) -> None:
    script = f"{READY}\nC: a1 IDLE\nS: + idling\nS: a1 OK too long\nC: a2 NOOP\nS: a2 OK done"
    async with play(script) as port, world.session(port) as session:
        assert not await session.idle(lambda: math.inf, asyncio.Event())
        await session.noop()


@pytest.mark.parametrize("end", ["S: * BYE idle for too long", "CLOSE", "S: a7 OK what?"])
async def test_an_idle_that_breaks_is_a_protocol_error(world: World, play: Play, end: str) -> None:
    async with play(f"{READY}\nC: a1 IDLE\nS: + idling\n{end}") as port, world.session(port) as session:
        with pytest.raises(ProtocolError, match="waiting for mail"):
            await idle(session, 60)
        assert session.broken


async def test_a_cancelled_idle_leaves_the_session_broken_and_no_task_behind(world: World, play: Play) -> None:
    async with play(f"{READY}\nC: a1 IDLE\nS: + idling\nS: * 0 RECENT") as port, world.session(port) as session:
        task = asyncio.create_task(idle(session, 60))
        while "< * 0 RECENT" not in world.dialogue:
            await asyncio.sleep(0)
        before = asyncio.all_tasks() - {task}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.broken
        assert asyncio.all_tasks() == before


async def test_each_header_says_when_the_server_told_of_its_mail(world: World, play: Play) -> None:
    """Two mails are told of one after the other, then an older one goes: both have moved up, their instants stay."""
    script = f"""{READY}
        C: a1 NOOP
        S: * 5 EXISTS
        S: a1 OK done
        C: a2 NOOP
        S: * 6 EXISTS
        S: * 2 EXPUNGE
        S: a2 OK done
        C: a3 UID FETCH 7:* (UID {FIELDS})
        S: * 4 FETCH (UID 7 BODY[HEADER.FIELDS (X-MAILTRIP)] "Subject: a")
        S: * 5 FETCH (UID 8 BODY[HEADER.FIELDS (X-MAILTRIP)] "Subject: b")
        S: a3 OK done
    """
    async with play(script) as port, world.session(port) as session:
        await session.noop()
        first_told_s = session.exists_at_s
        await session.noop()
        second_told_s = session.exists_at_s
        headers = await session.uid_fetch_headers("7:*")
    assert first_told_s < second_told_s
    assert [header.told_at_s for header in headers] == [first_told_s, second_told_s]
