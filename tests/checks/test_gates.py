"""What a host allows is never exceeded, in whatever order trips come, fail and are cancelled."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.errors import Busy, Cancelled, LoginFailed
from mailtrip_checks.gates import LINGERS_S, LONGEST_PAUSE_S, Gates, Turns
from mailtrip_checks.trips import Auth, Endpoint, Protocol, Security
from tests.checks.manual_clock import ManualClock

HOST = Endpoint("in", Protocol.IMAP, "mail.example.org", 993, Security.TLS, Auth.PASSWORD, user="you")


async def hold(gates: Gates, endpoint: Endpoint, let_go: asyncio.Event, held: list[str]) -> None:
    async with gates.connection(endpoint):
        held.append(endpoint.user)
        await let_go.wait()
        held.remove(endpoint.user)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


visits = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["here", "HERE", "there"]), st.booleans()), max_size=25
)


@given(visits, st.integers(1, 4), st.integers(1, 3))
def test_no_order_of_coming_leaving_and_cancelling_exceeds_a_limit(
    visits: list[tuple[str, str, bool]], per_host: int, per_user: int
) -> None:
    async def check() -> None:
        gates = Gates(ManualClock())
        now: Counter[tuple[str, ...]] = Counter()
        served = 0

        async def visit(user: str, host: str, number: int) -> None:
            nonlocal served
            endpoint = replace(HOST, user=user, host=host, connections_per_host=per_host, connections_per_user=per_user)
            async with gates.connection(endpoint):
                places: tuple[tuple[str, ...], ...] = (host.lower(),), (host.lower(), user)
                now.update(places)
                assert now[places[0]] <= per_host
                assert now[places[1]] <= per_user
                try:
                    for _ in range(number % 4):
                        await asyncio.sleep(0)
                finally:
                    now.subtract(places)
            served += 1

        tasks = [asyncio.create_task(visit(user, host, n)) for n, (user, host, _) in enumerate(visits)]
        for number, (task, (_, _, is_cancelled)) in enumerate(zip(tasks, visits, strict=True)):
            if number % 3 == 0:
                await asyncio.sleep(0)
            if is_cancelled:
                task.cancel()
        async with asyncio.timeout(5):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [end for end in ends if end is not None and not isinstance(end, asyncio.CancelledError)]
        assert served >= sum(not is_cancelled for _, _, is_cancelled in visits)
        assert not +now

    asyncio.run(check())


@pytest.mark.asyncio
async def test_a_host_serves_as_many_as_it_allows_and_the_next_when_one_leaves() -> None:
    gates, held = Gates(ManualClock()), list[str]()
    endpoints = [replace(HOST, user=user, connections_per_host=2) for user in "abcd"]
    doors = [asyncio.Event() for _ in endpoints]
    async with asyncio.TaskGroup() as group:
        for endpoint, door in zip(endpoints, doors, strict=True):
            group.create_task(hold(gates, endpoint, door, held))
        await settle()
        assert held == ["a", "b"]
        doors[0].set()
        await settle()
        assert held == ["b", "c"], "first come, first served"
        for door in doors:
            door.set()
    assert held == []


@pytest.mark.asyncio
async def test_a_user_at_his_limit_does_not_take_the_hosts_places_from_others() -> None:
    gates, held = Gates(ManualClock()), list[str]()
    door = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for user in ("a", "a", "a", "b"):
            endpoint = replace(HOST, user=user, connections_per_host=2, connections_per_user=1)
            group.create_task(hold(gates, endpoint, door, held))
        await settle()
        assert held == ["a", "b"]
        door.set()


@pytest.mark.asyncio
async def test_who_is_cancelled_while_waiting_leaves_his_place_to_the_next() -> None:
    gates, held = Gates(ManualClock()), list[str]()
    door = asyncio.Event()
    lone = replace(HOST, connections_per_host=1, connections_per_user=1)
    first = asyncio.create_task(hold(gates, lone, door, held))
    await settle()
    second, third = (asyncio.create_task(hold(gates, replace(lone, user=user), door, held)) for user in "bc")
    await settle()
    second.cancel()
    await asyncio.wait([second])
    first.cancel()
    await asyncio.wait([first])
    await settle()
    assert "c" in held
    door.set()
    await third


@pytest.mark.asyncio
async def test_another_port_is_another_gate() -> None:
    gates, held = Gates(ManualClock()), list[str]()
    door = asyncio.Event()
    lone = replace(HOST, connections_per_host=1, connections_per_user=1)
    async with asyncio.TaskGroup() as group:
        for port in (993, 143):
            group.create_task(hold(gates, replace(lone, port=port), door, held))
        await settle()
        assert len(held) == 2
        door.set()


async def send(gates: Gates, endpoint: Endpoint, clock: ManualClock, sent_at_s: list[float]) -> None:
    await gates.turn_to_send(endpoint)
    sent_at_s.append(clock.now())


@pytest.mark.asyncio
async def test_mails_to_a_host_are_a_rates_gap_apart_whoever_sends_them() -> None:
    clock = ManualClock(now_s=100.0)
    gates, sent_at_s = Gates(clock), list[float]()
    async with asyncio.TaskGroup() as group:
        for user in "abcde":
            endpoint = replace(HOST, user=user, rate_per_s=4.0)
            group.create_task(send(gates, endpoint, clock, sent_at_s))
        await clock.advance(10)
    assert sent_at_s == [100.0, 100.25, 100.5, 100.75, 101.0]
    await send(gates, replace(HOST, rate_per_s=4.0), clock, sent_at_s)
    assert sent_at_s[-1] == 110.0, "an idle host saves nothing up, and delays nobody"


@given(st.lists(st.floats(0, 2), max_size=20), st.floats(0.1, 50))
def test_no_pattern_of_coming_sends_faster_than_the_rate(pauses_s: list[float], rate_per_s: float) -> None:
    async def check() -> None:
        clock = ManualClock(now_s=0.0)
        gates, sent_at_s = Gates(clock), list[float]()
        async with asyncio.TaskGroup() as group:
            for pause_s in pauses_s:
                group.create_task(send(gates, replace(HOST, rate_per_s=rate_per_s), clock, sent_at_s))
                await clock.advance(pause_s)
            await clock.advance(len(pauses_s) / rate_per_s + 1)
        assert len(sent_at_s) == len(pauses_s)
        gaps_s = [later - sooner for sooner, later in pairwise(sent_at_s)]
        assert all(gap_s >= 1 / rate_per_s - 1e-6 for gap_s in gaps_s)

    asyncio.run(check())


@pytest.mark.asyncio
async def test_without_a_rate_nobody_waits() -> None:
    clock = ManualClock()
    gates, sent_at_s = Gates(clock), list[float]()
    for _ in range(100):
        await send(gates, HOST, clock, sent_at_s)
    assert set(sent_at_s) == {clock.now()}


async def log_in(gates: Gates, endpoint: Endpoint, *, accepted: bool) -> None:
    async def dial() -> str:
        if not accepted:
            raise LoginFailed("no such user")
        return "session"

    with suppress(LoginFailed):
        assert await gates.login(endpoint, dial) == "session"


@pytest.mark.asyncio
async def test_after_so_many_refused_logins_in_a_row_no_more_are_tried() -> None:
    gates = Gates(ManualClock())
    here, there = replace(HOST, login_failures=3), replace(HOST, host="other.example.org", login_failures=3)
    for user in ("a", "b", "c"):
        await log_in(gates, replace(here, user=user), accepted=False)
    with pytest.raises(Cancelled, match=r"mail\.example\.org refused 3 logins in a row") as caught:
        await log_in(gates, here, accepted=True)
    assert "login_failures" in caught.value.advice
    await log_in(gates, there, accepted=True)


@pytest.mark.asyncio
async def test_a_connection_without_a_login_counts_as_none() -> None:
    gates, endpoint = Gates(ManualClock()), replace(HOST, login_failures=2)
    await log_in(gates, endpoint, accepted=False)
    await log_in(gates, replace(endpoint, auth=Auth.NONE), accepted=True)
    await log_in(gates, endpoint, accepted=False)
    with pytest.raises(Cancelled):
        await log_in(gates, endpoint, accepted=True)


@pytest.mark.asyncio
async def test_an_accepted_login_starts_the_count_anew() -> None:
    gates, endpoint = Gates(ManualClock()), replace(HOST, login_failures=2)
    for accepted in (False, True, False, True):
        await log_in(gates, endpoint, accepted=accepted)


class Server:
    """Bears so many connections, and tells the next that there are too many."""

    def __init__(self, bears: int, *, of_user: bool = False) -> None:
        self.bears = bears
        self.of_user = of_user
        self.open = 0
        self.dialled = 0
        self.most_open = 0

    async def dial(self) -> "Server":
        self.dialled += 1
        await asyncio.sleep(0)
        if self.open >= self.bears:
            raise Busy("no room", reply="[LIMIT] full", of_user=self.of_user)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        return self

    def close(self) -> None:
        self.open -= 1


async def visit(gates: Gates, server: Server, warnings: list[str], endpoint: Endpoint, clock: ManualClock) -> None:
    async with AsyncExitStack() as place:
        await gates.enter(endpoint, place, server.dial, warnings.append)
        place.callback(server.close)
        await clock.sleep(1)


@pytest.mark.asyncio
async def test_a_server_that_bears_fewer_is_left_with_fewer_and_serves_all_the_same() -> None:
    clock, warnings = ManualClock(), list[str]()
    gates, server = Gates(clock), Server(3, of_user=True)
    endpoint = replace(HOST, connections_per_user=10)
    trips = [asyncio.create_task(visit(gates, server, warnings, endpoint, clock)) for _ in range(50)]
    await clock.advance(60)
    assert [trip.done() and not trip.exception() for trip in trips] == [True] * 50
    assert server.most_open == 3
    assert server.dialled < 50 + 3 * 10, "who is refused waits for his turn, and does not try again and again"
    assert warnings == ["mail.example.org bears no more than 3 connections of you at once: it said '[LIMIT] full'"]


@pytest.mark.asyncio
async def test_what_a_host_bears_holds_for_all_its_users() -> None:
    clock, warnings = ManualClock(), list[str]()
    gates, server = Gates(clock), Server(2)
    users = [replace(HOST, user=str(number)) for number in range(10)]
    trips = [asyncio.create_task(visit(gates, server, warnings, user, clock)) for user in users]
    await clock.advance(30)
    assert [trip.done() and not trip.exception() for trip in trips] == [True] * 10
    assert (server.open, server.most_open) == (0, 2)
    assert all(told.startswith("mail.example.org bears no more than") and "of " not in told for told in warnings)


@pytest.mark.asyncio
async def test_a_server_that_others_keep_busy_is_not_waited_for() -> None:
    clock = ManualClock()
    gates = Gates(clock)
    with pytest.raises(Busy):
        await visit(gates, Server(0), [], HOST, clock)
    server = Server(1)
    first = asyncio.create_task(visit(gates, server, [], HOST, clock))
    await clock.advance(1)
    await first
    server.bears = 0
    again = asyncio.create_task(visit(gates, server, [], HOST, clock))
    await clock.advance(LINGERS_S)
    assert not again.done(), "it may count the one before for a while"
    await clock.advance(LONGEST_PAUSE_S)
    with pytest.raises(Busy):
        await again


@pytest.mark.asyncio
async def test_who_is_cancelled_while_a_server_is_busy_leaves_no_trace() -> None:
    clock = ManualClock()
    gates, server = Gates(clock), Server(1)
    first, second = (asyncio.create_task(visit(gates, server, [], HOST, clock)) for _ in range(2))
    await clock.advance(0.05)
    second.cancel()
    await clock.advance(2)
    assert first.done()
    assert second.cancelled()
    third = asyncio.create_task(visit(gates, server, [], HOST, clock))
    await clock.advance(1)
    await third


@pytest.mark.asyncio
async def test_a_maildrop_has_one_holder_and_others_have_theirs() -> None:
    turns = Turns()
    async with turns.of("one"):
        assert turns.of("one").locked()
        assert not turns.of("other").locked()
    assert not turns.of("one").locked()
