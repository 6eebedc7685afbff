"""What every mailbox does, whatever its protocol: one task tends it, many trips wait at it.

A trip joins before it sends, so nothing arrives unseen; says when its mail may be there, which starts the looks; awaits
its mail; and has it deleted. The task alone speaks to the server, so no two trips ever share a selection by accident.
Looks are dense at first and grow to the narrowest interval that a waiting trip asked for. Where many trips wait, what
comes within a moment is looked at, and deleted, together.
"""

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress

from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import Cancelled, LoginFailed, Lost, TimedOut, TripError
from mailtrip_checks.identity import Kind, Sighting, counts_as_arrival, may_delete, sight
from mailtrip_checks.mailbox.waiting import (
    Arrival,
    Common,
    Deletion,
    Doomed,
    Ears,
    Waiter,
    break_off,
    lost,
    refuse,
    spare,
)
from mailtrip_checks.outcome import Stage
from mailtrip_checks.trips import Receive
from mailtrip_checks.wire.transcript import Transcript

GAP_GROWTH = 1.6
PAUSE_S = 0.02  # at least, after a look
# While trips still wait, deletions are gathered, longer where more wait: one blinds the watch for a few exchanges.
GATHER_DELETIONS_S, GATHER_A_TRIP_S, MOST_GATHERED_S = 0.5, 0.02, 2.0
# For each trip that waits looks are so much farther apart: up to that for mails of which the server has told, whose
# arrival is known, and up to that for asking whether there is any.
APART_A_TRIP_S, MOST_APART_TOLD_S, MOST_APART_S = 0.004, 0.1, 0.5
# The same where a server has told of a mail so soon after it was sent, or after a look that missed it.
PROMPT_S, PROMPT_APART_A_TRIP_S = 0.06, 0.02
# A loop's timers ring late, for epoll counts in whole ms; so much earlier no bracket grows wider than the interval.
TIMERS_LATE_S = 0.002
CLOSE_WITHIN_S = 10.0


