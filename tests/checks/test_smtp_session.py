"""The SMTP leg against servers that play written dialogues; they read as transcripts."""

import asyncio
import base64
import hmac
import ssl
from collections.abc import AsyncIterator, Callable
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
    Deferred,
    LoginFailed,
    ProtocolError,
    Refused,
    Rejected,
    TlsFailed,
    TripError,
    Unreachable,
)
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.trips import Auth, Endpoint, Protocol, Security, Trust, Until
from mailtrip_checks.wire import smtp_bridge
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.smtp import Phase, SmtpSession, Submission
from mailtrip_checks.wire.tls import TlsNotOffered
from mailtrip_checks.wire.transcript import Stages, Transcript

pytestmark = pytest.mark.asyncio

Play = Callable[..., AbstractAsyncContextManager[int]]
Authority = tuple[Path, ssl.SSLContext]

HELLO = "S: 220 mail.example ESMTP\nC: EHLO client.example\n"
GREETED = f"{HELLO}S: 250 mail.example\n"
QUIT = "C: QUIT\nS: 221 bye"
MESSAGE = b"Subject: a\r\n\r\n.\r\nend\r\n"


@dataclass
class Seen:
    """What a session left behind."""

    clock: SystemClock = field(default_factory=SystemClock)
    warnings: list[str] = field(default_factory=list)
    submission: Submission = field(default_factory=Submission)

    def __post_init__(self) -> None:
        self.network = Network(self.clock, Masker([Secret("hunter22")]))
        self.stages = Stages(self.clock, Leg.SMTP)
        self.transcript = Transcript(self.clock, Leg.SMTP, self.network.masker)

    @property
    def dialogue(self) -> list[str]:
        return [f"{line.direction} {line.text}" for line in self.transcript.since(0).lines()]

    @property
    def names(self) -> list[str]:
        return [stage.name for stage in self.stages.taken]

    @property
    def replies(self) -> list[tuple[str, str]]:
        return [(reply.command, reply.text) for reply in self.submission.replies]

    async def submit(
        self,
        session: SmtpSession,
        *recipients: str,
        sender: str = "a@example.org",
        message: bytes = MESSAGE,
        until: Until = Until.DATA,
    ) -> None:
        self.submission = Submission()
        to = recipients or ("b@example.com",)
        await session.submit(sender, to, message, until, self.stages, self.submission)


def endpoint(port: int, auth: Auth = Auth.NONE, security: Security = Security.NONE) -> Endpoint:
    return Endpoint(
        "out", Protocol.SMTP, "localhost", port, security, auth=auth, user="probe", password=Secret("hunter22")
    )


@asynccontextmanager
async def opened(
    at: Endpoint, seen: Seen | None = None, helo: str | None = "client.example"
) -> AsyncIterator[SmtpSession]:
    seen = seen or Seen()
    session = await SmtpSession.open(
        at, seen.network, helo=helo, stages=seen.stages, transcript=seen.transcript, warn=seen.warnings.append
    )
    try:
        yield session
    finally:
        await session.close()


async def refused(at: Endpoint, error: type[TripError], seen: Seen | None = None) -> TripError:
    with pytest.raises(error) as caught:
        async with opened(at, seen):
            pass
    assert type(caught.value) is error
    assert caught.value.leg is Leg.SMTP or type(caught.value) is TlsNotOffered
    return caught.value


# Submitting.


