"""An IMAP session: from an endpoint to a folder, its mails, and the push that tells of new ones (RFC 3501)."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from mailtrip_checks.errors import ProtocolError, TimedOut, TlsFailed
from mailtrip_checks.trips import Auth, Endpoint, Security
from mailtrip_checks.wire import mutf7
from mailtrip_checks.wire.connect import Network, StarttlsRefused, secured
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.imap_command import Part, astring, uid_sets
from mailtrip_checks.wire.imap_dialogue import Answer, CommandRefused, Dialogue
from mailtrip_checks.wire.imap_folders import ListedFolder, listed
from mailtrip_checks.wire.imap_idle import idle
from mailtrip_checks.wire.imap_login import log_in
from mailtrip_checks.wire.imap_parser import Condition, Fetched, as_number, fetched
from mailtrip_checks.wire.sasl_oauth import hold_token
from mailtrip_checks.wire.stream import open_stream
from mailtrip_checks.wire.transcript import Stages, Transcript

__all__ = ["CommandRefused", "FetchedHeader", "ImapSession", "Selected"]

# What `identity.sight` reads.
_FIELDS = b"X-Mailtrip Message-ID Subject In-Reply-To References Content-Type"
_HEADER = b"(UID BODY.PEEK[HEADER.FIELDS (" + _FIELDS + b")])"
_FOLDER_ADVICE = "Check the folder's name (servers differ: Junk, INBOX.Junk, [Gmail]/Spam) and the user's rights on it."


@dataclass(frozen=True, slots=True)
class Selected:
    """A folder as it was opened. `uidvalidity` is None where UIDs hold for this session only; `uidnext` is None where
    the server would not tell.
    """

    uidvalidity: int | None
    uidnext: int | None
    exists: int


@dataclass(frozen=True, slots=True)
class FetchedHeader:
    """The fields of a mail that tell whose it is, as they stand in it.

    `told_at_s` is the instant at which the bytes came that told of the mail.
    """

    uid: int
    header: bytes = field(repr=False)
    told_at_s: float = field(default=0.0, compare=False)


class ImapSession:
    """A logged-in connection, made by `open`; one command at a time, each bounded by the step's timeout.

    Any command raises TimedOut, or ProtocolError where the server closes or sends no IMAP; after that, or when it was
    cancelled, the session is `broken` and can only be closed. NO and BAD raise CommandRefused and break nothing.
    """

    def __init__(self, dialogue: Dialogue, endpoint: Endpoint, stages: Stages) -> None:
        self._dialogue = dialogue
        self._endpoint = endpoint
        self._stages = stages
        self._preauthenticated = False

    @staticmethod
    async def open(
        endpoint: Endpoint,
        network: Network,
        *,
        step_timeout_s: float,
        stages: Stages,
        transcript: Transcript,
        warn: Callable[[str], None],
    ) -> "ImapSession":
        """Connect, secure and log in by the endpoint; stages `resolve`, `connect`, `tls`, `login`.

        Raises Unresolved, Unreachable, TimedOut, TlsFailed, Refused, LoginFailed, TokenFailed, ProtocolError.
        """

        token = await hold_token(endpoint, network, stages)

        async def dial(tls: bool) -> ImapSession:
            dialogue = await _dial(endpoint, network, step_timeout_s, stages, transcript, tls=tls)
            session = ImapSession(dialogue, endpoint, stages)
            try:
                with stages.of("connect"):
                    session._preauthenticated = (await dialogue.greeting()).condition is Condition.PREAUTH
            except BaseException:
                await session.close()
                raise
            return session

        session = await secured(endpoint, dial, warn)
        try:
            if endpoint.auth is not Auth.NONE:
                with stages.of("login"):
                    await session._log_in(token)
        except BaseException:
            await session.close()
            raise
        return session

    # What `secured` calls.

    async def offers_starttls(self) -> bool:
        """Whether STARTTLS can be used here; raises TlsFailed for a greeting that rules out what was required."""
        with self._stages.of("connect"):
            if self._preauthenticated and self._endpoint.security is Security.STARTTLS:
                # Who strips TLS can do it by a forged PREAUTH, after which STARTTLS is not allowed (RFC 9051 §11.1).
                raise TlsFailed(f"{self._dialogue.stream.host} greets with PREAUTH, which rules out STARTTLS")
            return not self._preauthenticated and "STARTTLS" in await self._capabilities()

    async def starttls(self) -> None:
        """Switch to TLS; raises StarttlsRefused, or TlsFailed for the handshake or for injected plaintext."""
        with self._stages.of("tls"):
            try:
                await self._dialogue.ask("asking for STARTTLS", b"STARTTLS")
            except CommandRefused as refused:
                raise StarttlsRefused(refused.what, reply=refused.reply) from refused
            await self._dialogue.start_tls()

    async def close(self) -> None:
        """Drop the connection without a word."""
        await self._dialogue.close()

    # The session.

    @property
    def host(self) -> str:
        """`name:port [address]` of the server."""
        return self._dialogue.stream.host

    @property
    def reached(self) -> str:
        """`host`, and how the connection is secured."""
        return self._dialogue.stream.reached

    @property
    def broken(self) -> bool:
        """Whether it can only be closed."""
        return self._dialogue.broken

    @property
    def exists(self) -> int:
        """The number of mails in the folder, as far as the server told."""
        return self._dialogue.exists

    @property
    def exists_at_s(self) -> float:
        """The instant at which the bytes came that told of the last rise of `exists`."""
        return self._dialogue.exists_at_s

    def has(self, capability: str) -> bool:
        """Whether the server said after the login that it has this, for example UIDPLUS, MOVE, IDLE, UNSELECT."""
        return capability in (self._dialogue.capabilities or ())

    async def noop(self) -> None:
        """Let the server tell what is new; `exists` is then up to date."""
        await self._dialogue.ask("looking for mail", b"NOOP")

    async def logout(self) -> None:
        """Say goodbye and close; bounded in time, raises nothing but CancelledError."""
        await self._dialogue.leave()

    # The folder.

    async def examine(self, folder: str) -> Selected:
        """Open a folder read-only; raises CommandRefused naming it."""
        return await self._open_folder(b"EXAMINE", folder)

    async def select(self, folder: str) -> Selected:
        """Open a folder to change it, which takes \\Recent from its mails; raises CommandRefused naming it."""
        return await self._open_folder(b"SELECT", folder)

    async def _open_folder(self, verb: bytes, folder: str) -> Selected:
        self._dialogue.folder_left()
        doing = f"opening the folder {folder!r}"
        answer = await self._dialogue.command(doing, verb, astring(mutf7.encode(folder)))
        if not answer.ok:
            text = self._dialogue.masked(answer.final.text)
            what = f"{self._dialogue.stream.host} does not open the folder {folder!r}: {text}"
            raise CommandRefused(what, reply=text, advice=_FOLDER_ADVICE)
        uidnext = answer.number("UIDNEXT")
        if uidnext is None:
            uidnext = await self._find_uidnext(doing)
        return Selected(answer.number("UIDVALIDITY"), uidnext, self.exists)

    async def _find_uidnext(self, doing: str) -> int | None:
        """One more than the last mail's UID: at most the true UIDNEXT, so nothing new can lie below."""
        if not self.exists:
            return 1
        answer = await self._dialogue.command(doing, b"UID FETCH * (UID)")
        uids = [mail.uid for mail in self._fetched(answer) if mail.uid is not None]
        return max(uids) + 1 if uids else None

    async def folders(self) -> list[ListedFolder]:
        """The user's folders that can be opened, with the server's marks (LIST; RFC 6154 where the server has it)."""
        marks = (b"RETURN (SPECIAL-USE)",) if self.has("LIST-EXTENDED") and self.has("SPECIAL-USE") else ()
        answer = await self._dialogue.ask("listing the folders", b"LIST", b'""', b'"*"', *marks)
        folders = [folder for data in answer.data("LIST") if (folder := listed(data))]
        return [folder for folder in folders if not folder.is_marked("\\Noselect")]

    # Its mails.

    async def uid_fetch_headers(self, uid_set: str) -> list[FetchedHeader]:
        """The identifying fields of the mails in a set (`7,9:12`, `7:*`), by UID; leaves \\Seen alone.

        `n:*` also names the last mail where its UID is below n (RFC 3501 §6.4.8).
        """
        answer = await self._dialogue.ask("fetching headers", b"UID FETCH", uid_set.encode("ascii"), _HEADER)
        headers = {
            mail.uid: FetchedHeader(mail.uid, mail.header, self._dialogue.told_at_s(mail.number))
            for mail in self._fetched(answer)
            if mail.uid is not None and mail.header is not None
        }
        return [headers[uid] for uid in sorted(headers)]

    async def uid_fetch_messages(self, uids: Collection[int]) -> dict[int, bytes]:
        """The whole mails, by UID, of those that are still there; leaves \\Seen alone."""
        messages: dict[int, bytes] = {}
        for uid_set in uid_sets(uids):
            parts = b"UID FETCH", uid_set.encode("ascii"), b"(UID BODY.PEEK[])"
            for mail in self._fetched(await self._dialogue.ask("fetching mails", *parts)):
                if mail.uid is not None and mail.uid in uids and mail.message:
                    messages[mail.uid] = mail.message
        return messages

    async def uid_search_header(self, field_name: str, value: str) -> list[int]:
        """The UIDs of the mails whose header field contains the value."""
        charset = () if value.isascii() else (b"CHARSET UTF-8",)
        criteria = (b"HEADER", astring(field_name.encode("ascii")), astring(value.encode()))
        return await self._search(*charset, *criteria)

    async def uids_present(self, uids: Iterable[int]) -> set[int]:
        """Those of the UIDs that the folder still holds."""
        wanted = set(uids)
        present: set[int] = set()
        for uid_set in uid_sets(wanted):
            present.update(await self._search(b"UID", uid_set.encode("ascii")))
        return present & wanted

    async def uid_store_deleted(self, uids: Collection[int]) -> None:
        """Flag the mails \\Deleted."""
        await self._for_each_set("flagging mails as deleted", b"UID STORE", uids, b"+FLAGS.SILENT (\\Deleted)")

    async def uid_expunge(self, uids: Collection[int]) -> None:
        """Remove those of these mails that are flagged \\Deleted, and no others (UIDPLUS, RFC 4315 §2.1)."""
        await self._for_each_set("expunging mails", b"UID EXPUNGE", uids)

    async def expunge(self) -> None:
        """Remove every mail of the folder that is flagged \\Deleted, by whomever."""
        await self._dialogue.ask("expunging the folder", b"EXPUNGE")

    async def uid_move(self, uids: Collection[int], folder: str) -> None:
        """Move the mails to another folder (MOVE, RFC 6851)."""
        await self._for_each_set(f"moving mails to {folder!r}", b"UID MOVE", uids, astring(mutf7.encode(folder)))

    async def uid_copy(self, uids: Collection[int], folder: str) -> None:
        """Copy the mails to another folder."""
        await self._for_each_set(f"copying mails to {folder!r}", b"UID COPY", uids, astring(mutf7.encode(folder)))

    async def _for_each_set(self, doing: str, verb: bytes, uids: Iterable[int], *rest: Part) -> None:
        for uid_set in uid_sets(uids):
            await self._dialogue.ask(doing, verb, uid_set.encode("ascii"), *rest)

    async def _search(self, *criteria: Part) -> list[int]:
        answer = await self._dialogue.ask("searching the folder", b"UID SEARCH", *criteria)
        found = {as_number(word) for data in answer.data("SEARCH") for word in data.words()}
        return sorted(uid for uid in found if uid is not None)

    def _fetched(self, answer: Answer) -> list[Fetched]:
        try:
            return [fetched(data) for data in answer.data("FETCH")]
        except ValueError as error:
            raise ProtocolError(f"{self._dialogue.stream.host} sent a FETCH that cannot be read: {error}") from error

    # Push.

    async def idle(self, until_s: Callable[[], float], wake: asyncio.Event) -> bool:
        """Wait until the instant that `until_s` names, asked anew whenever the server tells something, or `wake` is
        set, which this clears; False where the server ended the wait before.

        IDLE (RFC 2177) lets the server push; without it, or where it is refused, this only waits. A cancelled wait
        leaves the session broken.
        """
        return await idle(self._dialogue, until_s, wake)

    # The login.

    async def _log_in(self, token: str) -> None:
        if self._preauthenticated:
            return
        before = await self._capabilities()
        await log_in(self._dialogue, self._endpoint, before, token)
        if self._dialogue.capabilities is before:
            # The server did not say by itself what it has now, which is more than before.
            self._dialogue.capabilities = None
            await self._capabilities()

    async def _capabilities(self) -> frozenset[str]:
        """What the server has, asked for where it has not said it since the connection last changed."""
        if self._dialogue.capabilities is None:
            await self._dialogue.ask("asking for capabilities", b"CAPABILITY")
        return self._dialogue.capabilities or frozenset()


async def _dial(
    endpoint: Endpoint, network: Network, step_timeout_s: float, stages: Stages, transcript: Transcript, *, tls: bool
) -> Dialogue:
    where = f"{endpoint.host}:{endpoint.port}"
    try:
        async with within(network.clock, step_timeout_s, f"connecting to {where}"):
            stream = await open_stream(endpoint, network, stages, transcript, tls=tls)
    except TimedOut as error:
        # The deadline cancelled the stage that ran; it is the last that was recorded.
        if error.leg is None:
            error.leg, error.stage = stages.leg, stages.taken[-1].name
        raise
    return Dialogue(stream, network, step_timeout_s)
