"""Which mailboxes are watched: trips that wait at the same one share its watcher."""

import asyncio
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Self

from mailtrip_checks.errors import Cancelled
from mailtrip_checks.gates import Turns
from mailtrip_checks.mailbox.imap import ImapMailbox
from mailtrip_checks.mailbox.listen import ListenMailbox
from mailtrip_checks.mailbox.pop3 import Pop3Mailbox
from mailtrip_checks.mailbox.waiting import Arrival, Common, Waiter
from mailtrip_checks.mailbox.watch import CLOSE_WITHIN_S, Mailbox
from mailtrip_checks.outcome import Stage
from mailtrip_checks.trips import Protocol, Receive
from mailtrip_checks.wire.transcript import Excerpt

CLOSE_IN_HASTE_S = 1.0


@dataclass(slots=True)
class _Use:
    mailbox: Mailbox
    users: int = 0


class Watch:
    """A trip's place at a mailbox: `async with` opens it, or raises what keeps it from being opened.

    It can be asked what happened whether or not it could be opened. Made by `Mailboxes.watch`.
    """

    def __init__(self, mailboxes: "Mailboxes", receive: Receive, token: str, key: Hashable, *, sends: bool) -> None:
        self._mailboxes = mailboxes
        self._receive = receive
        self._token = token
        self._key = key
        self._sends = sends
        self._mailbox: Mailbox | None = None
        self._waiter: Waiter | None = None
        self._mark = 0

    async def __aenter__(self) -> Self:
        self._mailbox = self._mailboxes.enter(self._key, self._receive, self._token)
        self._mark = 0 if self._pays else self._mailbox.transcript.mark()
        try:
            await self._mailbox.opened()
        except BaseException:
            await self._leave(in_haste=True)
            raise
        self._waiter = self._mailbox.join(self._token, self._receive)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        if self._mailbox and self._waiter:
            self._mailbox.leave(self._waiter)
        await self._leave(in_haste=kind is asyncio.CancelledError)

    async def _leave(self, *, in_haste: bool) -> None:
        await asyncio.shield(self._mailboxes.leave(self._key, self._receive, sends=self._sends, in_haste=in_haste))

    @property
    def _pays(self) -> bool:
        return self._mailbox is not None and self._mailbox.payer == self._token

    def _open(self) -> tuple[Mailbox, Waiter]:
        if self._mailbox is None or self._waiter is None:
            raise Cancelled("the mailbox is not open")
        return self._mailbox, self._waiter

    def expect(self, since_s: float, size_bytes: int) -> None:
        """The mail, about so large, may be there since `since_s`: looks begin."""
        mailbox, waiter = self._open()
        mailbox.expect(waiter, since_s, size_bytes)

    async def arrival(self, until_s: float) -> Arrival:
        """The mail; see `Mailbox.arrival`."""
        mailbox, waiter = self._open()
        return await mailbox.arrival(waiter, until_s)

    # What happened.

    @property
    def host(self) -> str:
        return self._mailbox.host if self._mailbox else f"{self._receive.at.host}:{self._receive.at.port}"

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._mailbox.ears.warnings) if self._mailbox else ()

    @property
    def opening(self) -> tuple[Stage, ...]:
        """The stages of the connection, marked shared where another trip opened it."""
        stages = self._mailbox.opening if self._mailbox else ()
        return tuple(replace(stage, shared=not self._pays) for stage in stages)

    @property
    def said(self) -> tuple[Excerpt, ...]:
        """What was said in this mailbox while the trip was there."""
        return (self._mailbox.transcript.since(self._mark, self._token),) if self._mailbox else ()


class Mailboxes:
    """The mailboxes of a run. `plan` them first, so that the last trip of each is known."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._turns = Turns()
        self._open: dict[Hashable, _Use] = {}
        self._planned: Counter[Hashable] = Counter()

    def plan(self, receives: Iterable[Receive]) -> None:
        """These trips will come; after the last of a mailbox it is swept."""
        self._planned.update(_place(receive) for receive in receives)

    def forget(self, receive: Receive) -> None:
        """One of these trips will not come."""
        self._planned[_place(receive)] -= 1

    def watch(self, receive: Receive, token: str, *, own: bool, sends: bool = True) -> Watch:
        """A place at the mailbox, on a connection of its own where `own`; who only connects deletes nothing there."""
        own = own and receive.at.protocol is not Protocol.LISTEN  # a port has one listener
        return Watch(self, receive, token, (_way(receive), token if own else None), sends=sends)

    def enter(self, key: Hashable, receive: Receive, token: str) -> Mailbox:
        """For Watch: one more user; the first one pays for the connection."""
        use = self._open.get(key)
        if use is None:
            use = self._open[key] = _Use(self._make(receive))
            use.mailbox.payer = token
        use.users += 1
        return use.mailbox

    async def leave(self, key: Hashable, receive: Receive, *, sends: bool, in_haste: bool) -> None:
        """For Watch: one user less; the last one closes the mailbox, and sweeps nothing where it is `in_haste`."""
        use = self._open[key]
        use.users -= 1
        place = _place(receive)
        self._planned[place] -= sends
        use.mailbox.sweeps = sends and self._planned[place] == 0 and not in_haste
        if use.users == 0 and not use.mailbox.stays_open:
            del self._open[key]
            await use.mailbox.close(CLOSE_IN_HASTE_S if in_haste else CLOSE_WITHIN_S)

    async def close(self) -> None:
        """Close what stayed open; the run is over."""
        for use in [use for use in self._open.values() if use.mailbox.stays_open]:
            await use.mailbox.close(CLOSE_IN_HASTE_S)

    def _make(self, receive: Receive) -> Mailbox:
        match receive.at.protocol:
            case Protocol.IMAP:
                return ImapMailbox(receive, self._common)
            case Protocol.POP3:
                return Pop3Mailbox(receive, self._common, self._turns)
            case Protocol.LISTEN:
                return ListenMailbox(receive, self._common)
            case Protocol.SMTP | Protocol.SENDMAIL:
                raise Cancelled(f"{receive.at.name} takes mail, but holds no mailbox")


def _place(receive: Receive) -> Hashable:
    """Where mail lies: what is swept once."""
    at = receive.at
    return at.host, at.port, at.user, receive.mailbox


def _way(receive: Receive) -> Hashable:
    """A place and how it is watched: what trips can share."""
    if receive.at.protocol is Protocol.LISTEN:
        return receive.at.protocol, receive.at.host, receive.at.port
    return receive.at, receive.mailbox, receive.search, receive.push, receive.step_timeout_s