@pytest.mark.parametrize("piece", [None, 1, 2, 7])
async def test_a_whole_session_submits_a_mail(play: Play, piece: int | None) -> None:
    script = f"""{HELLO}
        S: 250-mail.example
        S: 250-SIZE 1000000
        S: 250 8BITMIME
        C: MAIL FROM:<a@example.org> SIZE=22
        S: 250 2.1.0 Ok
        C: RCPT TO:<b@example.com>
        S: 250-2.1.5 more
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 go on
        C: Subject: a
        C: *
        C: ..
        C: end
        C: .
        S: 250 2.0.0 queued as 17
        {QUIT}"""
    seen = Seen()
    async with play(script, piece=piece) as port, opened(endpoint(port), seen) as session:
        before_s = seen.clock.now()
        await seen.submit(session)
        assert session.usable
        assert session.host == f"localhost:{port} [127.0.0.1]"
    submission = seen.submission
    assert submission.phase is Phase.ACCEPTED
    assert submission.mail_from_at_s is not None
    assert submission.accepted_at_s is not None
    assert before_s <= submission.mail_from_at_s < submission.accepted_at_s <= seen.clock.now()
    assert seen.replies == [
        ("MAIL", "250 2.1.0 Ok"),
        ("RCPT", "250 2.1.5 more 2.1.5 Ok"),
        ("DATA", "250 2.0.0 queued as 17"),
    ]
    assert seen.names == ["resolve", "connect", "submit"]
    assert seen.dialogue[1:] == [
        "< 220 mail.example ESMTP",
        "> EHLO client.example",
        "< 250-mail.example",
        "< 250-SIZE 1000000",
        "< 250 8BITMIME",
        "> MAIL FROM:<a@example.org> SIZE=22",
        "< 250 2.1.0 Ok",
        "> RCPT TO:<b@example.com>",
        "< 250-2.1.5 more",
        "< 250 2.1.5 Ok",
        "> DATA",
        "< 354 go on",
        "> (22 bytes of mail)",
        "< 250 2.0.0 queued as 17",
        "> QUIT",
        "< 221 bye",
    ]


async def test_two_mails_go_over_one_connection(play: Play) -> None:
    one = "C: *\nS: 250 a\nC: *\nS: 250 b\nC: DATA\nS: 354 go\nC: *\nC: .\nS: 250 kept\n"
    async with play(f"{GREETED}{one}{one}{QUIT}") as port, opened(endpoint(port)) as session:
        for _ in range(2):
            seen = Seen()
            await seen.submit(session, message=b"no line end")
            assert seen.submission.phase is Phase.ACCEPTED


ENVELOPE = "C: *\nS: 250 a\nC: *\nS: 250 b\n"
RESET = "C: RSET\nS: 250 reset\n"


@pytest.mark.parametrize(
    ("script", "error", "what", "reply"),
    [
        ("C: *\nS: 550 5.7.1 no relay\n", Rejected, "rejected MAIL FROM:<a@example.org>", "550 5.7.1 no relay"),
        ("C: *\nS: 451 4.7.1 wait\n", Deferred, "deferred MAIL FROM:<a@example.org>", "451 4.7.1 wait"),
        ("C: *\nS: 250\nC: *\nS: 550 5.1.1 who?\n", Rejected, "rejected RCPT TO:<b@example.com>", "550 5.1.1 who?"),
        ("C: *\nS: 250\nC: *\nS: 450 grey\n", Deferred, "deferred RCPT TO:<b@example.com>", "450 grey"),
        (f"{ENVELOPE}C: DATA\nS: 554 no\n", Rejected, "rejected the message", "554 no"),
        (f"{ENVELOPE}C: DATA\nS: 354\nC: *\nC: .\nS: 554-spam\nS: 554 really\n", Rejected, "rejected the message",
         "554 spam really"),
        (f"{ENVELOPE}C: DATA\nS: 354\nC: *\nC: .\nS: 452 full\n", Deferred, "deferred the message", "452 full"),
    ],
)  # fmt: skip
async def test_a_refusal_names_what_was_refused_and_leaves_a_clean_session(
    play: Play, script: str, error: type[TripError], what: str, reply: str
) -> None:
    seen = Seen()
    async with play(f"{GREETED}{script}{RESET}{QUIT}") as port, opened(endpoint(port), seen) as session:
        with pytest.raises(error, match=what) as caught:
            await seen.submit(session, message=b"x")
        assert type(caught.value) is error
        assert session.usable
    assert caught.value.reply == reply
    assert (caught.value.leg, caught.value.stage) == (Leg.SMTP, "submit")
    assert seen.replies[-1][1] == reply
    assert seen.submission.phase is Phase.NOT_SENT
    assert seen.submission.accepted_at_s is None


async def test_one_refused_recipient_among_several_keeps_the_mail_from_all(play: Play) -> None:
    script = f"""{GREETED}
        C: MAIL FROM:<a@example.org>
        S: 250
        C: RCPT TO:<b@example.com>
        S: 250
        C: RCPT TO:<{{c}}@example.com>
        S: 550 nobody
        {RESET}{QUIT}"""
    seen = Seen()
    async with play(script) as port, opened(endpoint(port), seen) as session:
        with pytest.raises(Rejected, match=r"RCPT TO:<\{c\}@example.com>"):
            await seen.submit(session, "b@example.com", "{c}@example.com", "d@example.com")
    assert "> DATA" not in seen.dialogue


