"""All runs of one trip as one item: tried again after a failure (`recheck`), run again and again (`repeat`)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from mailtrip_checks.clock import Clock
from mailtrip_checks.ends import End
from mailtrip_checks.errors import Cancelled, Skipped
from mailtrip_checks.journal import Journal
from mailtrip_checks.judge import Judgement, channels, judge
from mailtrip_checks.outcome import Outcome, Run
from mailtrip_checks.run import run_trip
from mailtrip_checks.schedule import closed
from mailtrip_checks.trips import Trip
from mailtrip_checks.verdict import verdict
from mailtrip_checks.world import World


@dataclass(frozen=True, slots=True)
class _Seen:
    """The last try of a run, in full."""

    number: int
    badness: tuple[bool, bool, float]
    outcome: Outcome


class Series:
    """The runs of one trip. `journal` is that of the try in flight; None before the first, between runs, at the end.

    Of all tries a line is kept, in full only the worst run and the last one. `on_send` and `number` as for a `Journal`.
    """

    def __init__(self, trip: Trip, clock: Clock, on_send: Callable[[str], None] | None = None, number: int = 0) -> None:
        self.trip = trip
        self._on_send = on_send
        self._number = number
        self.journal: Journal | None = None
        self.arrived = 0
        self._clock = clock
        self._runs: list[Run] = []
        self._warnings: list[str] = []
        self._left_behind: list[str] = []
        self._last: _Seen | None = None
        self._worst: _Seen | None = None
        self._may_be_several = trip.times > 1 or trip.recheck > 0

    @property
    def rests(self) -> bool:
        """Whether it has run, and waits for its next run."""
        return self._last is not None and self.journal is None

    async def fly(self, world: World, slots: asyncio.Semaphore, *, grace_s: float) -> Outcome:
        """Run the trip as often as it says, each run in one of `slots`; see `run_trip`.

        A run that would start outside its windows is left out; where all are, the series is skipped.
        Where the trip says `every`, no two runs start closer to each other; a run that takes longer delays the next.
        """
        every_s = self.trip.repeat.every_s or 0.0 if self.trip.repeat else 0.0
        due_s = self._clock.now()
        why = ""
        for number in range(1, self.trip.times + 1):
            if due_s > self._clock.now():
                await self._clock.sleep(due_s - self._clock.now())
            async with slots:
                due_s = self._clock.now() + every_s
                if why := closed(self.trip.schedule, self.trip.maintenance, self._clock.wall()):
                    self._forget(world, runs=1)
                    continue
                outcome = await self._run(number, world, grace_s)
            if outcome.end is End.CANCELLED:  # nothing may be tried there any more
                break
        return self._told() if self._last else self._skipped(why)

    def skipped(self, world: World, why: str) -> Outcome:
        """What there is to tell of a series that may not start."""
        self._forget(world, runs=self.trip.times)
        return self._skipped(why)

    def _skipped(self, why: str) -> Outcome:
        return Journal(self.trip, self._clock).outcome(End.SKIPPED, Skipped(why))

    def _forget(self, world: World, *, runs: int) -> None:
        """So many planned runs will not come."""
        if self.trip.send and self.trip.receive:
            for _ in range(runs):
                world.mailboxes.forget(self.trip.receive)

    def cancelled(self, error: Cancelled) -> Outcome:
        """What there is to tell of a series that was stopped."""
        journal = self.journal or Journal(self.trip, self._clock)
        outcome = journal.outcome(End.CANCELLED, error)
        return replace(outcome, left_behind=(*self._left_behind, *outcome.left_behind))

    async def _run(self, number: int, world: World, grace_s: float) -> Outcome:
        """Run it; again, at once, while it fails and may be tried again. Each try is a trip of its own."""
        attempt = 0
        while True:
            attempt += 1
            if attempt > 1 and self.trip.send and self.trip.receive:
                world.mailboxes.plan([self.trip.receive])
            self.journal = Journal(self.trip, self._clock, self._on_send, self._number, world.heartbeat.lag_s)
            outcome = await run_trip(self.trip, world, self.journal, grace_s=grace_s)
            judgement = judge(outcome, self.trip.expect)
            if not world.tells_passed and self._is_told(judgement):
                outcome = replace(outcome, transcript=self.journal.transcript)
            self.journal = None
            self._note(number, attempt, outcome, judgement)
            if judgement.passed or outcome.end is End.CANCELLED or attempt > self.trip.recheck:
                break
        wrong_end = not judgement.passed and judgement.end is not End.LATE
        self._last = _Seen(number, (not judgement.passed, wrong_end, outcome.duration_s), outcome)
        if self._worst is None or self._last.badness > self._worst.badness:
            self._worst = self._last
        return outcome

    def _is_told(self, judgement: Judgement) -> bool:
        """Whether there is more to tell of a try than that it passed, or may be once all have run."""
        return not judgement.passed or bool(judgement.warnings) or self._may_be_several

    def _note(self, number: int, attempt: int, outcome: Outcome, judgement: Judgement) -> None:
        self.arrived += outcome.bracket is not None
        if not self._may_be_several:
            return
        self._warnings += outcome.warnings
        self._left_behind += outcome.left_behind
        self._runs.append(
            Run(
                number=number,
                attempt=attempt,
                end=judgement.end,
                passed=judgement.passed,
                why="; ".join(judgement.failures),
                started_wall_s=outcome.started_wall_s,
                duration_s=outcome.duration_s,
                channels=channels(outcome),
                token=outcome.token,
                lag_s=outcome.lag_s,
            )
        )

    def _told(self) -> Outcome:
        """The last run with what all saw; where that fails, the worst run in its place."""
        assert self._last  # noqa: S101  (a trip runs at least once)
        assert self._worst  # noqa: S101
        if len(self._runs) <= 1:
            return self._last.outcome
        told = self._with_all(self._last)
        return told if verdict(told, self.trip.expect).passed else self._with_all(self._worst)

    def _with_all(self, seen: _Seen) -> Outcome:
        return replace(
            seen.outcome,
            warnings=tuple(dict.fromkeys(self._warnings)),
            left_behind=tuple(self._left_behind),
            runs=tuple(self._runs),
            shown_run=seen.number,
        )
