"""The POP3 client against servers that play written dialogues; they read as transcripts."""

import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.pop3 import LoginTooSoon, MaildropBusy, Pop3Session
from mailtrip_checks.wire.tls import TlsNotOffered
from mailtrip_checks.wire.transcript import Stages, Transcript

pytestmark = pytest.mark.asyncio

Play = Callable[..., AbstractAsyncContextManager[int]]
Authority = tuple[Path, ssl.SSLContext]

GREETED = "S: +OK hello <17.4@pop.example>"
NO_CAPA = "C: CAPA\nS: -ERR unknown command"
LOGGED_IN = f"{GREETED}\n{NO_CAPA}\nC: USER probe\nS: +OK\nC: PASS hunter22\nS: +OK 0 messages\n"


@dataclass
class Seen:
    """What a session left behind."""

    clock: SystemClock = field(default_factory=SystemClock)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network = Network(self.clock, Masker([Secret("hunter22")]))
        self.stages = Stages(self.clock, Leg.MAILBOX)
        self.transcript = Transcript(self.clock, Leg.MAILBOX, self.network.masker)

    @property
    def dialogue(self) -> list[str]:
        return [f"{line.direction} {line.text}" for line in self.transcript.since(0).lines()]

    @property
    def names(self) -> list[str]:
        return [stage.name for stage in self.stages.taken]


def endpoint(
    port: int, auth: Auth = Auth.PASSWORD, security: Security = Security.NONE, password: str = "hunter22"
) -> Endpoint:
    return Endpoint(
        "in", Protocol.POP3, "localhost", port, security, auth=auth, user="probe", password=Secret(password)
    )


@asynccontextmanager
async def opened(at: Endpoint, seen: Seen | None = None, step_timeout_s: float = 5) -> AsyncIterator[Pop3Session]:
    seen = seen or Seen()
    session = await Pop3Session.open(
        at,
        seen.network,
        step_timeout_s=step_timeout_s,
        stages=seen.stages,
        transcript=seen.transcript,
        warn=seen.warnings.append,
    )
    try:
        yield session
    finally:
        await session.close()


async def refused(
    at: Endpoint, error: type[TripError], seen: Seen | None = None, step_timeout_s: float = 5
) -> TripError:
    with pytest.raises(error) as caught:
        async with opened(at, seen, step_timeout_s):
            pass
    assert type(caught.value) is error
    return caught.value


# Logging in.


@pytest.mark.parametrize("piece", [None, 1, 2, 7])
async def test_a_whole_session_lists_reads_and_deletes_a_mail(play: Play, piece: int | None) -> None:
    script = f"""{LOGGED_IN}
        C: STAT
        S: +OK 2 320
        C: UIDL
        S: +OK
        S: 1 whqtswO00WBw418f9t5JxYwZ
        S: 2 QhdPYR:00WBw1Ph7x7
        S: .
        C: TOP 2 0
        S: +OK
        S> Subject: a\\r\\n\\r\\n
        S: .
        C: RETR 2
        S: +OK 120 octets
        S> Subject: a\\r\\n\\r\\n..\\r\\nend\\r\\n.\\r\\n
        C: DELE 2
        S: +OK marked
        C: QUIT
        S: +OK bye"""
    seen = Seen()
    async with play(script, piece=piece) as port, opened(endpoint(port), seen) as session:
        assert await session.stat() == (2, 320)
        assert await session.uidl() == [(1, "whqtswO00WBw418f9t5JxYwZ"), (2, "QhdPYR:00WBw1Ph7x7")]
        assert await session.top(2) == b"Subject: a\r\n\r\n"
        assert await session.retr(2) == b"Subject: a\r\n\r\n.\r\nend\r\n"
        await session.dele(2)
        await session.quit()
    assert seen.names == ["resolve", "connect", "login"]
    assert seen.dialogue[1:] == [
        "< +OK hello <17.4@pop.example>",
        "> CAPA",
        "< -ERR unknown command",
        "> USER probe",
        "< +OK ",
        "> PASS ***",
        "< +OK 0 messages",
        "> STAT",
        "< +OK 2 320",
        "> UIDL",
        "< +OK ",
        "* 50 bytes follow",
        "> TOP 2 0",
        "< +OK ",
        "* 14 bytes follow",
        "> RETR 2",
        "< +OK 120 octets",
        "* 22 bytes follow",
        "> DELE 2",
        "< +OK marked",
        "> QUIT",
        "< +OK bye",
    ]