async def test_until_rcpt_ends_with_rset_and_sends_nothing(play: Play) -> None:
    seen = Seen()
    async with play(f"{GREETED}{ENVELOPE}{RESET}{QUIT}") as port, opened(endpoint(port), seen) as session:
        await seen.submit(session, until=Until.RCPT)
        assert session.usable
    assert seen.submission.phase is Phase.NOT_SENT
    assert [command for command, _ in seen.replies] == ["MAIL", "RCPT"]


@pytest.mark.parametrize("answer", ["S: 500 what", "CLOSE"])
async def test_a_session_that_cannot_be_reset_is_not_used_again(play: Play, answer: str) -> None:
    seen = Seen()
    async with play(f"{GREETED}C: *\nS: 550 no\nC: RSET\n{answer}") as port, opened(endpoint(port)) as session:
        with pytest.raises(Rejected):
            await seen.submit(session)
        assert not session.usable
        with pytest.raises(ProtocolError, match="given up before"):
            await seen.submit(session)


@pytest.mark.parametrize(
    ("script", "error", "phase", "what"),
    [
        ("C: *\nCLOSE", ProtocolError, Phase.NOT_SENT, "closed the connection at MAIL"),
        ("C: *\nS: 250\nC: *\nS> 25\nCLOSE", ProtocolError, Phase.NOT_SENT, "closed the connection at RCPT"),
        (f"{ENVELOPE}C: DATA\nCLOSE", ProtocolError, Phase.IN_DATA, "closed the connection at DATA"),
        (
            f"{ENVELOPE}C: DATA\nS: 354\nC: *\nC: .\nCLOSE",
            ProtocolError,
            Phase.IN_DATA,
            "closed the connection at DATA",
        ),
        ("C: *\nS: 421 4.3.2 going down", Refused, Phase.NOT_SENT, "ended the session at MAIL"),
        (
            f"{ENVELOPE}C: DATA\nS: 354\nC: *\nC: .\nS: 421 too slow",
            Refused,
            Phase.NOT_SENT,
            "ended the session at DATA",
        ),
        ("C: *\nS: hello", ProtocolError, Phase.NOT_SENT, "answered MAIL with `hello`, which is no SMTP reply"),
        ("C: *\nS: 099 odd", ProtocolError, Phase.NOT_SENT, "answered MAIL with `99 odd`, which is no SMTP reply"),
        ("C: *\nS: 354 go on", ProtocolError, Phase.NOT_SENT, "answered MAIL out of turn"),
        (f"{ENVELOPE}C: DATA\nS: 250 ok", ProtocolError, Phase.IN_DATA, "answered DATA out of turn"),
        (
            f"{ENVELOPE}C: DATA\nS: 354\nC: *\nC: .\nS: 354 more",
            ProtocolError,
            Phase.IN_DATA,
            "answered DATA out of turn",
        ),
        ("C: *\nS> 250 a\\r\\n250 b\\r\\n", ProtocolError, Phase.NOT_SENT, "sent something without being asked"),
        ("C: *\nS> 250 a\\r\\n421 bye\\r\\n", Refused, Phase.NOT_SENT, "ended the session"),
    ],
)
async def test_a_dialogue_that_breaks_says_where_and_how_far_it_came(
    play: Play, script: str, error: type[TripError], phase: Phase, what: str
) -> None:
    seen = Seen()
    async with play(f"{GREETED}{script}") as port, opened(endpoint(port), seen) as session:
        with pytest.raises(error, match=what) as caught:
            await seen.submit(session, message=b"x")
        assert type(caught.value) is error
        assert not session.usable
    assert seen.submission.phase is phase
    assert f":{port}" in caught.value.what


async def test_a_cancelled_submission_says_that_the_mail_may_be_on_its_way(play: Play) -> None:
    seen = Seen()
    script = f"{GREETED}{ENVELOPE}C: DATA\nS: 354 go\nC: *\nC: ."
    async with play(script) as port, opened(endpoint(port), seen) as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await seen.submit(session, message=b"x")
        assert not session.usable
    assert seen.submission.phase is Phase.IN_DATA


