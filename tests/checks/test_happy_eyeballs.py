"""Several addresses of one host: the first that answers is taken, and an address that does not costs little."""

import asyncio
import re
import socket
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import pytest

from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import TimedOut, Unreachable
from mailtrip_checks.secrets import Masker
from mailtrip_checks.trips import Endpoint, Family, Protocol, Security
from mailtrip_checks.wire.connect import Network, open_socket
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.happy_eyeballs import ATTEMPT_DELAY_S, Address, interleaved
from mailtrip_checks.wire.transcript import Stages, Transcript
from tests.checks.manual_clock import ManualClock

pytestmark = pytest.mark.asyncio

ENDPOINT = Endpoint("in", Protocol.IMAP, "many.test", 1, Security.NONE)
V4, V6 = "127.0.0.1", "::1"
Kind = str  # listening, refusing, or a black hole


class Host:
    """A host of several addresses, each of some kind, on this machine; its port is another at each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, held: ExitStack) -> None:
        self.clock = ManualClock()
        self.stages = Stages(self.clock, Leg.MAILBOX)
        self.transcript = Transcript(self.clock, Leg.MAILBOX, Masker())
        self.made: list[socket.socket] = []
        self.asked: list[int] = []
        self._held = held
        self._found: list[tuple[int, int, int, str, tuple[str, int]]] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def _resolve(self, host: str, port: int, family: int, kind: int, flags: int = 0) -> list[tuple[object, ...]]:
        self.asked.append(family)
        return [found for found in self._found if family in {found[0], socket.AF_UNSPEC}]

    def has(self, *addresses: tuple[str, Kind]) -> list[int]:
        """Give the host these addresses; their ports."""
        for address, kind in addresses:
            family = socket.AF_INET6 if address == V6 else socket.AF_INET
            listener = self._held.enter_context(socket.socket(family))
            listener.bind((address, 0))
            port: int = listener.getsockname()[1]
            self._found.append((family, socket.SOCK_STREAM, 0, "", (address, port)))
            if kind == "listening":
                listener.listen()
            elif kind == "a black hole":
                listener.listen(0)  # and the one place in its queue is taken: what comes next is not answered
                self._held.enter_context(socket.socket(family)).connect((address, port))
        return [found[4][1] for found in self._found]

    def _make(self, family: int, kind: int, protocol: int) -> socket.socket:
        self.made.append(socket.socket(family, kind, protocol))
        return self.made[-1]

    def connect(self, family: Family = Family.ANY) -> asyncio.Task[socket.socket]:
        endpoint = replace(ENDPOINT, family=family)
        return asyncio.create_task(open_socket(endpoint, Network(self.clock), self.stages, self.transcript, self._make))

    @property
    def notes(self) -> list[str]:
        return [re.sub(r" port \d+", "", line.text) for line in self.transcript.since(0).lines()]

    def check_closed(self, winner: socket.socket | None = None) -> None:
        """No socket but the winner's is open, and no task is left."""
        assert [sock for sock in self.made if sock.fileno() >= 0] == ([winner] if winner else [])
        assert len(asyncio.all_tasks()) == 1
        assert self.clock.waiting == 0


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Generator[Host]:
    with ExitStack() as held:
        yield Host(monkeypatch, held)


async def soon(task: asyncio.Task[socket.socket]) -> socket.socket:
    """What it gives without any of the clock's time."""
    return await asyncio.wait_for(task, 5)


async def test_an_address_that_does_not_answer_costs_no_more_than_the_delay(host: Host) -> None:
    host.has((V6, "a black hole"), (V4, "listening"))
    task = host.connect()
    await host.clock.until_waiting()
    await host.clock.advance(ATTEMPT_DELAY_S - 0.01)
    assert len(host.made) == 1
    await host.clock.advance(0.01)
    with await soon(task) as sock:
        assert sock.getpeername()[0] == V4
        host.check_closed(sock)
    assert host.stages.taken[-1].length_s == pytest.approx(ATTEMPT_DELAY_S)
    assert host.notes == ["::1: no answer so far"]


async def test_an_address_that_refuses_costs_no_time_at_all(host: Host) -> None:
    host.has((V6, "refusing"), (V4, "listening"))
    with await soon(host.connect()) as sock:
        assert sock.getpeername()[0] == V4
        assert not sock.getblocking()
        host.check_closed(sock)
    assert host.notes == ["::1: connection refused"]


async def test_where_the_first_answers_no_other_is_asked(host: Host) -> None:
    host.has((V6, "listening"), (V4, "listening"))
    with await soon(host.connect()) as sock:
        assert sock.getpeername()[0] == V6
        host.check_closed(sock)
    assert (len(host.made), host.notes) == (1, [])


