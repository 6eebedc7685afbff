"""What trips and the mailboxes at which they wait tell each other."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from mailtrip_checks.clock import Clock
from mailtrip_checks.errors import Lost, Refused, TripError, Undeleted
from mailtrip_checks.gates import Gates
from mailtrip_checks.identity import Sighting
from mailtrip_checks.outcome import Bracket, Stage
from mailtrip_checks.trips import Receive
from mailtrip_checks.wire.connect import Network

UNPROVED = "it could not be proved ours again"


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
    """A trip at a mailbox. `active` once its mail may be there, about `size_bytes` large; `last_call` once the next
    look decides.

    A last look that breaks is tried once more.
    """

    token: str
    receive: Receive
    arrived: asyncio.Future[Arrival]
    missed_at_s: float
    size_bytes: int = 0
    active: bool = False
    last_call: bool = False
    last_look_broke: bool = False
    looks: int = 0
    reported: bool = False


@dataclass(slots=True, eq=False)
class Doomed:
    """A mail to delete: its UID, good under that UIDVALIDITY, and what it was when it was found.

    In a maildrop, which has no UIDs, `unique_id` names it. `broke` says what broke the first try.
    """

    sighting: Sighting
    uid: int
    uidvalidity: int | None
    receive: Receive
    since_s: float
    done: asyncio.Future[Deletion]
    unique_id: str = ""
    broke: str = ""

    def deleted(self, stage: Stage | None = None) -> None:
        """We removed it."""
        warning = f"the deletion needed a second connection, for the first one broke: {self.broke}"
        self.done.set_result(Deletion(warning if self.broke else "", stage))

    def gone(self) -> None:
        """It is not there: the first try, whose answer is missing, removed it, or else somebody did."""
        if self.broke:
            self.deleted()
        else:
            self.done.set_result(Deletion("it was gone before we could delete it"))


@dataclass(slots=True)
class Ears:
    """Where a mailbox tells what all its users should hear."""

    warnings: list[str] = field(default_factory=list[str])


def lost(waiter: Waiter) -> Lost:
    """That the last look has missed the mail."""
    report = "; a delivery report about it came instead" if waiter.reported else ""
    return Lost(f"accepted, looked for {waiter.looks} times, and not there in time{report}")


def spare(batch: Iterable[Doomed], error: Exception) -> None:
    """Say of each mail that it could not be deleted, unless that was settled before."""
    why, reply = (error.what, error.reply) if isinstance(error, TripError) else (str(error), "")
    for doomed in batch:
        refuse(doomed.done, Undeleted(f"could not be deleted: {why}", reply=reply))


def break_off(batch: Iterable[Doomed], error: TripError) -> None:
    """Keep for one more try, on a new connection, what was not refused and had none; spare the rest."""
    for one in batch:
        if one.broke or isinstance(error, Refused):
            spare([one], error)
        else:
            one.broke = error.what


_Result = TypeVar("_Result")


def refuse(future: asyncio.Future[_Result], error: Exception) -> None:
    """Settle the future by this error, unless it is settled; nobody needs to be left to hear it."""
    if not future.done():
        future.set_exception(error)
        future.exception()
