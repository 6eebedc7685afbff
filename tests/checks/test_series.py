"""A trip that runs more than once as one item."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mailtrip_checks.ends import End
from mailtrip_checks.errors import Cancelled
from mailtrip_checks.identity import new_token
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.schedule import Window
from mailtrip_checks.series import Series
from mailtrip_checks.trips import Channel, Endpoint, Expect, Limit, Repeat, Trip
from mailtrip_checks.verdict import verdict
from mailtrip_fixtures import MailServers
from tests.checks.manual_clock import ManualClock
from tests.checks.trip_bench import BOUND_S, PAST, Bench, mail, of_a_run, through_time, until, wire

pytestmark = pytest.mark.asyncio


LATE = Expect(limits=(Limit(Channel.TOTAL, fail_s=-1.0),))


@pytest.fixture
def servers() -> Generator[MailServers]:
    with MailServers(catch_all=True, tls="none") as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def bench(servers: MailServers) -> Bench:
    return Bench(servers)


@pytest.fixture
def timed(servers: MailServers, clock: ManualClock) -> Bench:
    """One whose time passes only as a test lets it."""
    return Bench(servers, clock)


async def rested(series: Series, clock: ManualClock, runs: int) -> None:
    """Let the clock creep on until so many runs are over and the series waits for the next."""
    async with asyncio.timeout(BOUND_S):
        while not (series.rests and series.arrived == runs):
            await asyncio.sleep(0.002)
            await clock.advance(0.01)


def launch(bench: Bench, trip: Trip, slots: asyncio.Semaphore | None = None) -> tuple[Series, "asyncio.Task[Outcome]"]:
    trip = bench.world.located([trip])[0]
    if trip.send and trip.receive:
        bench.world.mailboxes.plan([trip.receive] * trip.times)
    series = Series(trip, bench.clock)
    return series, asyncio.create_task(series.fly(bench.world, slots or asyncio.Semaphore(1), grace_s=0.3))


async def fly(bench: Bench, trip: Trip) -> Outcome:
    return await asyncio.wait_for(launch(bench, trip)[1], BOUND_S)


@asynccontextmanager
async def dropping(bench: Bench, *mails: int) -> AsyncGenerator[Endpoint]:
    """The SMTP server, whose connection breaks at the MAIL of these numbers, from 1."""
    async with wire(bench.servers.ports.smtp) as line:
        served = 0

        def some_break(data: bytes) -> bytes | None:
            nonlocal served
            served += data.startswith(b"MAIL")
            return None if data.startswith(b"MAIL") and served in mails else data

        line.upwards = some_break
        yield bench.smtp(line.port)


async def test_a_run_that_passes_at_once_is_told_as_a_trip_that_ran_once(bench: Bench, servers: MailServers) -> None:
    outcome = await fly(bench, replace(bench.trip(servers.account()), recheck=3))
    assert outcome.end is End.DELIVERED
    assert (outcome.runs, outcome.shown_run, len(servers.ledger.accepted)) == ((), 0, 1)


async def test_a_run_that_failed_is_tried_again_at_once_as_a_trip_of_its_own(
    bench: Bench, servers: MailServers
) -> None:
    account = servers.account()
    async with dropping(bench, 1, 2) as via:
        trip = replace(bench.trip(account, via=via), recheck=2, fresh=True)
        outcome = await fly(bench, trip)
    judgement = verdict(outcome, trip.expect)
    assert outcome.end is End.DELIVERED
    assert judgement.passed
    assert [(run.number, run.attempt, run.end) for run in outcome.runs] == [
        (1, 1, End.PROTOCOL_ERROR),
        (1, 2, End.PROTOCOL_ERROR),
        (1, 3, End.DELIVERED),
    ]
    assert len({run.token for run in outcome.runs}) == 3
    assert judgement.warnings[0].startswith("passed at try 3; try 1 ended protocol-error (expected delivered")
    assert account.messages == []


async def test_a_late_run_is_a_failure_that_is_tried_again(bench: Bench, servers: MailServers) -> None:
    outcome = await fly(bench, replace(bench.trip(servers.account()), recheck=1, expect=LATE))
    assert [run.end for run in outcome.runs] == [End.LATE, End.LATE]
    assert len(servers.ledger.deleted) == 2


async def test_a_host_that_refused_too_many_logins_is_left_alone(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    at = replace(bench.box(account), password=None, login_failures=0)
    outcome = await fly(bench, replace(bench.trip(account, at), recheck=3, repeat=Repeat(5)))
    assert outcome.end is End.CANCELLED
    assert outcome.runs == ()


@pytest.mark.parametrize(
    ("expect", "told"),
    [(Expect(), False), (Expect(limits=(Limit(Channel.TOTAL, warn_s=-1.0),)), True), (LATE, True)],
    ids=["passed", "warned", "late"],
)
async def test_where_nobody_reads_of_what_passed_only_the_rest_has_a_transcript(
    bench: Bench, servers: MailServers, expect: Expect, told: bool
) -> None:
    bench.world.tells_passed = False
    outcome = await fly(bench, replace(bench.trip(servers.account()), expect=expect))
    assert outcome.end is End.DELIVERED
    assert ("> MAIL" in "".join(f"{line.direction} {line.text}" for line in outcome.transcript)) is told


async def test_runs_start_so_far_apart_and_a_series_rests_between_them(
    timed: Bench, servers: MailServers, clock: ManualClock
) -> None:
    slots = asyncio.Semaphore(1)
    began_s = clock.now()
    series, task = launch(timed, replace(timed.trip(servers.account()), repeat=Repeat(3, 360.0)), slots)
    for number in (1, 2):
        await rested(series, clock, number)
        assert not slots.locked()
        await clock.advance(began_s + number * 360 - 0.5 - clock.now())
        assert series.rests
        await clock.advance(0.5)
    outcome = await through_time(task, clock, 0.01)
    starts = [run.started_wall_s for run in outcome.runs]
    assert [start - starts[0] for start in starts] == [0, 360, 720]
    assert (outcome.shown_run, [run.number for run in outcome.runs]) == (3, [1, 2, 3])
    assert outcome.duration_s == sum(run.duration_s for run in outcome.runs)
    assert series.arrived == 3


async def test_a_run_that_would_start_in_a_maintenance_is_left_out(
    timed: Bench, servers: MailServers, clock: ManualClock
) -> None:
    minute = datetime.fromtimestamp(clock.wall() + 360, UTC)
    start = minute.hour * 60 + minute.minute
    window = Window("now", frozenset(range(7)), start, start + 1, UTC)
    trip = replace(timed.trip(servers.account()), repeat=Repeat(3, 360.0), maintenance=(window,))
    began_s = clock.now()
    series, task = launch(timed, trip, asyncio.Semaphore(1))
    await rested(series, clock, 1)
    await clock.advance(began_s + 720 - clock.now())
    outcome = await through_time(task, clock, 0.01)
    assert [run.number for run in outcome.runs] == [1, 3]
    assert verdict(outcome, trip.expect).passed


async def test_a_run_that_is_kept_from_starting_delays_the_next_and_starts_none_in_haste(
    timed: Bench, servers: MailServers, clock: ManualClock
) -> None:
    slots = asyncio.Semaphore(1)
    began_s = clock.now()
    series, task = launch(timed, replace(timed.trip(servers.account()), repeat=Repeat(3, 60.0)), slots)
    await rested(series, clock, 1)
    async with slots:  # somebody else's trip
        await clock.advance(began_s + 90 - clock.now())
        assert series.rests
    await rested(series, clock, 2)
    await clock.advance(began_s + 149.5 - clock.now())
    assert len(servers.ledger.accepted) == 2
    await clock.advance(0.5)
    starts = [run.started_wall_s for run in (await through_time(task, clock, 0.01)).runs]
    assert [start - starts[0] for start in starts] == [0, 90, 150]


async def test_without_a_distance_the_next_run_starts_when_the_one_before_has_ended(
    bench: Bench, servers: MailServers
) -> None:
    account = servers.account()
    outcome = await fly(bench, replace(bench.trip(account), repeat=Repeat(5)))
    assert [run.end for run in outcome.runs] == [End.DELIVERED] * 5
    assert verdict(outcome, Expect()).statistics[Channel.TOTAL].runs == 5
    assert (account.messages, len(servers.ledger.deleted)) == ([], 5)


async def test_where_runs_failed_the_worst_of_them_is_shown(bench: Bench, servers: MailServers) -> None:
    async with dropping(bench, 2) as via:
        trip = replace(bench.trip(servers.account(), via=via), repeat=Repeat(4), fresh=True)
        outcome = await fly(bench, trip)
    assert [run.passed for run in outcome.runs] == [True, False, True, True]
    assert (outcome.shown_run, outcome.token) == (2, outcome.runs[1].token)
    assert verdict(outcome, trip.expect).failures[0] == "1 of 4 runs failed: 1 protocol-error"


async def test_a_mailbox_is_swept_after_the_last_run_and_only_then(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    account.deliver(mail())
    account.deliver(of_a_run(new_token(), PAST))
    await fly(bench, replace(bench.trip(account), repeat=Repeat(3)))
    assert len(account.messages) == 1
    sweeps = [line for line in bench.said("SEARCH") if "X-MAILTRIP" in line.upper()]
    assert len(sweeps) == 1, bench.said("SEARCH")


async def test_a_series_that_is_stopped_between_runs_ends_at_once(bench: Bench, servers: MailServers) -> None:
    series, task = launch(bench, replace(bench.trip(servers.account()), repeat=Repeat(3, 360.0)))
    await until(lambda: series.rests)
    task.cancel()
    await asyncio.wait({task}, timeout=1)
    assert task.cancelled()
    outcome = series.cancelled(Cancelled("stopped"))
    assert (outcome.end, outcome.left_behind) == (End.CANCELLED, ())


async def test_the_mails_that_all_tries_left_are_named(timed: Bench, servers: MailServers, clock: ManualClock) -> None:
    servers.delivery_delay_s = 3600
    trip = replace(timed.trip(servers.account(), timeout_s=1.0), recheck=1, repeat=Repeat(3, 60.0))
    series, task = launch(timed, trip)
    async with asyncio.timeout(BOUND_S):
        while not series.rests:
            await asyncio.sleep(0.004)
            await clock.advance(0.2)
    task.cancel()
    await asyncio.wait({task})
    assert len(series.cancelled(Cancelled("stopped")).left_behind) == 2
