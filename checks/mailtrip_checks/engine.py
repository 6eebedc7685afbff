"""All trips of a run on one event loop in one background thread, so that a suite takes as long as its slowest trip.

The rest of the program is not asynchronous: it submits trips, waits for each by its own order, and stops the engine.
"""

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from mailtrip_checks.clock import Clock, SystemClock
from mailtrip_checks.errors import Cancelled
from mailtrip_checks.journal import Journal
from mailtrip_checks.needs import unmet
from mailtrip_checks.order import Start, starts
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.run import removed_later
from mailtrip_checks.secrets import Masker
from mailtrip_checks.series import Series
from mailtrip_checks.switching import brisk_switching
from mailtrip_checks.trips import Trip
from mailtrip_checks.wire.smtp import Phase
from mailtrip_checks.world import Embedded, World

STOP_MARGIN_S = 5.0
LEAVE_WITHIN_S = 1.0
GIVEN_UP_WITHIN_S = 0.1
RATE_OVER_S = 5.0
# The first steps of thousands of trips in one turn of the loop would stall those that already fly.
LAUNCHED_AT_ONCE = 50
MANY = 1000  # trips, whose ends free and make so many objects that searches for garbage grow long


@dataclass(frozen=True, slots=True)
class Status:
    """A glance at the run: trips by state, how many mails have arrived, and the trip that waits longest.

    `rate_per_s` is how many trips ended a second, of late. `resting` are those that wait for their next run, and that
    are neither queued nor in flight.
    """

    queued: int
    in_flight: int
    arrived: int
    rate_per_s: float
    longest: str
    longest_s: float
    resting: int = 0


@dataclass(slots=True, eq=False)
class _Run:
    trip: Trip
    result: Future[Outcome]
    on_send: Callable[[str], None] | None = None
    series: Series | None = None
    task: asyncio.Task[Outcome] | None = None
    stopped: bool = False
    number: int = 0
    needs: Sequence["_Run"] = ()

    @property
    def journal(self) -> Journal | None:
        """What the try in flight notes."""
        return self.series.journal if self.series else None

    def stop(self) -> None:
        """Cancel it, once: a second time would cut short its clean-up."""
        if self.task and not self.stopped:
            self.task.cancel()
        self.stopped = True