async def test_a_large_mail_to_a_server_that_stops_reading_can_be_given_up() -> None:
    given_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        for answer in (b"250 hi", b"250 a", b"250 b", b"354 go"):
            await reader.readline()
            writer.write(answer + b"\r\n")
        await given_up.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen = Seen()
    async with server, opened(endpoint(server.sockets[0].getsockname()[1])) as session:
        sending = asyncio.create_task(seen.submit(session, message=b"x" * 20_000_000))
        async with asyncio.timeout(5):
            while seen.submission.phase is not Phase.IN_DATA:
                await asyncio.sleep(0.001)
            sending.cancel()
            await asyncio.wait([sending])
            await session.close()
        assert sending.cancelled()
        given_up.set()
    assert seen.submission.phase is Phase.IN_DATA


async def test_a_greeting_said_twice_is_given_up_before_the_client_has_read_it(play: Play) -> None:
    async with play("S> 220 a\\r\\n220 b\\r\\n") as port:
        await refused(endpoint(port), ProtocolError)


async def test_a_server_that_hangs_up_while_idle_makes_the_session_unusable(play: Play) -> None:
    async with play(f"{GREETED}CLOSE") as port, opened(endpoint(port)) as session:
        async with asyncio.timeout(5):
            while session.usable:
                await asyncio.sleep(0)
        with pytest.raises(ProtocolError, match="closed the connection at MAIL"):
            await Seen().submit(session)


@pytest.mark.parametrize(
    "address", ["a b@example.com", "a@b> SIZE=1", "a\r\nRSET@b", "A <a@b>", '"a\nb"@c', "\udcff@b"]
)
async def test_an_address_that_would_be_a_command_is_not_sent(play: Play, address: str) -> None:
    seen = Seen()
    ehlo = f"{HELLO}S: 250-hi\nS: 250 SMTPUTF8\n"
    async with play(f"{ehlo}{QUIT}") as port, opened(endpoint(port)) as session:
        with pytest.raises(ProtocolError, match="cannot stand in an SMTP command") as caught:
            await seen.submit(session, "fine@example.com", address)
        assert session.usable
    assert caught.value.stage == "submit"
    assert seen.submission.mail_from_at_s is None


@pytest.mark.parametrize(
    "address", ['"a b"@example.com', "a,b@example.com", "a+b@[127.0.0.1]", "weird(name)@example.com"]
)
async def test_an_address_goes_as_it_is_written(play: Play, address: str) -> None:
    script = f"{GREETED}C: MAIL FROM:<{address}>\nS: 250\nC: *\nS: 250\n{RESET}{QUIT}"
    async with play(script) as port, opened(endpoint(port)) as session:
        await Seen().submit(session, sender=address, until=Until.RCPT)


async def test_the_null_sender_is_empty_brackets(play: Play) -> None:
    script = f"{GREETED}C: MAIL FROM:<>\nS: 250\nC: *\nS: 250\n{RESET}{QUIT}"
    async with play(script) as port, opened(endpoint(port)) as session:
        await Seen().submit(session, sender="", until=Until.RCPT)


async def test_an_international_address_needs_smtputf8(play: Play) -> None:
    async with play(f"{GREETED}{QUIT}") as port, opened(endpoint(port)) as session:
        seen = Seen()
        with pytest.raises(Rejected, match=r"does not offer SMTPUTF8, which the address jörg@example\.com needs"):
            await seen.submit(session, "jörg@example.com")
        assert session.usable
    assert seen.submission.mail_from_at_s is None


async def test_eight_bit_text_is_announced_or_warned_about(play: Play) -> None:
    ehlo = f"{HELLO}S: 250-hi\nS: 250-8BITMIME\nS: 250 SMTPUTF8\n"
    mail = "C: MAIL FROM:<a@example.org> BODY=8BITMIME SMTPUTF8\nS: 250\nC: RCPT TO:<jörg@example.com>\nS: 250\n"
    seen = Seen()
    async with play(f"{ehlo}{mail}{RESET}{QUIT}") as port, opened(endpoint(port), seen) as session:
        await seen.submit(session, "jörg@example.com", message="ü\n".encode(), until=Until.RCPT)
    assert seen.warnings == []
    async with play(f"{GREETED}{ENVELOPE}{RESET}{QUIT}") as port, opened(endpoint(port), seen) as session:
        await seen.submit(session, message="ü\n".encode(), until=Until.RCPT)
    assert [warning.split("] ")[1] for warning in seen.warnings] == [
        "does not offer 8BITMIME, but the mail has 8-bit text"
    ]


