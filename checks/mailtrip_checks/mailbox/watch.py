"""What every mailbox does, whatever its protocol: one task tends it, many trips wait at it.

A trip joins before it sends, so nothing arrives unseen; says when its mail may be there, which starts the looks; awaits
its mail; and has it deleted. The task alone speaks to the server, so no two trips ever share a selection by accident.
Looks are dense at first and grow to the narrowest interval that a waiting trip asked for.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from mailtrip_checks.clock import Clock
from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import Cancelled, LoginFailed, Lost, TimedOut, TripError, Undeleted
from mailtrip_checks.gates import Gates
from mailtrip_checks.identity import Kind, Sighting, counts_as_arrival, may_delete, sight
from mailtrip_checks.outcome import Bracket, Stage
from mailtrip_checks.trips import Receive
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.transcript import Transcript

GAP_GROWTH = 1.6
# While trips still wait, deletions are gathered for this long: a deletion blinds the watch for a few exchanges.
GATHER_DELETIONS_S = 0.25
CLOSE_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Common:
    """What all mailboxes of a run share."""

    network: Network
    gates: Gates
    key: bytes

    @property
    def clock(self) -> Clock:
        return self.network.clock


@dataclass(frozen=True, slots=True)
class Deletion:
    """A mail that is gone, or at least flagged; `stage` where it was a step of its own."""

    warning: str = ""
    stage: Stage | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail that ended the waiting. `deletion` raises Undeleted; None where the mail is not to be deleted."""

    sighting: Sighting
    bracket: Bracket
    mail: bytes
    stages: tuple[Stage, ...]
    deletion: asyncio.Future[Deletion] | None


@dataclass(slots=True, eq=False)
class Waiter:
    """A trip at a mailbox. `active` once its mail may be there; `last_call` once the next look decides."""

    token: str
    receive: Receive
    arrived: asyncio.Future[Arrival]
    missed_at_s: float
    active: bool = False
    last_call: bool = False
    looks: int = 0
    reports: int = 0


@dataclass(slots=True, eq=False)
class Doomed:
    """A mail to delete: its UID, good under that UIDVALIDITY, and what it was when it was found."""

    sighting: Sighting
    uid: int
    uidvalidity: int | None
    receive: Receive
    since_s: float
    done: asyncio.Future[Deletion]