async def test_the_second_family_is_asked_before_the_second_address_of_the_first(host: Host) -> None:
    host.has((V6, "a black hole"), (V6, "listening"), (V4, "listening"))
    task = host.connect()
    await host.clock.until_waiting()
    await host.clock.advance(ATTEMPT_DELAY_S)
    with await soon(task) as sock:
        assert sock.getpeername()[0] == V4
        host.check_closed(sock)
    assert len(host.made) == 2


async def test_where_all_refuse_each_is_named_with_its_reason(host: Host) -> None:
    host.has((V6, "refusing"), (V4, "refusing"), (V6, "refusing"))
    with pytest.raises(Unreachable) as caught:
        await soon(host.connect())
    reasons = "::1: connection refused; 127.0.0.1: connection refused; ::1: connection refused"
    assert caught.value.what == f"many.test:1 cannot be reached ({reasons})"
    assert len(host.notes) == 3
    host.check_closed()


@pytest.mark.parametrize("family", [Family.IPV4, Family.IPV6])
async def test_one_family_is_asked_alone_where_the_definition_says_so(host: Host, family: Family) -> None:
    host.has((V6, "listening"), (V4, "listening"))
    with await soon(host.connect(family)) as sock:
        assert sock.family is (socket.AF_INET if family is Family.IPV4 else socket.AF_INET6)
    assert host.asked == [sock.family]


async def test_the_legs_deadline_bounds_the_race(host: Host) -> None:
    host.has((V6, "a black hole"), (V4, "a black hole"))

    async def leg() -> socket.socket:
        async with within(host.clock, 30, "connecting"):
            return await host.connect()

    task = asyncio.create_task(leg())
    await host.clock.until_waiting(2)
    await host.clock.advance(30)
    with pytest.raises(TimedOut, match="connecting: no answer within 30 s"):
        await soon(task)
    assert host.notes == ["::1: no answer so far", "127.0.0.1: no answer so far"]
    host.check_closed()


async def test_a_race_that_is_cancelled_leaves_nothing_behind(host: Host) -> None:
    host.has((V6, "a black hole"), (V4, "a black hole"))
    task = host.connect()
    await host.clock.until_waiting()
    await host.clock.advance(ATTEMPT_DELAY_S)
    assert len(host.made) == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    host.check_closed()


class Answers:
    """In the place of the loop's `sock_connect`: each attempt waits for the test to let it go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.attempts: list[asyncio.Future[None]] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", self._connect)

    async def _connect(self, *_: object) -> None:
        self.attempts.append(asyncio.get_running_loop().create_future())
        await self.attempts[-1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_of_two_that_answer_at_the_same_instant_one_is_taken_and_one_closed(
    host: Host, monkeypatch: pytest.MonkeyPatch, order: Sequence[int]
) -> None:
    answers = Answers(monkeypatch)
    host.has((V6, "listening"), (V4, "listening"))
    task = host.connect()
    await host.clock.until_waiting()
    await host.clock.advance(ATTEMPT_DELAY_S)
    for index in order:
        answers.attempts[index].set_result(None)
    with await soon(task) as sock:
        host.check_closed(sock)


async def test_the_first_may_still_win_when_the_second_has_begun(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(monkeypatch)
    host.has((V6, "listening"), (V4, "listening"))
    task = host.connect()
    await host.clock.until_waiting()
    await host.clock.advance(ATTEMPT_DELAY_S)
    answers.attempts[0].set_result(None)
    with await soon(task) as sock:
        assert sock.family is socket.AF_INET6
        host.check_closed(sock)
    assert host.notes == ["127.0.0.1: no answer so far"]


@pytest.mark.parametrize("wrong", [[0], [0, 1]])
async def test_a_mistake_of_ours_ends_the_race_and_is_not_taken_for_an_address_that_fails(
    host: Host, monkeypatch: pytest.MonkeyPatch, wrong: Sequence[int]
) -> None:
    answers = Answers(monkeypatch)
    host.has((V6, "listening"), (V4, "listening"))
    task = host.connect()
    await host.clock.until_waiting()
    await host.clock.advance(ATTEMPT_DELAY_S)
    for index in wrong:
        answers.attempts[index].set_exception(KeyError("ours"))
    with pytest.raises(KeyError):
        await soon(task)
    host.check_closed()


async def test_families_take_turns_as_long_as_there_are_both() -> None:
    six = [Address(socket.AF_INET6, (f"::{number}", 1, 0, 0)) for number in range(3)]
    four = [Address(socket.AF_INET, (f"192.0.2.{number}", 1)) for number in range(2)]
    assert interleaved([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert interleaved([four[0], *six, four[1]]) == [four[0], six[0], four[1], six[1], six[2]]
    assert interleaved(six) == six
    assert interleaved([]) == []