# Opening.


@pytest.mark.parametrize(
    ("script", "error", "what", "reply"),
    [
        ("CLOSE", Unreachable, "before a greeting", ""),
        ("S> 220 mai\nCLOSE", ProtocolError, "closed the connection at the greeting", "220 mai"),
        ("S: 554 no access", Refused, "refused the session", "554 no access"),
        ("S: 450 too busy", Refused, "refused the session", "450 too busy"),
        ("S: 421 4.3.2 later", Busy, "ended the session at the greeting", "421 4.3.2 later"),
        ("S: 554 Too many connections", Busy, "refused the session", "554 Too many connections"),
        (f"{HELLO}S: 421 later\n", Busy, "ended the session at EHLO", "421 later"),
        ("S: 250 what", ProtocolError, "no SMTP greeting", "250 what"),
        (
            "S: HTTP/1.1 400 Bad Request",
            ProtocolError,
            "greeted with `HTTP/1.1 400 Bad Request`, which is no SMTP$",
            "",
        ),
        ("S: * OK IMAP4rev1", ProtocolError, "greeted with `[*] OK IMAP4rev1`, which is no SMTP$", ""),
        (f"{HELLO}S: 554 5.7.1 bad name\n{QUIT}", Refused, "refused EHLO", "554 5.7.1 bad name"),
        (f"{HELLO}S: 502 what\nC: HELO client.example\nS: 550 no\n{QUIT}", Refused, "refused EHLO", "550 no"),
        (f"{HELLO}CLOSE", ProtocolError, "closed the connection at EHLO", ""),
    ],
)
async def test_a_server_that_begins_badly_is_named_for_what_it_is(
    play: Play, script: str, error: type[TripError], what: str, reply: str
) -> None:
    async with play(script) as port:
        caught = await refused(endpoint(port), error)
    assert caught.reply == reply
    assert caught.stage == "connect"
    with pytest.raises(error, match=what):
        raise caught


async def test_garbage_stands_in_the_transcript(play: Play) -> None:
    seen = Seen()
    async with play("S> \\x80\\x00half a line\nCLOSE") as port:
        await refused(endpoint(port), ProtocolError, seen)
    assert seen.dialogue[-1] == "< \\x80\x00half a line"


async def test_an_endless_line_is_given_up(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_bridge, "_LONGEST_LINE_BYTES", 1000)
    async with play(f"S> {'x' * 100_000}") as port:
        await refused(endpoint(port), ProtocolError)


async def test_a_server_without_esmtp_gets_helo(play: Play) -> None:
    script = f"{HELLO}S: 500 what\nC: HELO client.example\nS: 250 hi\n{ENVELOPE}{RESET}{QUIT}"
    async with play(script) as port, opened(endpoint(port)) as session:
        await Seen().submit(session, until=Until.RCPT)


