"""The POP3 client: one short session a look (RFC 1939, CAPA RFC 2449, STLS RFC 2595, AUTH RFC 5034)."""

import hashlib
import re
from collections.abc import Callable, Coroutine

from mailtrip_checks.errors import Busy, LoginFailed, ProtocolError, Refused, TripError
from mailtrip_checks.trips import Auth, Endpoint
from mailtrip_checks.wire import sasl_oauth
from mailtrip_checks.wire.connect import Network, StarttlsRefused, secured
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.login import credentials, other_user, sasl_plain, too_many, wire_bytes
from mailtrip_checks.wire.pop3_dialogue import Dialogue
from mailtrip_checks.wire.pop3_parser import Answer, Status, shown
from mailtrip_checks.wire.sasl_oauth import hold_token
from mailtrip_checks.wire.stream import open_stream
from mailtrip_checks.wire.transcript import Stages, Transcript

_LONGEST_COMMAND_BYTES = 255  # RFC 2449 §4, CRLF included
_TIMESTAMP = re.compile(r"<[^<>\s]+@[^<>\s]+>")
# RFC 1939's own example has no response code: "-ERR maildrop already locked".
_BUSY = re.compile(r"\[IN-USE\]|\b(maildrop|mailbox|mail drop)\b.*\b(locked|lock|busy|in use)\b", re.IGNORECASE)
_TOO_SOON = re.compile(r"\[LOGIN-DELAY\]", re.IGNORECASE)
_NOT_THE_CREDENTIALS = re.compile(r"\[SYS/(TEMP|PERM)\]", re.IGNORECASE)  # RFC 3206
_UNKNOWN_COMMAND = re.compile(
    r"unknown|unrecogni[sz]ed|not (implemented|supported)|unimplemented|unsupported|invalid command", re.IGNORECASE
)


class MaildropBusy(Refused):
    """Somebody else holds the maildrop's lock; to wait and look again is right."""


class LoginTooSoon(Refused):
    """The server wants more time between two logins (LOGIN-DELAY)."""