class Mailbox(ABC):
    """One mailbox of a run; `start` it, then `join`, then `close`."""

    first_gap_s = 0.02

    def __init__(self, receive: Receive, common: Common) -> None:
        self.receive = receive
        self.endpoint = receive.at
        self.common = common
        self.clock = common.clock
        self.transcript = Transcript(common.clock, Leg.MAILBOX, common.network.masker)
        self.ears = Ears()
        self.host = f"{self.endpoint.host}:{self.endpoint.port}"
        self.opening: tuple[Stage, ...] = ()
        self.payer: str | None = None
        self.sweeps = False
        self._waiters: dict[str, Waiter] = {}
        self._doomed: list[Doomed] = []
        self._wake = asyncio.Event()
        self._leaving = False
        self._gap_s = self.first_gap_s
        self._crowd = 0
        self._tells_promptly = False
        self._looked_at_s = -math.inf
        self._look_at_s = math.inf
        self._retry_gap_s = 0.0
        self._failed: Exception | None = None
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._tend(), name=f"mailbox {receive.mailbox} at {self.host}")

    # What a protocol does.

    @abstractmethod
    async def _begin(self) -> None:
        """Log in and note what is there; raises TripError."""

    @abstractmethod
    async def _look(self, *, thorough: bool) -> float:
        """See what is new, and `_arrive` each mail that somebody waits for.

        Gives the instant before which nothing can have come unseen; `thorough` trusts nothing that the server told.
        """

    async def _rest(self, until_s: float = math.inf) -> None:
        """Wait until something is due, or that instant has come."""
        while (due_s := min(self._due_s(), until_s)) > self.clock.now():
            self._wake.clear()
            await self._woken(due_s)

    @abstractmethod
    async def _delete(self, doomed: Sequence[Doomed]) -> None:
        """Delete them and settle each `done`."""

    @abstractmethod
    async def _sweep(self) -> None:
        """Remove what earlier runs of this installation left and is past its time."""

    @abstractmethod
    async def _end(self) -> None:
        """Leave the server in good manners; never raises."""

    @abstractmethod
    async def _reconnect(self) -> None:
        """Begin again after a broken connection, without forgetting what has been seen; raises TripError."""

    def _delay_s(self) -> float:
        """How long the server makes us wait before the next look."""
        return 0.0

    @property
    def stays_open(self) -> bool:
        """Whether it stays open until the run ends, also while nobody waits here."""
        return False

    def _lost(self, waiter: Waiter) -> Lost:
        return lost(waiter)

    # What a trip does.

    async def opened(self) -> None:
        """Return once the mailbox is watched; raises why it is not, or no more."""
        await asyncio.shield(self._opened)
        if self._failed:
            raise self._failed

    def join(self, token: str, receive: Receive) -> Waiter:
        """Wait here from now on; the mailbox must be open."""
        waiter = Waiter(token, receive, asyncio.get_running_loop().create_future(), self.clock.now())
        self._waiters[token] = waiter  # until its mail has come
        self._wake.set()
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Wait no more."""
        self._waiters.pop(waiter.token, None)
        waiter.arrived.cancel()
        self._wake.set()

    def expect(self, waiter: Waiter, since_s: float, size_bytes: int) -> None:
        """The mail, about so large, may be there since `since_s`: look at once, then at growing gaps."""
        waiter.active = True
        waiter.missed_at_s = max(waiter.missed_at_s, since_s)
        waiter.size_bytes = size_bytes
        self._gap_s = min(self.first_gap_s, waiter.receive.interval_s)
        self._look_by(self._looked_at_s + self._apart_s(self._gap_s, waiter.receive.interval_s))

    async def arrival(self, waiter: Waiter, until_s: float) -> Arrival:
        """The mail; raises Lost when a look begun after `until_s` has missed it, or what kept us from looking."""
        with suppress(TimeoutError):
            async with self.clock.timeout_at(until_s):
                return await asyncio.shield(waiter.arrived)
        waiter.last_call = True
        self._look_by(-math.inf)
        bound_s = 2 * waiter.receive.step_timeout_s + self._delay_s()
        try:
            async with self.clock.timeout_at(self.clock.now() + bound_s):
                return await asyncio.shield(waiter.arrived)
        except TimeoutError as error:
            where = f"{self.endpoint.host}:{self.endpoint.port}"
            raise TimedOut(f"{where} did not answer the last look within {bound_s:g} s") from error

    async def close(self, within_s: float = CLOSE_WITHIN_S) -> None:
        """Finish what is to be deleted, sweep if this was the mailbox's last use, and log out; bounded in time.

        Raises an error of ours that ended the task.
        """
        self._leaving = True
        self._wake.set()
        if self._opened.done():  # else nothing was seen that could be cleaned up
            with suppress(TimeoutError):
                async with self.clock.timeout_at(self.clock.now() + within_s):
                    await asyncio.wait({self._task})
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()

    # The task.

    async def _tend(self) -> None:
        try:
            await self._begin()
            self._opened.set_result(None)
            while self._doomed or not self._leaving:
                try:
                    await self._turn()
                except TripError as error:
                    await self._recover(error)
            if self.sweeps:
                with suppress(TripError):
                    await self._sweep()
        except TripError as error:
            self._fail(error)
        except Exception as error:
            self._fail(error)
            raise
        except BaseException:
            self._fail(Cancelled("the watch of the mailbox was stopped"))
            raise
        finally:
            await self._end()

    async def _turn(self) -> None:
        now_s = self.clock.now()
        if self._deletions_due_s <= now_s:
            await self._delete_batch(tuple(self._doomed))
        elif self._look_due_s > now_s:
            await self._rest()
        elif not (waiting := self._waiting()):
            self._look_at_s = math.inf
        elif (delay_s := self._delay_s()) > 0:
            await self._pause(delay_s)
        else:
            await self._look_for(waiting, now_s)

    def _waiting(self) -> list[Waiter]:
        """Those whose mail may be there."""
        return [waiter for waiter in self._waiters.values() if waiter.active]

    async def _look_for(self, waiting: Sequence[Waiter], now_s: float) -> None:
        last = [waiter for waiter in waiting if waiter.last_call]
        self._looked_at_s, self._look_at_s, self._crowd = now_s, math.inf, len(waiting)
        try:
            nothing_before_s = await self._look(thorough=bool(last))
        except TripError:
            self._look_at_s = -math.inf
            raise
        self._retry_gap_s = 0.0
        for waiter in waiting:
            if not waiter.arrived.done():
                waiter.looks += 1
                waiter.missed_at_s = max(waiter.missed_at_s, nothing_before_s)
        for waiter in last:
            if not waiter.arrived.done():
                del self._waiters[waiter.token]
                waiter.arrived.set_exception(self._lost(waiter))
        intervals_s = [waiter.receive.interval_s for waiter in waiting if not waiter.arrived.done()]
        if intervals_s:
            # From the beginning of the look, so that what it missed is no older when the next one sees it.
            apart_s = self._apart_s(self._gap_s, min(intervals_s))
            self._look_by(max(now_s + apart_s, self.clock.now() + PAUSE_S))
            self._gap_s *= GAP_GROWTH

    def _apart_s(self, gap_s: float, interval_s: float) -> float:
        """How far apart two looks are: the gap, or more where many trips wait, but never more than the interval.

        Much more where the server has shown that it tells of mails before a look finds them.
        """
        if self._tells_promptly:
            crowd_s = self._crowd * PROMPT_APART_A_TRIP_S
        else:
            crowd_s = min(self._crowd * APART_A_TRIP_S, MOST_APART_S)
        return min(max(gap_s, crowd_s), interval_s - TIMERS_LATE_S)

    def _look_by(self, instant_s: float) -> None:
        """Look then, if not sooner."""
        self._look_at_s = min(self._look_at_s, instant_s)
        self._wake.set()

    @property
    def _look_due_s(self) -> float:
        return self._look_at_s

    @property
    def _deletions_due_s(self) -> float:
        if not self._doomed:
            return math.inf
        if not self._waiters:
            return -math.inf
        gather_s = min(max(GATHER_DELETIONS_S, len(self._waiters) * GATHER_A_TRIP_S), MOST_GATHERED_S)
        return self._doomed[0].since_s + gather_s

    def _due_s(self) -> float:
        """The instant at which there is something to do; changes where `_wake` is set, too."""
        return -math.inf if self._leaving else min(self._look_due_s, self._deletions_due_s)

    async def _delete_batch(self, batch: Sequence[Doomed]) -> None:
        try:
            await self._delete(batch)
        except TripError as error:
            break_off(batch, error)
            raise
        finally:
            self._doomed = [doomed for doomed in self._doomed if not doomed.done.done()]

    async def _recover(self, error: TripError) -> None:
        """Something broke while trips are here: begin again, at growing gaps, until it works or nobody waits any more.

        Raises where trying again could lock the account, and where nobody is left to try for.
        """
        self.transcript.note(f"{error.what}; connecting again")
        self._end_last_calls(error)
        while not self._leaving and not isinstance(error, LoginFailed | Cancelled):
            await self._pause(self._gap_after_s(error))
            self._retry_gap_s = min(max(4 * self._retry_gap_s, self.first_gap_s), self.receive.interval_s)
            try:
                await self._reconnect()
            except TripError as again:
                error = again
            else:
                return
            self._end_last_calls(error)
            spare(self._doomed, error)
            self._doomed.clear()
        raise error

    def _gap_after_s(self, error: TripError) -> float:
        """How long to wait before it is worth while to connect again; not at all before a last look."""
        return 0.0 if any(waiter.last_call for waiter in self._waiters.values()) else self._retry_gap_s

    def _end_last_calls(self, error: TripError) -> None:
        for waiter in self._waiters.values():
            if waiter.last_look_broke:
                refuse(waiter.arrived, error)
            waiter.last_look_broke = waiter.last_call

    async def _pause(self, for_s: float) -> None:
        """Wait so long, or until woken."""
        self._wake.clear()
        await self._woken(self.clock.now() + for_s)

    async def _woken(self, until_s: float) -> None:
        with suppress(TimeoutError):
            async with self.clock.timeout_at(until_s):
                await self._wake.wait()

    def _fail(self, error: Exception) -> None:
        self._failed = error
        refuse(self._opened, error)
        for waiter in self._waiters.values():
            refuse(waiter.arrived, error)
        spare(self._doomed, error)

    # What protocols call.

    def waiter_for(self, header: bytes) -> tuple[Waiter, Sighting] | None:
        """Who waits for the mail with this header block, and what it is to us."""
        sighting = sight(header, self.common.key)
        waiter = self._waiters.get(sighting.token) if sighting else None
        if sighting is None or waiter is None:
            return None
        if sighting.kind is Kind.REPORT and not waiter.reported:
            waiter.reported = True
            self.transcript.note(f"a delivery report about {sighting.token} came; it is no delivery")
        return (waiter, sighting) if counts_as_arrival(sighting, waiter.receive.match) else None

    def _arrive(self, waiter: Waiter, arrival: Arrival) -> None:
        """Its mail has come: it waits no more."""
        del self._waiters[waiter.token]
        waiter.arrived.set_result(arrival)

    @staticmethod
    def deletion_of(sighting: Sighting, receive: Receive) -> asyncio.Future[Deletion] | None:
        """A future for the mail's deletion; None where it is not wanted, or the mail is not ours to delete."""
        if receive.delete.wanted and may_delete(sighting, dedicated=receive.mailbox_is_dedicated):
            return asyncio.get_running_loop().create_future()
        return None