async def test_without_a_helo_name_the_machine_gives_its_own(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    for hostname, name in [
        ("probe.example.org", "probe.example.org"),
        ("probe", "[127.0.0.1]"),
        ("ü.x", "[127.0.0.1]"),
    ]:
        monkeypatch.setattr("socket.gethostname", lambda hostname=hostname: hostname)
        async with play(f"S: 220 hi\nC: EHLO {name}\nS: 250 hi\n{QUIT}") as port, opened(endpoint(port), helo=None):
            pass


@pytest.mark.parametrize("helo", ["ü.example", "a b", "a\r\nRSET", " "])
async def test_a_name_that_cannot_be_said_is_refused(play: Play, helo: str) -> None:
    async with play(f"S: 220 hi\n{QUIT}") as port:
        with pytest.raises(ProtocolError, match="EHLO cannot be said") as caught:
            async with opened(endpoint(port), helo=helo):
                pass
    assert caught.value.stage == "connect"


@given(data=st.lists(st.sampled_from([b"220", b"250", b"421", b"-", b" ", b"\r\n", b"\n", b"x", b"\xff", b"STARTTLS"])))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_a_server_says_ends_in_an_error_of_ours(play: Play, data: list[bytes]) -> None:
    said = b"".join(data).decode("latin-1").encode("unicode_escape").decode()
    async with play(f"S> {said}\nCLOSE") as port, asyncio.timeout(5):
        with pytest.raises(TripError):
            async with opened(endpoint(port, security=Security.STARTTLS)):
                pass


# Logging in.


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def offering(*mechanisms: str) -> str:
    return f"{HELLO}S: 250-hi\nS: 250 AUTH {' '.join(mechanisms)}\n"


PLAIN = f"C: AUTH PLAIN {encoded(chr(0) + 'probe' + chr(0) + 'hunter22')}\nS: 235 ok\n"
LOGIN = f"C: AUTH LOGIN {encoded('probe')}\nS: 334 {encoded('Password:')}\nC: {encoded('hunter22')}\nS: 235 ok\n"
CRAM = f"""C: AUTH CRAM-MD5
    S: 334 {encoded("<1.2@x>")}
    C: {encoded("probe " + hmac.new(b"hunter22", b"<1.2@x>", "md5").hexdigest())}
    S: 235 ok
"""


@pytest.mark.parametrize(
    ("auth", "offered", "script", "shown"),
    [
        (Auth.PLAIN, ["LOGIN", "PLAIN"], PLAIN, ["> AUTH PLAIN ***"]),
        (Auth.LOGIN, ["PLAIN", "LOGIN"], LOGIN, ["> AUTH LOGIN ***", "> ***"]),
        (Auth.CRAM_MD5, ["PLAIN", "CRAM-MD5"], CRAM, ["> AUTH CRAM-MD5", "> ***"]),
        (Auth.PASSWORD, ["PLAIN", "LOGIN"], PLAIN, ["> AUTH PLAIN ***"]),
        (Auth.PASSWORD, ["LOGIN"], LOGIN, ["> AUTH LOGIN ***", "> ***"]),
        (Auth.PASSWORD, ["PLAIN", "CRAM-MD5"], CRAM, ["> AUTH CRAM-MD5", "> ***"]),
    ],
)
async def test_each_mechanism_logs_in_and_shows_no_credential(
    play: Play, auth: Auth, offered: list[str], script: str, shown: list[str]
) -> None:
    seen = Seen()
    async with play(f"{offering(*offered)}{script}{QUIT}") as port, opened(endpoint(port, auth), seen):
        pass
    assert [line for line in seen.dialogue if line.startswith("> ")][1:-1] == shown
    assert seen.names[-1] == "login"


@pytest.mark.parametrize(
    ("reply", "error", "advice"),
    [
        ("535 5.7.8 wrong", LoginFailed, "Check user and password; the server may want the whole address as `user`."),
        ("454 4.7.0 database down", LoginFailed, "The server cannot check passwords now"),
        ("538 5.7.11 encrypt", LoginFailed, "The server wants TLS before the login"),
        ("334 more", ProtocolError, ""),
        ("421 too many failures", Refused, ""),
        ("421 too many concurrent sessions", Busy, ""),
    ],
)
async def test_a_refused_login_is_not_tried_again(play: Play, reply: str, error: type[TripError], advice: str) -> None:
    end = QUIT if error is LoginFailed else ""
    async with play(f"{offering('PLAIN', 'LOGIN')}C: *\nS: {reply}\n{end}") as port:
        caught = await refused(endpoint(port, Auth.PASSWORD), error)
    assert caught.reply == reply
    assert caught.advice.startswith(advice)
    assert caught.stage == "login"


async def test_a_refused_login_advises_the_part_before_the_at(play: Play) -> None:
    async with play(f"{offering('PLAIN')}C: *\nS: 535 no\n{QUIT}") as port:
        error = await refused(replace(endpoint(port, Auth.PLAIN), user="probe@example.com"), LoginFailed)
    assert "`user: probe`, the part before the @" in error.advice


async def test_a_mechanism_that_is_not_offered_is_not_tried(play: Play) -> None:
    async with play(f"{offering('PLAIN', 'LOGIN')}{QUIT}") as port:
        error = await refused(endpoint(port, Auth.CRAM_MD5), LoginFailed)
    assert error.what.endswith("does not offer AUTH CRAM-MD5; it offers PLAIN, LOGIN")


async def test_a_server_that_wants_tls_first_is_told_by_the_advice(play: Play) -> None:
    async with play(f"{HELLO}S: 250-hi\nS: 250 STARTTLS\n{QUIT}") as port:
        error = await refused(endpoint(port, Auth.PASSWORD), LoginFailed)
    assert error.what.endswith("does not offer AUTH CRAM-MD5 or PLAIN or LOGIN; it offers no login at all")
    assert error.advice.startswith("The server wants TLS before the login")


async def test_a_challenge_that_is_none_ends_the_login(play: Play) -> None:
    async with play(f"{offering('CRAM-MD5')}C: AUTH CRAM-MD5\nS: 334 é") as port:
        await refused(endpoint(port, Auth.CRAM_MD5), ProtocolError)


async def test_a_nul_in_the_password_is_refused_before_it_is_sent(play: Play) -> None:
    async with play(f"{offering('PLAIN')}{QUIT}") as port:
        error = await refused(replace(endpoint(port, Auth.PLAIN), password=Secret("a\0b")), LoginFailed)
    assert "NUL" in error.what


# TLS.


def trusting(port: int, authority: Authority, security: Security) -> Endpoint:
    return replace(endpoint(port, security=security), trust=Trust(ca=authority[0]))


STARTTLS = f"{HELLO}S: 250-hi\nS: 250 STARTTLS\nC: STARTTLS\n"


async def test_starttls_encrypts_and_forgets_what_was_offered_in_plain(play: Play, authority: Authority) -> None:
    seen = Seen()
    script = f"{STARTTLS}S: 220 go\nTLS\nC: EHLO client.example\nS: 250 hi\n{ENVELOPE}{RESET}{QUIT}"
    async with play(script) as port, opened(trusting(port, authority, Security.STARTTLS), seen) as session:
        assert not session._client.supports_extension("starttls")
        await seen.submit(session, until=Until.RCPT)
    assert seen.names == ["resolve", "connect", "tls", "submit"]
    assert any(line.startswith("* TLSv1.") for line in seen.dialogue)


async def test_implicit_tls_encrypts_the_greeting(play: Play, authority: Authority) -> None:
    seen = Seen()
    async with (
        play(f"{GREETED}{QUIT}", tls=True) as port,
        opened(trusting(port, authority, Security.TLS), seen),
    ):
        pass
    assert seen.names == ["resolve", "connect", "tls", "connect"]


async def test_a_certificate_that_nobody_vouches_for_ends_it(play: Play) -> None:
    async with play(f"{STARTTLS}S: 220 go\nTLS") as port:
        error = await refused(endpoint(port, security=Security.STARTTLS_IF_AVAILABLE), TlsFailed)
    assert "is not trusted: unable to get local issuer certificate" in error.what
    assert error.stage == "tls"


async def test_refused_starttls_falls_back_on_a_new_connection_and_says_so(play: Play, authority: Authority) -> None:
    seen = Seen()
    at_port = play(f"{STARTTLS}S: 454 not now\n{QUIT}", f"{GREETED}{QUIT}")
    async with at_port as port, opened(trusting(port, authority, Security.STARTTLS_IF_AVAILABLE), seen):
        pass
    assert len(seen.warnings) == 1
    assert "454 not now" in seen.warnings[0]


async def test_missing_starttls_is_accepted_with_a_warning_or_refused(play: Play) -> None:
    seen = Seen()
    async with (
        play(f"{GREETED}{QUIT}") as port,
        opened(endpoint(port, security=Security.STARTTLS_IF_AVAILABLE), seen),
    ):
        assert len(seen.warnings) == 1
    async with play(f"{GREETED}{QUIT}") as port:
        await refused(endpoint(port, security=Security.STARTTLS), TlsNotOffered)


async def test_tls_if_available_falls_back_where_the_port_speaks_plain(play: Play) -> None:
    seen = Seen()
    async with (
        play("S: 220 plain", f"{GREETED}{QUIT}") as port,
        opened(endpoint(port, security=Security.TLS_IF_AVAILABLE), seen),
    ):
        assert len(seen.warnings) == 1


@pytest.mark.parametrize("injected", ["250 in plain\\r\\n", "2"])
async def test_plain_text_behind_the_answer_to_starttls_is_an_attack(
    play: Play, authority: Authority, injected: str
) -> None:
    async with play(f"{STARTTLS}S> 220 go\\r\\n{injected}") as port:
        error = await refused(trusting(port, authority, Security.STARTTLS), TlsFailed)
    assert "may have injected it" in error.what
