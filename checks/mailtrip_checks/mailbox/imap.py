"""A mailbox on an IMAP server: one connection, which watches by EXAMINE and selects only to delete."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import ProtocolError, Undeleted
from mailtrip_checks.identity import HEADER, Sighting, has_expired, may_delete, sight
from mailtrip_checks.mailbox.imap_removal import remove
from mailtrip_checks.mailbox.waiting import UNPROVED, Arrival, Common, Deletion, Doomed, Waiter, refuse
from mailtrip_checks.mailbox.watch import APART_A_TRIP_S, MOST_APART_TOLD_S, PROMPT_S, Mailbox
from mailtrip_checks.outcome import Bracket, Stage
from mailtrip_checks.trips import Receive, Search
from mailtrip_checks.wire.imap import FetchedHeader, ImapSession, Selected
from mailtrip_checks.wire.imap_command import uid_sets
from mailtrip_checks.wire.transcript import Stages

# A server may drop a client after 30 minutes without a command (RFC 3501 §5.4, RFC 2177).
_KEEP_ALIVE_S = 29 * 60.0
_FROM_THE_FIRST = 1
_MOST_FETCHED_BYTES = 256 * 1024  # at once, by what was sent: a step has its time for one command
_ONLY_FLAGGED = "flagged \\Deleted, but it stays until somebody expunges: the server has no UIDPLUS to remove it alone"


@dataclass(frozen=True, slots=True)
class _Find:
    """A mail that ends the waiting of `waiter`, and the look that found it."""

    uid: int
    waiter: Waiter
    sighting: Sighting
    bracket: Bracket
    find: Stage


class ImapMailbox(Mailbox):
    """Watches what comes since the UIDNEXT that it noted; see `Mailbox`."""

    def __init__(self, receive: Receive, common: Common) -> None:
        self._held = AsyncExitStack()
        self._session: ImapSession | None = None
        self._uidvalidity: int | None = None
        self._next_uid = _FROM_THE_FIRST
        self._known_at_s = 0.0
        self._unread_left = False
        self._is_selected = False
        self._examined_at_s = 0.0
        super().__init__(receive, common)

    @property
    def session(self) -> ImapSession:
        """The open session; `_begin` made it."""
        if self._session is None:
            raise ProtocolError("the mailbox is not open")
        return self._session

    async def _begin(self) -> None:
        self._session = await self.common.gates.enter(self.endpoint, self._held, self._dial, self.ears.warnings.append)
        stages = Stages(self.clock, Leg.MAILBOX)
        try:
            selected = await self._examine(stages)
        finally:
            self.opening += tuple(stages.taken)
        self._uidvalidity = selected.uidvalidity
        if self.receive.search is Search.NEW:
            self._next_uid = selected.uidnext or _FROM_THE_FIRST
            self._known_at_s = self.session.exists_at_s

    async def _dial(self) -> ImapSession:
        stages = Stages(self.clock, Leg.MAILBOX)
        try:
            return await ImapSession.open(
                self.endpoint,
                self.common.network,
                step_timeout_s=self.receive.step_timeout_s,
                stages=stages,
                transcript=self.transcript,
                warn=self.ears.warnings.append,
            )
        finally:
            self.opening = tuple(stages.taken)

    async def _examine(self, stages: Stages) -> Selected:
        self.host = self.session.reached
        with stages.of("select"):
            return await self.session.examine(self.receive.mailbox)

    async def _reconnect(self) -> None:
        await self.session.close()
        paid = self.opening
        try:
            self._session = await self.common.gates.login(self.endpoint, self._dial)
        finally:
            self.opening = paid
        self._selected_again(await self._examine(Stages(self.clock, Leg.MAILBOX)))

    async def _watch_again(self) -> None:
        """Open the folder read-only where a deletion has selected it; not before somebody waits, or looks."""
        if self._is_selected:
            self._selected_again(await self.session.examine(self.receive.mailbox))

    def _selected_again(self, selected: Selected) -> None:
        """UIDs are good under one UIDVALIDITY (RFC 3501 §2.3.1.1); under another all must be read anew."""
        if selected.uidvalidity != self._uidvalidity:
            self._uidvalidity = selected.uidvalidity
            self._next_uid = _FROM_THE_FIRST
        self._known_at_s = 0.0
        self._examined_at_s = self.session.exists_at_s
        self._is_selected = False

    async def _look(self, *, thorough: bool) -> float:
        await self._watch_again()
        started_at_s = self.clock.now()
        told = self.receive.push and self._told_meanwhile() and not thorough
        if not told:
            known = self.session.exists
            await self.session.noop()
            # Of which it had not told: who relies on it would see such a mail late.
            self._tells_promptly &= self.session.exists <= known
        mails = await self._unread(thorough=thorough)
        ended_at_s = self.clock.now()
        find = Stage(Leg.MAILBOX, "find", started_at_s, ended_at_s - started_at_s)
        found: dict[Waiter, _Find] = {}
        for mail in mails:
            waited = self.waiter_for(mail.header)
            if waited and waited[0] not in found:
                missed_at_s = waited[0].missed_at_s
                seen_at_s = mail.told_at_s if mail.told_at_s >= missed_at_s else ended_at_s
                self._tells_promptly |= told and self._examined_at_s < mail.told_at_s <= missed_at_s + PROMPT_S
                found[waited[0]] = _Find(mail.uid, *waited, Bracket(missed_at_s, seen_at_s), find)
                self.transcript.note(f"found, UID {mail.uid}:\n{mail.header.decode('utf-8', 'backslashreplace')}")
        missing = [one.uid for batch in _batches(found.values()) for one in await self._take(batch)]
        # Not before, and not past what is missing: a mail that could not be fetched must be found again.
        self._next_uid = min(missing, default=max((mail.uid + 1 for mail in mails), default=self._next_uid))
        self._unread_left = bool(missing)
        # What was told of is all that is known to have come: there may be more of which the server has not told.
        return -math.inf if told else started_at_s

    async def _unread(self, *, thorough: bool) -> list[FetchedHeader]:
        if self.receive.search is Search.SERVER:
            return await self._search()
        if self.session.exists_at_s <= self._known_at_s and not thorough and not self._unread_left:
            return []
        known_at_s = self.session.exists_at_s
        mails = await self.session.uid_fetch_headers(f"{self._next_uid}:*")
        # `n:*` gives the last mail even where its UID is below n (RFC 3501 §6.4.8).
        self._known_at_s = known_at_s
        return [mail for mail in mails if mail.uid >= self._next_uid]

    async def _search(self) -> list[FetchedHeader]:
        self._known_at_s = self.session.exists_at_s
        mails: list[FetchedHeader] = []
        for waiter in [waiter for waiter in self._waiters.values() if waiter.active]:
            uids = await self.session.uid_search_header("Subject", waiter.token)
            for uid_set in uid_sets(uids):
                mails += await self.session.uid_fetch_headers(uid_set)
        return mails

    async def _take(self, finds: Sequence[_Find]) -> list[_Find]:
        """Fetch the mails for those who wait for them; gives those that could not be fetched."""
        started_at_s = self.clock.now()
        messages = await self.session.uid_fetch_messages([one.uid for one in finds])
        now_s = self.clock.now()
        fetch = Stage(Leg.MAILBOX, "fetch", started_at_s, now_s - started_at_s)
        for one in finds:
            if one.uid in messages and not one.waiter.arrived.done():
                receive = one.waiter.receive
                deletion = self.deletion_of(one.sighting, receive)
                if deletion is not None:
                    self._doomed.append(Doomed(one.sighting, one.uid, self._uidvalidity, receive, now_s, deletion))
                stages = (one.find, fetch)
                self._arrive(one.waiter, Arrival(one.sighting, one.bracket, messages[one.uid], stages, deletion))
        return [one for one in finds if one.uid not in messages]

    async def _rest(self, until_s: float = math.inf) -> None:
        until_s = min(until_s, self.clock.now() + _KEEP_ALIVE_S)
        if self._is_selected and not self._waiters:
            await self._pause(until_s - self.clock.now())
        else:
            await self._listen(until_s)
        if self.clock.now() >= until_s:
            await self.session.noop()

    async def _listen(self, until_s: float) -> None:
        await self._watch_again()
        push = self.receive.push
        if not push or not await self.session.idle(lambda: min(self._due_s(), until_s), self._wake):
            # Also where the server ended the IDLE by itself: to begin another at once could go on without end.
            await super()._rest(until_s)

    @property
    def _look_due_s(self) -> float:
        if not self._told_meanwhile():
            return self._look_at_s
        return min(self._look_at_s, self._looked_at_s + min(len(self._waiters) * APART_A_TRIP_S, MOST_APART_TOLD_S))

    def _told_meanwhile(self) -> bool:
        """Whether the server told of a mail that a look should read: IDLE would not tell of it again."""
        told = self.session.exists_at_s > self._known_at_s
        return told and any(waiter.active for waiter in self._waiters.values())

    async def _delete(self, doomed: Sequence[Doomed]) -> None:
        started_at_s = self.clock.now()
        self._is_selected = True
        selected = await self.session.select(self.receive.mailbox)
        proved = await self._prove(await self._places(doomed, selected.uidvalidity))
        for one in doomed:
            if one not in proved.values() and not one.done.done():
                one.gone()
        for folder in {one.receive.delete.move_to for one in proved.values()}:
            mails = {uid: one for uid, one in proved.items() if one.receive.delete.move_to == folder}
            await self._remove(mails, folder, started_at_s)

    async def _places(self, doomed: Sequence[Doomed], uidvalidity: int | None) -> dict[int, Doomed]:
        """The UID of each in this selection; found again by the token where UIDVALIDITY has changed."""
        places: dict[int, Doomed] = {}
        for one in doomed:
            if uidvalidity is not None and one.uidvalidity == uidvalidity:
                places[one.uid] = one
            else:
                uids = await self.session.uid_search_header("Subject", one.sighting.token)
                places |= dict.fromkeys(uids[-1:], one)
        return places

    async def _prove(self, good: dict[int, Doomed]) -> dict[int, Doomed]:
        """Those that are, read again in this selection, still the mails that may be deleted; the others are spared."""
        proved: dict[int, Doomed] = {}
        mails: list[FetchedHeader] = []
        for uid_set in uid_sets(good):
            mails += await self.session.uid_fetch_headers(uid_set)
        for mail in mails:
            if (one := good.get(mail.uid)) is None:
                continue
            is_it = sight(mail.header, self.common.key) == one.sighting
            if is_it and may_delete(one.sighting, dedicated=one.receive.mailbox_is_dedicated):
                proved[mail.uid] = one
            else:
                refuse(one.done, Undeleted(UNPROVED))
        return proved

    async def _remove(self, mails: dict[int, Doomed], folder: str | None, started_at_s: float) -> None:
        dedicated = all(one.receive.mailbox_is_dedicated for one in mails.values())
        try:
            removed = await remove(self.session, sorted(mails), folder, dedicated=dedicated)
        except Undeleted as error:
            for one in mails.values():
                refuse(one.done, error)
            return
        left = await self.session.uids_present(mails) if removed else set[int]()
        for uid, one in mails.items():
            if not removed:
                one.done.set_result(Deletion(_ONLY_FLAGGED, self._deletion(started_at_s)))
            elif uid in left:
                refuse(one.done, Undeleted(f"the server kept the mail with UID {uid} after it was expunged"))
            else:
                one.deleted(self._deletion(started_at_s))

    def _deletion(self, started_at_s: float) -> Stage:
        return Stage(Leg.MAILBOX, "delete", started_at_s, self.clock.now() - started_at_s)

    async def _sweep(self) -> None:
        uids = await self._expired(await self.session.uid_search_header(HEADER, ""))
        if not uids:
            return  # and no SELECT, which would take \Recent from the mails of others
        await self.session.select(self.receive.mailbox)
        uids = await self._expired(uids)
        # What can only be flagged stays, and would be copied anew at the end of every run.
        moves = self.session.has("MOVE") or self.session.has("UIDPLUS")
        removed = await remove(self.session, uids, self.receive.delete.move_to if moves else None, dedicated=False)
        done = "removed" if removed else "flagged as deleted"
        self.transcript.note(f"{done}: {len(uids)} expired mails that earlier runs left")

    async def _expired(self, uids: Iterable[int]) -> list[int]:
        """Those of the UIDs under which, in the present selection, a mail of ours lies that is past its time."""
        now = self.clock.wall()
        expired: list[int] = []
        for uid_set in uid_sets(uids):
            mails = await self.session.uid_fetch_headers(uid_set)
            expired += [mail.uid for mail in mails if has_expired(sight(mail.header, self.common.key), now)]
        return expired

    async def _end(self) -> None:
        try:
            if self._session is not None:
                # LOGOUT from a selected mailbox expunges nothing; CLOSE would (RFC 3501 §6.4.2).
                await self._session.logout()
        finally:
            await self._held.aclose()


def _batches(finds: Iterable[_Find]) -> Iterator[list[_Find]]:
    """The finds in parts that are fetched at once."""
    batch: list[_Find] = []
    size_bytes = 0
    for one in finds:
        size_bytes += one.waiter.size_bytes
        if batch and size_bytes > _MOST_FETCHED_BYTES:
            yield batch
            batch, size_bytes = [], one.waiter.size_bytes
        batch.append(one)
    if batch:
        yield batch