async def test_without_auth_nothing_is_said_after_the_greeting(play: Play) -> None:
    async with play(GREETED) as port, opened(endpoint(port, Auth.NONE)) as session:
        assert session.login_delay_s is None


@pytest.mark.parametrize("password", ["with  blanks ", 'q"uo\\te', "ünïcödé✓", "%${x}"])
async def test_a_password_of_any_characters_is_sent_as_it_is(play: Play, password: str) -> None:
    script = f"{GREETED}\n{NO_CAPA}\nC: USER probe\nS: +OK\nC: PASS {password}\nS: +OK"
    seen = Seen()
    async with play(script) as port, opened(endpoint(port, password=password), seen):
        pass
    assert "> PASS ***" in seen.dialogue


@pytest.mark.parametrize("password", ["a\rb", "a\nb", "a\0b"])
async def test_a_line_break_in_a_password_is_refused_before_anything_is_sent(play: Play, password: str) -> None:
    async with play(f"{GREETED}\n{NO_CAPA}") as port:
        error = await refused(endpoint(port, password=password), LoginFailed)
    assert error.what == "the password holds a line break or a NUL, which POP3 cannot send in a command"
    assert error.advice == "Use `auth: plain`."
    assert (error.leg, error.stage) == (Leg.MAILBOX, "login")


async def test_apop_digests_the_timestamp_of_the_greeting(play: Play) -> None:
    digest = hashlib.md5(b"<1896.697170952@dbc.mtview.ca.us>tanstaaf").hexdigest()
    assert digest == "c4c9334bac560ecc979e58001b3e22fb"  # the example of RFC 1939 §7
    script = f"""
        S: +OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>
        {NO_CAPA}
        C: APOP probe {digest}
        S: +OK"""
    seen = Seen()
    async with play(script) as port, opened(endpoint(port, Auth.APOP, password="tanstaaf"), seen):
        pass
    assert "> APOP probe ***" in seen.dialogue
    assert digest not in "\n".join(seen.dialogue)


async def test_apop_without_a_timestamp_says_that_the_server_has_none(play: Play) -> None:
    async with play(f"S: +OK ready <no timestamp>\n{NO_CAPA}") as port:
        error = await refused(endpoint(port, Auth.APOP), LoginFailed)
    assert error.what.startswith("the server has no APOP")


async def test_auth_plain_sends_its_response_with_the_command(play: Play) -> None:
    response = base64.b64encode(b"\0probe\0hunter22").decode()
    script = f"{GREETED}\n{NO_CAPA}\nC: AUTH PLAIN {response}\nS: +OK"
    seen = Seen()
    async with play(script) as port, opened(endpoint(port, Auth.PLAIN), seen):
        pass
    assert "> AUTH PLAIN ***" in seen.dialogue


async def test_auth_plain_waits_for_the_server_when_the_line_would_be_too_long(play: Play) -> None:
    password = "x" * 200
    response = base64.b64encode(f"\0probe\0{password}".encode()).decode()
    script = f"{GREETED}\n{NO_CAPA}\nC: AUTH PLAIN\nS: + \nC: {response}\nS: +OK"
    seen = Seen()
    async with play(script) as port, opened(endpoint(port, Auth.PLAIN, password=password), seen):
        pass
    assert "> ***" in seen.dialogue


async def test_auth_plain_refused_before_the_response_is_a_failed_login(play: Play) -> None:
    script = f"{GREETED}\n{NO_CAPA}\nC: AUTH PLAIN\nS: -ERR no such mechanism"
    async with play(script) as port:
        error = await refused(endpoint(port, Auth.PLAIN, password="x" * 200), LoginFailed)
    assert error.reply == "-ERR no such mechanism"
    assert error.advice == "Check user and password; the server may want the whole address as `user`."


async def test_auth_plain_cannot_send_a_nul(play: Play) -> None:
    async with play(f"{GREETED}\n{NO_CAPA}") as port:
        error = await refused(endpoint(port, Auth.PLAIN, password="a\0b"), LoginFailed)
    assert "NUL" in error.what