class Engine:
    """Runs trips. `concurrency` bounds how many are in flight, `grace_s` how long a stop may clean up.

    Without `tells_passed` the outcomes of trips that passed without a warning have no transcript.
    """

    def __init__(
        self,
        *,
        key: bytes,
        masker: Masker,
        concurrency: int,
        grace_s: float,
        embedded: Embedded | None = None,
        clock: Clock | None = None,
        tells_passed: bool = True,
    ) -> None:
        self.masker = masker
        self.clock = clock or SystemClock()
        self._key = key
        self._grace_s = grace_s
        self._embedded = embedded
        self._tells_passed = tells_passed
        self._slots = asyncio.Semaphore(concurrency)
        self._world: World | None = None
        self._runs: dict[Future[Outcome], _Run] = {}
        self._arrived = self._launched = 0
        self._landed_at_s: deque[float] = deque(maxlen=10_000)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="mailtrip engine", daemon=True)
        self._thread.start()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        with brisk_switching():
            self._loop.run_forever()
        if self._world:
            self._world.heartbeat.stop()  # also where the clean-up was cut short

    def submit(
        self, trips: Sequence[Trip], *, on_send: Callable[[int, str], None] | None = None
    ) -> list[Future[Outcome]]:
        """Start these trips, the most urgent first; a future each, in the order given.

        One that needs others of these starts once they have passed. Where one of them does not, or where its windows
        do not allow it when it would start, it ends skipped.

        `on_send` is called on the engine's thread before a mail is sent: with its trip's index, and where it will lie.

        A future never raises for what a server did; where it raises, the error is ours.
        """
        runs = [_Run(trip, Future(), partial(on_send, index) if on_send else None) for index, trip in enumerate(trips)]
        self._runs |= {run.result: run for run in runs}
        asyncio.run_coroutine_threadsafe(self._launch(runs), self._loop)
        return [run.result for run in runs]

    def cancel(self, result: Future[Outcome]) -> None:
        """Stop this trip; what it sent is cleaned up, and the outcome says what stays."""
        if run := self._runs.get(result):
            self._loop.call_soon_threadsafe(run.stop)

    def status(self) -> Status:
        """How the run stands."""
        now = self.clock.now()
        runs = list(self._runs.values())
        flying = [journal for run in runs if (journal := run.journal) is not None]
        series = [run.series for run in runs if run.series is not None]
        resting = sum(one.rests for one in series)
        arrived = self._arrived + sum(journal.arrival is not None for journal in flying)
        arrived += sum(one.arrived for one in series)
        longest = min(flying, key=lambda journal: journal.started_at_s, default=None)
        since_s = longest.started_at_s if longest else now
        rate_per_s = sum(at_s > now - RATE_OVER_S for at_s in tuple(self._landed_at_s)) / RATE_OVER_S
        queued, name = len(runs) - len(flying) - resting, longest.trip.id if longest else ""
        return Status(queued, len(flying), arrived, rate_per_s, name, now - since_s, resting)

    @property
    def mails_out(self) -> int:
        """How many trips have sent a mail, perhaps, and are not done with it."""
        flying = [journal for run in list(self._runs.values()) if (journal := run.journal) is not None]
        return sum(journal.submission.phase is not Phase.NOT_SENT for journal in flying)

    def stop(self, given_up: Callable[[], bool] = lambda: False) -> tuple[Outcome, ...]:
        """Cancel what is not done, clean up within the grace, end the thread; the outcomes of what was cancelled.

        A second call does nothing. Once `given_up` says so, the clean-up is cut short, and what stays is told all the
        same.
        """
        if self._loop.is_closed():
            return ()
        unfinished = [run for run in self._runs.values() if not run.result.done()]
        stopping = asyncio.run_coroutine_threadsafe(self._stop(unfinished), self._loop)
        for _ in range(math.ceil((self._grace_s + STOP_MARGIN_S) / GIVEN_UP_WITHIN_S)):
            if futures.wait({stopping}, GIVEN_UP_WITHIN_S).done:
                break
            if given_up():
                leaving = asyncio.run_coroutine_threadsafe(_end_all_others(), self._loop)
                futures.wait({leaving}, 3 * LEAVE_WITHIN_S)
                break
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_MARGIN_S)
        for run in unfinished:
            self._give_up(run)
        if not self._thread.is_alive():
            self._loop.close()
        return tuple(run.result.result() for run in unfinished if run.result.done() and not run.result.exception())

    # On the loop.

    async def _launch(self, runs: Sequence[_Run]) -> None:
        try:
            if self._world is None:
                self._world = World(self.clock, self._key, self.masker, self._embedded, tells_passed=self._tells_passed)
            world = self._world
            if runs:
                world.heartbeat.start(many=len(self._runs) > MANY)
            # In a thread: the embedded servers may have to start.
            placed, order = await asyncio.to_thread(_placed, world, [run.trip for run in runs])
            for run, trip in zip(runs, placed, strict=True):
                run.trip = trip
            by_key = {run.trip.key: run for run in runs}
            groups = [order[first : first + LAUNCHED_AT_ONCE] for first in range(0, len(order), LAUNCHED_AT_ONCE)]
            turns = [asyncio.Event() for _ in groups]
            # All are made, and their mails planned, before the first may fly.
            for turn, group in zip(turns, groups, strict=True):
                for start in group:
                    run = runs[start.index]
                    run.needs = [by_key[need] for need in run.trip.needs if need in by_key]
                    run.number = self._launched = self._launched + 1
                    self._make_ready(run, world, turn, start.after_s)
                await asyncio.sleep(0)
            for turn in turns:
                turn.set()
                await asyncio.sleep(0)
        except Exception as error:
            for run in runs:
                run.result.set_exception(error)

    def _make_ready(self, run: _Run, world: World, turn: asyncio.Event, after_s: float) -> None:
        if run.trip.send and run.trip.receive:
            world.mailboxes.plan([run.trip.receive] * run.trip.times)
        run.task = asyncio.create_task(self._fly(run, world, turn, after_s), name=run.trip.id)
        run.task.add_done_callback(partial(self._landed, run))
        if run.stopped:  # before it began
            run.task.cancel()

    async def _fly(self, run: _Run, world: World, turn: asyncio.Event, after_s: float) -> Outcome:
        await turn.wait()
        if after_s:
            await self.clock.sleep(after_s)
        run.series = Series(run.trip, self.clock, run.on_send, run.number)
        # Each has its task: those of one launch are all made before the first of them runs.
        if why := await unmet(run.trip, ((need.trip, need.task) for need in run.needs if need.task)):
            return run.series.skipped(world, why)
        return await run.series.fly(world, self._slots, grace_s=self._grace_s)

    def _landed(self, run: _Run, task: asyncio.Task[Outcome]) -> None:
        # Whoever holds the future has it; we forget the trip, whose mail may be large.
        self._runs.pop(run.result, None)
        self._arrived += run.series.arrived if run.series else 0
        self._arrived += run.journal is not None and run.journal.arrival is not None
        self._landed_at_s.append(self.clock.now())
        if not self._runs and self._world:
            self._world.heartbeat.stop()
        if run.result.done():  # given up by `stop`
            return
        if task.cancelled():
            run.result.set_result(_cancelled(run, self.clock, "the run was stopped before it was done"))
        elif error := task.exception():
            run.result.set_exception(error)
        else:
            run.result.set_result(task.result())

    async def _stop(self, unfinished: Sequence[_Run]) -> None:
        for run in unfinished:
            run.stop()
        tasks = {run.task for run in unfinished if run.task}
        if tasks:
            await asyncio.wait(tasks, timeout=self._grace_s)
        if self._world:
            await self._world.smtp.close()
            await self._world.mailboxes.close()
        await _end_all_others()
        for run in unfinished:
            self._give_up(run)
        await self._loop.shutdown_asyncgens()

    def _give_up(self, run: _Run) -> None:
        """End a run that did not end by itself."""
        if run.result.done():
            return
        journal = run.journal
        if journal and journal.submission.phase is not Phase.NOT_SENT and not journal.left_behind:
            journal.stays(f"the clean-up took too long; {removed_later(run.trip.receive)}")
        run.result.set_result(_cancelled(run, self.clock, "the clean-up took too long"))


def _placed(world: World, trips: Sequence[Trip]) -> tuple[Sequence[Trip], Sequence[Start]]:
    """The trips with every endpoint resolved, and the order in which they start."""
    placed = world.located(trips)
    return placed, starts(placed)


def _cancelled(run: _Run, clock: Clock, why: str) -> Outcome:
    return (run.series or Series(run.trip, clock)).cancelled(Cancelled(why))


async def _end_all_others() -> None:
    """Cancel every other task of this loop; twice, so that no farewell to a dead server takes longer."""
    for _ in range(2):
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=LEAVE_WITHIN_S)