class Pop3Session:
    """A session with a maildrop; made by `open`, left by `quit` (removes what was marked) or `close` (removes nothing).

    Each step is bounded by the step timeout and raises TimedOut, or ProtocolError where the server talks nonsense or
    closes. After any error but Refused only `close` makes sense.
    """

    def __init__(self, dialogue: Dialogue, stages: Stages) -> None:
        self._dialogue = dialogue
        self._stages = stages
        self._greeting = ""
        self._capabilities: dict[str, tuple[str, ...]] | None = None

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        network: Network,
        *,
        step_timeout_s: float,
        stages: Stages,
        transcript: Transcript,
        warn: Callable[[str], None],
    ) -> "Pop3Session":
        """Connect by the security mode and log in by `endpoint.auth`; stages resolve, connect, tls, login.

        Raises Unresolved, Unreachable, TimedOut, TlsFailed, Refused (MaildropBusy, LoginTooSoon), LoginFailed,
        TokenFailed and ProtocolError.
        """

        token = await hold_token(endpoint, network, stages)

        async def dial(tls: bool) -> Pop3Session:
            async with within(network.clock, step_timeout_s, f"connecting to {endpoint.host}:{endpoint.port}"):
                stream = await open_stream(endpoint, network, stages, transcript, tls=tls)
            session = cls(Dialogue(stream, network, step_timeout_s), stages)
            await session._or_close(session._greet())
            return session

        session = await secured(endpoint, dial, warn)
        await session._or_close(session._log_in(endpoint, token))
        return session

    @property
    def host(self) -> str:
        """`name:port [address]` of the server."""
        return self._dialogue.host

    @property
    def reached(self) -> str:
        """`host`, and how the connection is secured."""
        return self._dialogue.stream.reached

    @property
    def login_delay_s(self) -> int | None:
        """The least time between two logins in seconds, where the server tells it (RFC 2449 §6.5)."""
        words = (self._capabilities or {}).get("LOGIN-DELAY", ())
        return int(words[0]) if words and re.fullmatch(r"[0-9]{1,9}", words[0]) else None

    async def stat(self) -> tuple[int, int]:
        """Number of mails, and their size in bytes."""
        answer = await self._dialogue.must("STAT")
        count, size = (*answer.text.split(), "", "")[:2]
        return self._number(count, "STAT"), self._number(size, "STAT")

    async def uidl(self) -> list[tuple[int, str]]:
        """Number and unique id of every mail, in the server's order."""
        answer = await self._dialogue.ask("UIDL", multiline=True)
        if not answer.ok:
            if _NOT_THE_CREDENTIALS.search(answer.text):
                raise Refused(f"{self.host} refused UIDL", reply=self._dialogue.said(answer))
            what = f"{self.host} has no UIDL, without which one mail cannot be told from another"
            raise ProtocolError(what, reply=self._dialogue.said(answer))
        listed: list[tuple[int, str]] = []
        for line in filter(None, map(shown, answer.body.split(b"\n"))):
            number, _, unique_id = line.partition(" ")
            listed.append((self._number(number, "UIDL"), unique_id.strip()))
        return listed

    async def unique_id(self, number: int) -> str:
        """Of one mail; empty where there is no such mail."""
        answer = await self._dialogue.ask(f"UIDL {number}")
        return answer.text.partition(" ")[2].strip() if answer.ok else ""

    async def top(self, number: int, lines: int = 0) -> bytes | None:
        """The header and the first `lines` of the body, or None where there is no such mail.

        Raises Refused where the server lacks TOP: without it a mail cannot be proved ours before it is touched.
        """
        answer = await self._dialogue.ask(f"TOP {number} {lines}", multiline=True)
        if answer.ok:
            return answer.body
        unlisted = self._capabilities and "TOP" not in self._capabilities
        if unlisted or _UNKNOWN_COMMAND.search(answer.text):
            what = f"{self.host} has no TOP, which is needed to prove a mail ours before it is read"
            raise Refused(what, reply=self._dialogue.said(answer))
        return None

    async def retr(self, number: int) -> bytes:
        """The whole mail. Some servers mark it as seen by that, so only for a mail that is ours."""
        return (await self._dialogue.must(f"RETR {number}", multiline=True)).body

    async def dele(self, number: int) -> None:
        """Mark a mail as deleted; it goes when `quit` returns (RFC 1939 §6)."""
        await self._dialogue.must(f"DELE {number}")

    async def quit(self) -> None:
        """End the session, by which what was marked goes; where this raises, the removal is not certain."""
        try:
            await self._dialogue.must("QUIT")
        finally:
            await self._dialogue.close()

    async def close(self) -> None:
        """Drop the connection, which removes nothing; raises nothing but CancelledError."""
        await self._dialogue.close()

    # Before the maildrop is open.

    async def offers_starttls(self) -> bool:
        """Whether CAPA lists STLS."""
        with self._stages.of("tls"):
            return "STLS" in await self._capable()

    async def starttls(self) -> None:
        """Switch to TLS (RFC 2595 §4); raises StarttlsRefused, or TlsFailed for the handshake."""
        with self._stages.of("tls"):
            answer = await self._dialogue.ask("STLS")
            if not answer.ok:
                raise StarttlsRefused(f"{self.host} refused STLS", reply=self._dialogue.said(answer))
            await self._dialogue.start_tls()
            self._capabilities = None  # what was said in plain text may be forged

    async def _greet(self) -> None:
        with self._stages.of("connect"):
            answer = await self._dialogue.greeting()
            said = self._dialogue.said(answer)
            match answer.status:
                case Status.OK:
                    self._greeting = answer.text
                case Status.ERR:
                    raise _refusal(answer, Refused(f"{self.host} refused the session", reply=said))
                case Status.MORE:
                    raise ProtocolError(f"{self.host} greeted with {said!r}, which is no POP3")

    async def _capable(self) -> dict[str, tuple[str, ...]]:
        """What CAPA lists, asked once; nothing where the server has no CAPA."""
        if self._capabilities is None:
            answer = await self._dialogue.ask("CAPA", multiline=True)
            self._dialogue.stream.transcript.received(answer.body.decode("utf-8", "backslashreplace"))
            words = [shown(line).split() for line in answer.body.split(b"\n")]
            self._capabilities = {first.upper(): tuple(rest) for first, *rest in filter(None, words)}
        return self._capabilities

    async def _log_in(self, endpoint: Endpoint, token: str) -> None:
        if endpoint.auth is Auth.NONE:
            return
        user, password = credentials(endpoint)
        with self._stages.of("login"):
            capabilities = await self._capable()
            match endpoint.auth:
                case Auth.APOP:
                    await self._apop(user, password)
                case Auth.OAUTH2:
                    await self._auth_by_token(endpoint, token)
                case Auth.PLAIN:
                    await self._auth_plain(user, password)
                # A server that lists neither, or has no CAPA, is simply asked: it refuses USER before PASS is sent.
                case Auth.PASSWORD if "USER" not in capabilities and "PLAIN" in capabilities.get("SASL", ()):
                    await self._auth_plain(user, password)
                case Auth.PASSWORD:
                    await self._user_pass(user, password)
                case Auth.LOGIN | Auth.CRAM_MD5:
                    raise LoginFailed(f"POP3 has no `auth: {endpoint.auth}` here", advice="Use `auth: password`.")

    async def _user_pass(self, user: str, password: str) -> None:
        user, password = _line(user, "user"), _line(password, "password")
        await self._login_step(user, f"USER {user}")
        await self._login_step(user, f"PASS {password}", show="PASS ***")

    async def _apop(self, user: str, password: str) -> None:
        timestamp = _TIMESTAMP.search(self._greeting)
        if timestamp is None:
            what = f"the server has no APOP: the greeting of {self.host} holds no timestamp"
            raise LoginFailed(what, reply=self._greeting, advice="Use `auth: password` over TLS.")
        secret = timestamp[0] + password
        digest = hashlib.md5(wire_bytes(secret), usedforsecurity=False).hexdigest()  # RFC 1939 §7 leaves no choice
        await self._login_step(user, f"APOP {_line(user, 'user')} {digest}", show=f"APOP {user} ***")

    async def _auth_plain(self, user: str, password: str) -> None:
        response = sasl_plain(user, password)
        if len(f"AUTH PLAIN {response}\r\n") <= _LONGEST_COMMAND_BYTES:
            await self._login_step(user, f"AUTH PLAIN {response}", show="AUTH PLAIN ***")
            return
        answer = await self._dialogue.ask("AUTH PLAIN")
        if answer.status is not Status.MORE:
            raise self._login_failed(user, answer)
        await self._login_step(user, response, show="***")

    async def _auth_by_token(self, endpoint: Endpoint, token: str) -> None:
        offered = (await self._capable()).get("SASL", ())
        mechanism = sasl_oauth.preferred(offered)
        if mechanism is None:
            names, listed = " or ".join(sasl_oauth.Mechanism), ", ".join(offered) or "no SASL at all"
            advice = "Choose another `auth`; the server may offer OAuth 2 only under TLS."
            raise LoginFailed(f"{self.host} does not offer AUTH {names}; it offers {listed}", advice=advice)
        answer, challenge = await self._sasl(mechanism, sasl_oauth.response(mechanism, endpoint, token))
        if answer.ok:
            return
        error = self._login_failed(endpoint.user, answer)
        if isinstance(error, LoginFailed):
            network = self._dialogue.network
            network.tokens.refused(token)
            error = sasl_oauth.refusal(
                mechanism, endpoint, token, network, host=self.host, challenge=challenge, reply=error.reply
            )
        raise error

    async def _sasl(self, mechanism: sasl_oauth.Mechanism, response: str) -> tuple[Answer, str]:
        """AUTH to its end, and the challenge that came after the response, or nothing: why the server refuses."""
        command, challenge = f"AUTH {mechanism}", ""
        if len(f"{command} {response}\r\n") <= _LONGEST_COMMAND_BYTES:
            answer = await self._dialogue.ask(f"{command} {response}", show=f"{command} ***")
        else:
            answer = await self._dialogue.ask(command)
            if answer.status is Status.MORE:
                answer = await self._dialogue.ask(response, show="***")
        if answer.status is Status.MORE:
            challenge = answer.text
            answer = await self._dialogue.ask(sasl_oauth.last_word(mechanism), show="***")
        return answer, challenge

    async def _login_step(self, user: str, line: str, *, show: str | None = None) -> None:
        answer = await self._dialogue.ask(line, show=show)
        if not answer.ok:
            raise self._login_failed(user, answer)

    def _login_failed(self, user: str, answer: Answer) -> TripError:
        said = self._dialogue.said(answer)
        if answer.status is not Status.ERR:
            return ProtocolError(f"{self.host} answered the login out of turn", reply=said)
        what = f"{self.host} refused the login of {user}"
        return _refusal(answer, LoginFailed(what, reply=said, advice=other_user(user)))

    async def _or_close(self, step: Coroutine[None, None, None]) -> None:
        try:
            await step
        except BaseException:
            await self.close()
            raise

    def _number(self, word: str, command: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", word):
            raise ProtocolError(f"{self.host} answered {command} with something that is no number")
        return int(word)


def _refusal(answer: Answer, otherwise: TripError) -> TripError:
    """What an -ERR before the maildrop is open stands for, by its response code (RFC 2449 §8, RFC 3206)."""
    if too_many(answer.text):
        of_user = isinstance(otherwise, LoginFailed)
        return Busy(otherwise.what, reply=otherwise.reply, of_user=of_user)
    if _BUSY.search(answer.text):
        return MaildropBusy(f"{otherwise.what}: somebody else has the maildrop open", reply=otherwise.reply)
    if _TOO_SOON.search(answer.text):
        return LoginTooSoon(f"{otherwise.what}: it wants more time between two logins", reply=otherwise.reply)
    if _NOT_THE_CREDENTIALS.search(answer.text):
        return Refused(f"{otherwise.what}: it has a problem of its own", reply=otherwise.reply)
    return otherwise


def _line(value: str, what: str) -> str:
    """The value as it may stand on a command line, where POP3 has no quoting."""
    if re.search(r"[\r\n\0]", value):
        reason = f"the {what} holds a line break or a NUL, which POP3 cannot send in a command"
        raise LoginFailed(reason, advice="Use `auth: plain`.")
    return value
