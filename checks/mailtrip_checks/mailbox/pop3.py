"""A maildrop on a POP3 server: one short session a look, because a session locks the maildrop (RFC 1939 §4).

Message numbers are good in one session only, so a mail is found, proved ours, retrieved and marked for deletion in the
same session; the server removes it at QUIT, and only its +OK makes that certain (RFC 1939 §6).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import Refused, TripError, Undeleted
from mailtrip_checks.gates import Turns
from mailtrip_checks.identity import Sighting, has_expired, may_delete, sight
from mailtrip_checks.mailbox.pop3_newcomers import Newcomers
from mailtrip_checks.mailbox.waiting import UNPROVED, Arrival, Common, Deletion, Doomed, Waiter, refuse
from mailtrip_checks.mailbox.watch import Mailbox
from mailtrip_checks.outcome import Bracket, Stage
from mailtrip_checks.trips import Receive, Search
from mailtrip_checks.wire.pop3 import LoginTooSoon, MaildropBusy, Pop3Session
from mailtrip_checks.wire.transcript import Stages

SWEEP_NEWEST = 200


@dataclass(frozen=True, slots=True)
class _Find:
    """A mail that ends the waiting of `waiter`, with its number in this session."""

    waiter: Waiter
    sighting: Sighting
    number: int
    unique_id: str
    bracket: Bracket
    mail: bytes
    stages: tuple[Stage, ...]


class Pop3Mailbox(Mailbox):
    """Watches what is not in the UIDL list that it noted; see `Mailbox`. `turns` lets one session in at a time."""

    first_gap_s = 1.0

    def __init__(self, receive: Receive, common: Common, turns: Turns) -> None:
        self._turns = turns
        self._newcomers = Newcomers()
        self._maildrop = (receive.at.host.lower(), receive.at.port, receive.at.user)
        super().__init__(receive, common)

    @asynccontextmanager
    async def _session(self, stages: Stages) -> AsyncGenerator[Pop3Session]:
        """A session that holds the maildrop; leaves by QUIT, or drops the connection (nothing is deleted then)."""
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._turns.of(self._maildrop))
            await self.clock.sleep(self._delay_s())
            session = await self.common.gates.enter(self.endpoint, held, lambda: self._dial(stages), self._warn_once)
            self.host = session.reached
            self._turns.not_before_s[self._maildrop] = self.clock.now() + (session.login_delay_s or 0)
            try:
                yield session
            finally:
                await session.close()

    async def _dial(self, stages: Stages) -> Pop3Session:
        stages.taken.clear()  # of a login before, which the server had no room for
        return await Pop3Session.open(
            self.endpoint,
            self.common.network,
            step_timeout_s=self.receive.step_timeout_s,
            stages=stages,
            transcript=self.transcript,
            warn=self._warn_once,
        )

    def _delay_s(self) -> float:
        return max(self._turns.not_before_s[self._maildrop] - self.clock.now(), 0.0)

    def _warn_once(self, text: str) -> None:
        if text not in self.ears.warnings:
            self.ears.warnings.append(text)

    async def _begin(self) -> None:
        await self._once_free(self._note_what_is_there)

    async def _once_free(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take the step; again and again, within its timeout, while somebody else holds the maildrop."""
        until_s = self.clock.now() + self.receive.step_timeout_s
        while True:
            try:
                return await step()
            except (MaildropBusy, LoginTooSoon) as busy:
                if self.clock.now() >= until_s:
                    raise
                self.transcript.note(f"{busy.what}; trying again")
            await self._pause(self.first_gap_s)

    async def _note_what_is_there(self) -> None:
        stages = Stages(self.clock, Leg.MAILBOX)
        try:
            async with self._session(stages) as session:
                with stages.of("select"):
                    if self.receive.search is not Search.ALL:
                        await self._newcomers.ignore_what_is_there(session)
                with suppress(TripError):  # nothing was marked, so nothing hangs on how the server says goodbye
                    await session.quit()
        finally:
            self.opening = tuple(stages.taken)

    async def _reconnect(self) -> None:
        """Nothing to do: each look connects anew."""

    def _gap_after_s(self, error: TripError) -> float:
        gap_s = super()._gap_after_s(error)
        # Who holds the maildrop needs a moment to leave it, also before a last look.
        return max(gap_s, self.first_gap_s) if isinstance(error, MaildropBusy | LoginTooSoon) else gap_s

    async def _look(self, *, thorough: bool) -> float:
        begun_at_s = self.clock.now()
        stages = Stages(self.clock, Leg.MAILBOX)
        async with self._session(stages) as session:
            finds, looked_at, unread = await self._find(session, thorough=thorough)
            doomed = [find for find in finds if self._is_doomed(find)]
            started_at_s = self.clock.now()
            failed = await self._remove(session, doomed)
            if doomed:
                stages.add("delete", started_at_s, self.clock.now())
        self._newcomers.looked_at(looked_at, deleted=[find.number for find in doomed])
        for find in finds:
            if not find.waiter.arrived.done():
                deletion = self.deletion_of(find.sighting, find.waiter.receive)
                if deletion is not None:
                    self._settle(find, deletion, failed if find in doomed else Undeleted(UNPROVED))
                session_stages = self._stages_of(find, finds, stages)
                self._arrive(find.waiter, Arrival(find.sighting, find.bracket, find.mail, session_stages, deletion))
        if unread and not finds:
            # Ours may be among them, so nobody can say that it is not there.
            raise Refused(f"{self.host} refused TOP of mail {unread[0]}, so it is not known whose it is")
        return begun_at_s

    def _settle(self, find: _Find, deletion: asyncio.Future[Deletion], failed: TripError | None) -> None:
        if failed is None:
            deletion.set_result(Deletion())
        elif isinstance(failed, Refused | Undeleted):
            refuse(deletion, Undeleted(f"the deletion is not certain: {failed.what}"))
        else:
            now_s, receive = self.clock.now(), find.waiter.receive
            self._doomed.append(
                Doomed(find.sighting, 0, None, receive, now_s, deletion, find.unique_id, broke=failed.what)
            )

    async def _remove(self, session: Pop3Session, doomed: Sequence[_Find]) -> TripError | None:
        """Mark them and leave, by which they go; gives what makes that uncertain."""
        try:
            for find in doomed:
                await session.dele(find.number)
            await session.quit()
        except TripError as error:
            return error
        return None

    def _stages_of(self, find: _Find, finds: Sequence[_Find], stages: Stages) -> tuple[Stage, ...]:
        """The session's stages, which the first find pays for, and the find's own."""
        shared = find is not finds[0]
        session = (Stage(s.leg, s.name, s.started_at_s, s.length_s, shared) for s in stages.taken)
        return (*session, *find.stages)

    async def _find(self, session: Pop3Session, *, thorough: bool) -> tuple[list[_Find], set[str], list[int]]:
        """What ends a waiting, the unique ids of all that was looked at, and the numbers of what could not be."""
        started_at_s = self.clock.now()
        finds: list[_Find] = []
        looked_at: set[str] = set()
        unread: list[int] = []
        for number, unique_id in await self._newcomers.unseen(session, thorough=thorough):
            header = await session.top(number)
            if header is None:
                unread.append(number)  # the next look asks again
                continue
            looked_at.add(unique_id)
            waited = self.waiter_for(header)
            if waited and waited[0] not in [find.waiter for find in finds]:
                finds.append(await self._retrieve(session, (number, unique_id), waited, started_at_s))
        return finds, looked_at, unread

    async def _retrieve(
        self, session: Pop3Session, listed: tuple[int, str], waited: tuple[Waiter, Sighting], started_at_s: float
    ) -> _Find:
        # RETR sets \Seen where the maildrop is an IMAP mailbox too: only now that TOP has shown whose mail it is.
        waiter, sighting = waited
        seen_at_s = self.clock.now()
        mail = await session.retr(listed[0])
        find = Stage(Leg.MAILBOX, "find", started_at_s, seen_at_s - started_at_s)
        fetch = Stage(Leg.MAILBOX, "fetch", seen_at_s, self.clock.now() - seen_at_s)
        return _Find(waiter, sighting, *listed, Bracket(waiter.missed_at_s, seen_at_s), mail, (find, fetch))

    def _is_doomed(self, find: _Find) -> bool:
        receive = find.waiter.receive
        proved = sight(find.mail, self.common.key) == find.sighting
        return receive.delete.wanted and proved and may_delete(find.sighting, dedicated=receive.mailbox_is_dedicated)

    async def _delete(self, doomed: Sequence[Doomed]) -> None:
        """Those of which nobody knows whether the session that found them, and broke, deleted them."""
        await self._once_free(partial(self._delete_again, doomed))

    async def _delete_again(self, doomed: Sequence[Doomed]) -> None:
        async with self._session(Stages(self.clock, Leg.MAILBOX)) as session:
            numbers = {unique_id: number for number, unique_id in await session.uidl()}
            for one in doomed:
                number = numbers.get(one.unique_id)
                if number is None:
                    continue
                if sight(await session.top(number) or b"", self.common.key) == one.sighting:
                    await session.dele(number)
                else:
                    refuse(one.done, Undeleted(f"the deletion is not certain: {UNPROVED}"))
            await session.quit()
        for one in doomed:
            if not one.done.done():
                one.deleted()

    async def _sweep(self) -> None:
        now = self.clock.wall()
        expired = 0
        async with self._session(Stages(self.clock, Leg.MAILBOX)) as session:
            for number, _ in (await session.uidl())[-SWEEP_NEWEST:]:
                header = await session.top(number)
                if header and has_expired(sight(header, self.common.key), now):
                    await session.dele(number)
                    expired += 1
            await session.quit()
        if expired:
            self.transcript.note(f"removed {expired} expired mails that earlier runs left")

    async def _end(self) -> None:
        """Nothing to do: no session outlives its look."""