async def test_a_server_that_lists_only_sasl_plain_gets_auth_plain(play: Play) -> None:
    capa = "C: CAPA\nS: +OK\nS: SASL LOGIN PLAIN\nS: TOP\nS: ."
    async with play(f"{GREETED}\n{capa}\nC: *\nS: +OK") as port:
        seen = Seen()
        async with opened(endpoint(port), seen):
            pass
    assert "> AUTH PLAIN ***" in seen.dialogue
    assert "< SASL LOGIN PLAIN" in seen.dialogue


@pytest.mark.parametrize("auth", [Auth.LOGIN, Auth.CRAM_MD5])
async def test_a_mechanism_that_pop3_does_not_have_is_named(play: Play, auth: Auth) -> None:
    async with play(f"{GREETED}\n{NO_CAPA}") as port:
        error = await refused(endpoint(port, auth), LoginFailed)
    assert error.what == f"POP3 has no `auth: {auth}` here"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("-ERR [AUTH] Authentication failed.", LoginFailed),
        ("-ERR invalid password", LoginFailed),
        ("-ERR [IN-USE] Do you have another POP session running?", MaildropBusy),
        ("-ERR maildrop already locked", MaildropBusy),
        ("-ERR account is locked", LoginFailed),
        ("-ERR [IN-USE] Maximum number of connections from user+IP exceeded", Busy),
        ("-ERR too many failed logins", LoginFailed),
        ("-ERR [LOGIN-DELAY] minimum time between mail checks violation", LoginTooSoon),
        ("-ERR [SYS/TEMP] the index is broken", Refused),
        ("+ go on", ProtocolError),
    ],
)
async def test_a_refused_login_ends_as_its_response_code_says(play: Play, answer: str, error: type[TripError]) -> None:
    script = f"{GREETED}\n{NO_CAPA}\nC: USER probe\nS: +OK\nC: PASS hunter22\nS: {answer}"
    async with play(script) as port:
        caught = await refused(endpoint(port), error)
    assert caught.reply == answer
    assert (caught.leg, caught.stage) == (Leg.MAILBOX, "login")


async def test_a_refused_user_never_sees_the_password(play: Play) -> None:
    script = f"{GREETED}\n{NO_CAPA}\nC: USER probe\nS: -ERR [AUTH] plaintext authentication disallowed"
    seen = Seen()
    async with play(script) as port:
        await refused(endpoint(port), LoginFailed, seen)
    assert not any("PASS" in line for line in seen.dialogue)


async def test_a_password_that_the_server_repeats_is_shown_nowhere(play: Play) -> None:
    script = f"{GREETED}\n{NO_CAPA}\nC: USER probe\nS: +OK\nC: *\nS: -ERR hunter22 is wrong"
    seen = Seen()
    async with play(script) as port:
        error = await refused(endpoint(port), LoginFailed, seen)
    assert error.reply == "-ERR *** is wrong"
    assert "hunter22" not in repr(vars(error)) + "\n".join(seen.dialogue)


@pytest.mark.parametrize(
    ("words", "delay_s"),
    [("LOGIN-DELAY 10", 10), ("LOGIN-DELAY 900 USER", 900), ("LOGIN-DELAY", None), ("login-delay x", None)],
)
async def test_the_login_delay_is_what_capa_says(play: Play, words: str, delay_s: int | None) -> None:
    script = f"{GREETED}\nC: CAPA\nS: +OK\nS: USER\nS: {words}\nS: .\nC: USER probe\nS: +OK\nC: *\nS: +OK"
    async with play(script) as port, opened(endpoint(port)) as session:
        assert session.login_delay_s == delay_s


# The greeting.


@pytest.mark.parametrize(
    ("script", "error", "reply"),
    [
        ("CLOSE", Unreachable, ""),
        ("S> +OK he\nCLOSE", ProtocolError, "+OK he"),
        ("S: -ERR go away", Refused, "-ERR go away"),
        ("S: -ERR too many connections", Busy, "-ERR too many connections"),
        ("S: -ERR [IN-USE] try later", MaildropBusy, "-ERR [IN-USE] try later"),
        ("S: + what", ProtocolError, ""),
        ("S: * OK IMAP4rev1 ready", ProtocolError, ""),
        ("S: HTTP/1.1 400 Bad Request", ProtocolError, ""),
        (f"{GREETED}\nC: CAPA\nCLOSE", ProtocolError, ""),
        (f"{GREETED}\nC: CAPA\nS: +OK\nS: TOP\nCLOSE", ProtocolError, ""),
    ],
)
async def test_a_server_that_begins_badly_is_named_for_what_it_is(
    play: Play, script: str, error: type[TripError], reply: str
) -> None:
    async with play(script) as port:
        caught = await refused(endpoint(port), error)
    assert f":{port}" in caught.what or isinstance(caught, MaildropBusy)
    assert caught.reply == reply or not reply
    assert caught.stage in ("connect", "login")


