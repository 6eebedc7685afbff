"""The SMTP leg against a server that others wrote: aiosmtpd on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from aiosmtpd.smtp import Session as SmtpdSession

from mailtrip_checks.clock import SystemClock
from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import LoginFailed, Rejected
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.trips import Auth, Endpoint, Protocol, Security, Trust, Until
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.smtp import Phase, SmtpSession, Submission
from mailtrip_checks.wire.transcript import Stages, Transcript

pytestmark = pytest.mark.asyncio

Authority = tuple[Path, ssl.SSLContext]
USER, PASSWORD = "jörg probe@example.com", 'p"a\\s s✓'


@dataclass
class Ledger:
    """What the server took, and how it was said."""

    mails: list[Envelope] = field(default_factory=list[Envelope])
    encrypted: list[bool] = field(default_factory=list[bool])

    async def handle_RCPT(
        self, server: SMTP, session: SmtpdSession, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: SmtpdSession, envelope: Envelope) -> str:
        self.mails.append(envelope)
        assert server.transport is not None
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 2.0.0 kept"


def authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, credentials: LoginPassword
) -> AuthResult:
    expected = LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=credentials == expected, handled=False)


@asynccontextmanager
async def serving(
    ledger: Ledger, *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    protocols: list[SMTP] = []

    def make() -> SMTP:
        protocols.append(
            SMTP(
                ledger,
                loop=loop,
                hostname="mail.example",
                enable_SMTPUTF8=True,
                data_size_limit=100_000,
                tls_context=starttls,
                authenticator=authenticate,
                auth_require_tls=False,
            )
        )
        return protocols[-1]

    server = await loop.create_server(make, "127.0.0.1", 0, ssl=tls)
    try:
        port: int = server.sockets[0].getsockname()[1]
        yield port
        async with asyncio.timeout(5):
            while any(protocol.transport is not None for protocol in protocols):
                await asyncio.sleep(0)
    finally:
        server.close()


def endpoint(
    port: int, security: Security, authority: Authority, auth: Auth = Auth.NONE, password: str = PASSWORD
) -> Endpoint:
    trust = Trust(ca=authority[0])
    return Endpoint(
        "out", Protocol.SMTP, "localhost", port, security, auth, user=USER, password=Secret(password), trust=trust
    )


async def submit(at: Endpoint, message: bytes, *recipients: str, until: Until = Until.DATA) -> Submission:
    submission = Submission()
    clock = SystemClock()
    network = Network(clock, Masker())
    stages = Stages(clock, Leg.SMTP)
    transcript = Transcript(clock, Leg.SMTP, network.masker)
    warnings: list[str] = []
    session = await SmtpSession.open(
        at, network, helo="client.example", stages=stages, transcript=transcript, warn=warnings.append
    )
    try:
        await session.submit("a@example.org", recipients, message, until, stages, submission)
    finally:
        await session.close()
    assert warnings == []
    return submission


MESSAGES = [
    b"Subject: a\r\n\r\nbody\r\n",
    b".\r\n..\r\n...leading\r\n.\r\nend\r\n",
    "Subject: ü\r\n\r\n✓\r\n".encode(),
    b"Subject: long\r\n\r\n" + b"x" * 900 + b"\r\n",
    b"Subject: many\r\n\r\n" + b"." * 60 + b"\r\n" + b"0123456789\r\n" * 8000,
]


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("security", [Security.NONE, Security.STARTTLS, Security.TLS])
async def test_a_mail_arrives_byte_for_byte(message: bytes, security: Security, authority: Authority) -> None:
    ledger = Ledger()
    contexts = {
        Security.NONE: serving(ledger),
        Security.STARTTLS: serving(ledger, starttls=authority[1]),
        Security.TLS: serving(ledger, tls=authority[1]),
    }
    async with contexts[security] as port:
        submission = await submit(endpoint(port, security, authority), message, "b@example.com", "c@example.com")
    assert submission.phase is Phase.ACCEPTED
    assert ledger.encrypted == [security is not Security.NONE]
    (mail,) = ledger.mails
    assert mail.original_content == message
    assert (mail.mail_from, mail.rcpt_tos) == ("a@example.org", ["b@example.com", "c@example.com"])


async def test_bare_line_ends_become_crlf(authority: Authority) -> None:
    ledger = Ledger()
    async with serving(ledger) as port:
        await submit(endpoint(port, Security.NONE, authority), b"Subject: a\n\nb\rc", "b@example.com")
    assert ledger.mails[0].original_content == b"Subject: a\r\n\r\nb\r\nc\r\n"


@pytest.mark.parametrize("auth", [Auth.PLAIN, Auth.LOGIN, Auth.PASSWORD])
async def test_any_characters_log_in(auth: Auth, authority: Authority) -> None:
    ledger = Ledger()
    async with serving(ledger, starttls=authority[1]) as port:
        await submit(endpoint(port, Security.STARTTLS, authority, auth), b"x\r\n", "b@example.com")
    assert ledger.encrypted == [True]


@pytest.mark.parametrize("auth", [Auth.PLAIN, Auth.LOGIN])
async def test_a_wrong_password_fails_the_login(auth: Auth, authority: Authority) -> None:
    async with serving(Ledger()) as port:
        with pytest.raises(LoginFailed) as caught:
            await submit(endpoint(port, Security.NONE, authority, auth, "wrong"), b"x\r\n", "b@example.com")
    assert caught.value.reply.startswith("535 5.7.8")


async def test_a_refused_recipient_keeps_the_mail_from_all(authority: Authority) -> None:
    ledger = Ledger()
    async with serving(ledger) as port:
        with pytest.raises(Rejected, match=r"RCPT TO:<nobody@example\.com>") as caught:
            await submit(endpoint(port, Security.NONE, authority), b"x\r\n", "b@example.com", "nobody@example.com")
    assert caught.value.reply == "550 5.1.1 nobody of that name"
    assert ledger.mails == []


async def test_until_rcpt_leaves_nothing_there(authority: Authority) -> None:
    ledger = Ledger()
    async with serving(ledger) as port:
        submission = await submit(endpoint(port, Security.NONE, authority), b"x\r\n", "b@example.com", until=Until.RCPT)
    assert submission.phase is Phase.NOT_SENT
    assert ledger.mails == []


async def test_an_international_address_arrives_as_it_is(authority: Authority) -> None:
    ledger = Ledger()
    async with serving(ledger) as port:
        await submit(endpoint(port, Security.NONE, authority), b"x\r\n", "jörg@exämple.com")
    assert ledger.mails[0].rcpt_tos == ["jörg@exämple.com"]
    assert ledger.mails[0].smtp_utf8


async def test_a_mail_past_the_limit_is_rejected_by_its_announced_size(authority: Authority) -> None:
    ledger = Ledger()
    async with serving(ledger) as port:
        with pytest.raises(Rejected, match="MAIL FROM") as caught:
            await submit(endpoint(port, Security.NONE, authority), b"x" * 100_001, "b@example.com")
    assert caught.value.reply.startswith("552")
