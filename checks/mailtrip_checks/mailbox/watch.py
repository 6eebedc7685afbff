"""What every mailbox does, whatever its protocol: one task tends it, many trips wait at it.

A trip joins before it sends, so nothing arrives unseen; says when its mail may be there, which starts the looks; awaits
its mail; and has it deleted. The task alone speaks to the server, so no two trips ever share a selection by accident.
Looks are dense at first and grow to the narrowest interval that a waiting trip asked for.
"""

import asyncio
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
# While trips still wait, deletions are gathered for this long: a deletion blinds the watch for a few exchanges.
GATHER_DELETIONS_S = 0.25
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
        self._retry_gap_s = 0.0
        self._failed: Exception | None = None
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._tend(), name=f"mailbox {receive.mailbox} at {self.host}")

    # What a protocol does.

    @abstractmethod
    async def _begin(self) -> None:
        """Log in and note what is there; raises TripError."""

    @abstractmethod
    async def _look(self, *, thorough: bool) -> None:
        """See what is new, and call `_found` for each mail that bears a token."""

    @abstractmethod
    async def _rest(self, for_s: float | None) -> None:
        """Wait so long (None: as long as nothing wakes us), or until woken, or until the server pushes."""

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
        self._waiters[token] = waiter
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Wait no more."""
        self._waiters.pop(waiter.token, None)
        waiter.arrived.cancel()
        self._wake.set()

    def expect(self, waiter: Waiter, since_s: float) -> None:
        """The mail may be there since `since_s`: look at once, then at growing gaps."""
        waiter.active = True
        waiter.missed_at_s = max(waiter.missed_at_s, since_s)
        self._gap_s = min(self.first_gap_s, waiter.receive.interval_s)
        self._wake.set()

    async def arrival(self, waiter: Waiter, until_s: float) -> Arrival:
        """The mail; raises Lost when a look begun after `until_s` has missed it, or what kept us from looking."""
        with suppress(TimeoutError):
            async with self.clock.timeout_at(until_s):
                return await asyncio.shield(waiter.arrived)
        waiter.last_call = True
        self._wake.set()
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
        self._wake.clear()
        if self._doomed and self._deletions_are_due():
            await self._delete_batch(tuple(self._doomed))
            return
        waiting = [waiter for waiter in self._waiters.values() if waiter.active and not waiter.arrived.done()]
        if not waiting:
            await self._rest(self._until_deletions_s())
            return
        if (delay_s := self._delay_s()) > 0:
            await self._pause(delay_s)
            return
        last = [waiter for waiter in waiting if waiter.last_call]
        started_at_s = self.clock.now()
        await self._look(thorough=bool(last))
        self._retry_gap_s = 0.0
        for waiter in waiting:
            if not waiter.arrived.done():
                waiter.looks += 1
                waiter.missed_at_s = max(waiter.missed_at_s, started_at_s)
        for waiter in last:
            if not waiter.arrived.done():
                waiter.arrived.set_exception(self._lost(waiter))
        waiting = [waiter for waiter in waiting if not waiter.arrived.done()]
        if waiting:
            await self._rest(self._next_gap_s(waiting))

    @property
    def _anybody_waits(self) -> bool:
        return any(not waiter.arrived.done() for waiter in self._waiters.values())

    def _deletions_are_due(self) -> bool:
        return not self._anybody_waits or self.clock.now() - self._doomed[0].since_s >= GATHER_DELETIONS_S

    def _until_deletions_s(self) -> float | None:
        """How long until what is to be deleted is due; None where nothing is."""
        return max(self._doomed[0].since_s + GATHER_DELETIONS_S - self.clock.now(), 0) if self._doomed else None

    def _next_gap_s(self, waiting: Sequence[Waiter]) -> float:
        if self._wake.is_set():
            return 0
        gap_s = min(self._gap_s, *(waiter.receive.interval_s for waiter in waiting))
        self._gap_s *= GAP_GROWTH
        until_deletions_s = self._until_deletions_s()
        return gap_s if until_deletions_s is None else min(gap_s, until_deletions_s)

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
        with suppress(TimeoutError):
            async with self.clock.timeout_at(self.clock.now() + for_s):
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
        if sighting is None or waiter is None or waiter.arrived.done():
            return None
        if sighting.kind is Kind.REPORT and not waiter.reported:
            waiter.reported = True
            self.transcript.note(f"a delivery report about {sighting.token} came; it is no delivery")
        return (waiter, sighting) if counts_as_arrival(sighting, waiter.receive.match) else None

    @staticmethod
    def deletion_of(sighting: Sighting, receive: Receive) -> asyncio.Future[Deletion] | None:
        """A future for the mail's deletion; None where it is not wanted, or the mail is not ours to delete."""
        if receive.delete.wanted and may_delete(sighting, dedicated=receive.mailbox_is_dedicated):
            return asyncio.get_running_loop().create_future()
        return None