async def test_a_silent_server_is_left_after_the_step_timeout(play: Play) -> None:
    async with play("S> +OK") as port:
        error = await refused(endpoint(port), TimedOut, step_timeout_s=0.05)
    assert error.what == f"the greeting at localhost:{port} [127.0.0.1]: no answer within 0.05 s"


# STLS and TLS.


def trusting(port: int, authority: Authority, security: Security) -> Endpoint:
    return replace(endpoint(port, security=security), trust=Trust(ca=authority[0]))


STLS = f"{GREETED}\nC: CAPA\nS: +OK\nS: STLS\nS: .\nC: STLS\n"
AFTER_TLS = f"{NO_CAPA}\nC: USER probe\nS: +OK\nC: PASS hunter22\nS: +OK"


async def test_stls_encrypts_before_the_login_and_forgets_what_was_said_in_plain(
    play: Play, authority: Authority
) -> None:
    seen = Seen()
    async with (
        play(f"{STLS}S: +OK\nTLS\n{AFTER_TLS}") as port,
        opened(trusting(port, authority, Security.STARTTLS), seen),
    ):
        pass
    assert seen.names == ["resolve", "connect", "tls", "login"]
    assert any(line.startswith("* TLSv1.") for line in seen.dialogue)


async def test_implicit_tls_encrypts_the_greeting(play: Play, authority: Authority) -> None:
    seen = Seen()
    async with (
        play(f"{GREETED}\n{AFTER_TLS}", tls=True) as port,
        opened(trusting(port, authority, Security.TLS), seen),
    ):
        pass
    assert seen.names == ["resolve", "connect", "tls", "connect", "login"]


async def test_a_certificate_that_nobody_vouches_for_ends_it(play: Play) -> None:
    async with play(f"{STLS}S: +OK\nTLS") as port:
        error = await refused(endpoint(port, security=Security.STARTTLS), TlsFailed)
    assert "not trusted" in error.what
    assert error.stage == "tls"


async def test_refused_stls_falls_back_on_a_new_connection_and_says_so(play: Play, authority: Authority) -> None:
    seen = Seen()
    async with (
        play(f"{STLS}S: -ERR not now", LOGGED_IN) as port,
        opened(trusting(port, authority, Security.STARTTLS_IF_AVAILABLE), seen),
    ):
        pass
    assert len(seen.warnings) == 1
    assert "-ERR not now" in seen.warnings[0]


async def test_stls_that_is_required_and_missing_fails_before_the_login(play: Play) -> None:
    async with play(f"{GREETED}\n{NO_CAPA}") as port:
        error = await refused(endpoint(port, security=Security.STARTTLS), TlsNotOffered)
    assert "STARTTLS" in error.what


@pytest.mark.parametrize("injected", ["+OK in plain\\r\\n", "x"])
async def test_plain_text_behind_the_answer_to_stls_is_an_attack(
    play: Play, authority: Authority, injected: str
) -> None:
    async with play(f"{STLS}S> +OK\\r\\n{injected}") as port:
        error = await refused(trusting(port, authority, Security.STARTTLS), TlsFailed)
    assert "may have injected it" in error.what


# The maildrop.


async def logged_in(play: Play, script: str, use: Callable[[Pop3Session], Awaitable[None]]) -> None:
    async with play(f"{LOGGED_IN}\n{script}") as port, opened(endpoint(port)) as session:
        await use(session)


async def test_a_mail_that_is_gone_has_no_top(play: Play) -> None:
    async def use(session: Pop3Session) -> None:
        assert await session.top(9, 3) is None

    await logged_in(play, "C: TOP 9 3\nS: -ERR no such message", use)


@pytest.mark.parametrize("said", ["unknown command", "Unrecognized command", "not implemented", "Invalid command"])
async def test_a_server_without_top_is_refused_for_it(play: Play, said: str) -> None:
    async def use(session: Pop3Session) -> None:
        with pytest.raises(Refused, match="has no TOP"):
            await session.top(1)

    await logged_in(play, f"C: TOP 1 0\nS: -ERR {said}", use)