@dataclass(slots=True)
class Ears:
    """Where a mailbox tells what all its users should hear."""

    warnings: list[str] = field(default_factory=list[str])


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

    # What a trip does.

    async def opened(self) -> None:
        """Return once the mailbox is watched; raises why it is not."""
        await asyncio.shield(self._opened)

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
        bound_s = 2 * waiter.receive.step_timeout_s
        try:
            async with self.clock.timeout_at(self.clock.now() + bound_s):
                return await asyncio.shield(waiter.arrived)
        except TimeoutError as error:
            raise TimedOut(f"{self.host} did not answer the last look within {bound_s:g} s") from error

    async def close(self) -> None:
        """Finish what is to be deleted, sweep if this was the mailbox's last use, and log out; bounded in time."""
        self._leaving = True
        self._wake.set()
        done, _ = await asyncio.wait({self._task}, timeout=CLOSE_WITHIN_S)
        if not done:
            self._task.cancel()
            await asyncio.wait({self._task})

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
        except BaseException:
            self._fail(Cancelled("the watch of the mailbox was stopped"))
            raise
        finally:
            await self._end()

    async def _turn(self) -> None:
        self._wake.clear()
        if self._doomed and self._deletions_are_due():
            batch, self._doomed = self._doomed, []
            await self._delete_batch(batch)
            return
        waiting = [waiter for waiter in self._waiters.values() if waiter.active and not waiter.arrived.done()]
        if not waiting:
            await self._rest(None)
            return
        last = [waiter for waiter in waiting if waiter.last_call]
        started_at_s = self.clock.now()
        await self._look(thorough=bool(last))
        for waiter in waiting:
            if not waiter.arrived.done():
                waiter.looks += 1
                waiter.missed_at_s = max(waiter.missed_at_s, started_at_s)
        for waiter in last:
            if not waiter.arrived.done():
                waiter.arrived.set_exception(Lost(_lost(waiter)))
        waiting = [waiter for waiter in waiting if not waiter.arrived.done()]
        if waiting:
            await self._rest(self._next_gap_s(waiting))

    @property
    def _anybody_waits(self) -> bool:
        return any(not waiter.arrived.done() for waiter in self._waiters.values())

    def _deletions_are_due(self) -> bool:
        return not self._anybody_waits or self.clock.now() - self._doomed[0].since_s >= GATHER_DELETIONS_S

    def _next_gap_s(self, waiting: Sequence[Waiter]) -> float:
        if self._wake.is_set():
            return 0
        gap_s = min(self._gap_s, *(waiter.receive.interval_s for waiter in waiting))
        self._gap_s *= GAP_GROWTH
        if self._doomed:
            gap_s = min(gap_s, max(self._doomed[0].since_s + GATHER_DELETIONS_S - self.clock.now(), 0))
        return gap_s

    async def _delete_batch(self, batch: Sequence[Doomed]) -> None:
        try:
            await self._delete(batch)
        except TripError as error:
            for doomed in batch:
                _refuse(doomed.done, Undeleted(f"could not be deleted: {error.what}", reply=error.reply))
            raise

    async def _recover(self, error: TripError) -> None:
        """The connection broke while trips wait: connect again until it works or nobody waits any more."""
        self.transcript.note(f"{error.what}; connecting again")
        gap_s = self.first_gap_s
        while not self._leaving:
            try:
                await self._reconnect()
            except LoginFailed:
                raise  # trying again would lock the account
            except TripError as again:
                error = again
            else:
                return
            for waiter in [waiter for waiter in self._waiters.values() if waiter.last_call]:
                waiter.arrived.set_exception(error)
                self._waiters.pop(waiter.token)
            self._wake.clear()
            gap_s = min(gap_s * 4, self.receive.interval_s)
            with suppress(TimeoutError):
                async with self.clock.timeout_at(self.clock.now() + gap_s):
                    await self._wake.wait()
        raise error

    def _fail(self, error: TripError) -> None:
        _refuse(self._opened, error)
        for waiter in self._waiters.values():
            _refuse(waiter.arrived, error)
        for doomed in self._doomed:
            _refuse(doomed.done, error)

    # What protocols call.

    def waiter_for(self, header: bytes) -> tuple[Waiter, Sighting] | None:
        """Who waits for the mail with this header block, and what it is to us."""
        sighting = sight(header, self.common.key)
        waiter = self._waiters.get(sighting.token) if sighting else None
        if sighting is None or waiter is None or waiter.arrived.done():
            return None
        if sighting.kind is Kind.REPORT:
            waiter.reports += 1
            self.transcript.note(f"a delivery report about {sighting.token} came; it is no delivery")
        return (waiter, sighting) if counts_as_arrival(sighting, waiter.receive.match) else None

    @staticmethod
    def deletion_of(sighting: Sighting, receive: Receive) -> asyncio.Future[Deletion] | None:
        """A future for the mail's deletion; None where it is not wanted, or the mail is not ours to delete."""
        if receive.delete.wanted and may_delete(sighting, dedicated=receive.mailbox_is_dedicated):
            return asyncio.get_running_loop().create_future()
        return None


def _lost(waiter: Waiter) -> str:
    report = "; a delivery report about it came instead" if waiter.reports else ""
    return f"accepted, looked for {waiter.looks} times, and not there in time{report}"


_Result = TypeVar("_Result")


def _refuse(future: asyncio.Future[_Result], error: TripError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # nobody may be left to hear it