async def test_a_server_that_does_not_list_top_is_believed(play: Play) -> None:
    script = f"""{GREETED}\nC: CAPA\nS: +OK\nS: USER\nS: .\nC: USER probe\nS: +OK\nC: *\nS: +OK
        C: TOP 1 0
        S: -ERR hm"""
    async with play(script) as port, opened(endpoint(port)) as session:
        with pytest.raises(Refused, match="has no TOP") as caught:
            await session.top(1)
    assert caught.value.reply == "-ERR hm"


async def test_a_server_without_uidl_cannot_be_used(play: Play) -> None:
    async def use(session: Pop3Session) -> None:
        with pytest.raises(ProtocolError, match="has no UIDL"):
            await session.uidl()

    await logged_in(play, "C: UIDL\nS: -ERR unknown command", use)


async def test_an_empty_maildrop_lists_nothing(play: Play) -> None:
    async def use(session: Pop3Session) -> None:
        assert await session.uidl() == []

    await logged_in(play, "C: UIDL\nS: +OK\nS: .", use)


@pytest.mark.parametrize("answer", ["+OK", "+OK two 320", "+OK 2", "+OK -1 5", "+OK ² 5", f"+OK {'9' * 5000} 1"])
async def test_a_number_that_is_none_is_a_protocol_error(play: Play, answer: str) -> None:
    async def use(session: Pop3Session) -> None:
        with pytest.raises(ProtocolError, match="answered STAT with something that is no number"):
            await session.stat()

    await logged_in(play, f"C: STAT\nS: {answer}", use)


@pytest.mark.parametrize("command", ["RETR 1", "DELE 1", "STAT", "QUIT"])
async def test_a_refused_command_is_named_with_its_reply(play: Play, command: str) -> None:
    async def use(session: Pop3Session) -> None:
        steps = {
            "RETR 1": lambda: session.retr(1),
            "DELE 1": lambda: session.dele(1),
            "STAT": session.stat,
            "QUIT": session.quit,
        }
        with pytest.raises(Refused, match=f"refused {command}") as caught:
            await steps[command]()
        assert caught.value.reply == "-ERR some deleted messages not removed"

    await logged_in(play, f"C: {command}\nS: -ERR some deleted messages not removed", use)


async def test_quit_without_an_answer_leaves_the_deletion_uncertain(play: Play) -> None:
    async def use(session: Pop3Session) -> None:
        await session.dele(1)
        with pytest.raises(ProtocolError, match="closed the connection at QUIT"):
            await session.quit()

    await logged_in(play, "C: DELE 1\nS: +OK\nC: QUIT\nCLOSE", use)


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(play: Play) -> None:
    async def use(session: Pop3Session) -> None:
        await session.dele(1)
        with pytest.raises(ProtocolError, match="without being asked") as caught:
            await session.dele(2)
        assert caught.value.reply == "+OK again"
        with pytest.raises(ProtocolError, match="was given up before"):
            await session.quit()

    await logged_in(play, "C: DELE 1\nS> +OK\\r\\n+OK again\\r\\n", use)


async def test_a_step_that_timed_out_leaves_nothing_to_pair_wrongly(play: Play) -> None:
    async with play(f"{LOGGED_IN}\nC: DELE 1") as port, opened(endpoint(port), step_timeout_s=0.2) as session:
        with pytest.raises(TimedOut, match="DELE 1"):
            await session.dele(1)
        with pytest.raises(ProtocolError, match="given up"):
            await session.dele(2)


async def test_close_says_nothing_so_that_nothing_is_deleted(play: Play) -> None:
    async def use(session: Pop3Session) -> None:
        await session.dele(1)
        await session.close()
        await session.close()

    await logged_in(play, "C: DELE 1\nS: +OK", use)


@given(data=st.lists(st.sampled_from([b"+OK", b"-ERR", b"+ ", b" ", b"\r\n", b".", b"1", b"<a@b>", b"\xff", b"STLS"])))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_a_server_says_ends_in_an_error_of_ours_or_a_session(play: Play, data: list[bytes]) -> None:
    said = b"".join(data).decode("latin-1").encode("unicode_escape").decode()
    async with play(f"S> {said}\nCLOSE") as port:
        at = replace(endpoint(port, Auth.APOP), security=Security.STARTTLS)
        with pytest.raises(TripError):
            async with opened(at, step_timeout_s=1):
                pass
