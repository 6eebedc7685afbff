"""One set of servers and the candidates that run against it, each proved by the servers' ledger."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.candidates.probe import Probed, read_probe
from benchmarks.harness import NO_TESTS, Ran, Wrong, folder, module_command, pytest_command, run
from benchmarks.servers import Event, Served, servers
from benchmarks.work import PASSWORD, WORK_FILE, Definition, Work, mailboxes
from mailtrip_reports.record import Record, from_json

NAIVE = ("-p", "benchmarks.candidates.naive", WORK_FILE)
EMPTY = ("-p", "benchmarks.candidates.empty", WORK_FILE)
OURS = ("-p", "mailtrip")
JSON_LINES = "records.jsonl"

OTHERS: Mapping[str, Sequence[str]] = {
    "one by one": pytest_command(*NAIVE),
    "xdist -n 2": pytest_command("-p", "xdist", "-n", "2", *NAIVE),
    "xdist -n 8": pytest_command("-p", "xdist", "-n", "8", *NAIVE),
    "smtplib + imaplib": module_command("stdlib_trip"),
    "aiosmtplib + aioimaplib": module_command("asyncio_libs"),
    "raw floor": module_command("raw_floor"),
}


@dataclass(frozen=True, slots=True)
class Flown:
    """A run of candidate, what the servers saw meanwhile, and its records where it wrote some."""

    ran: Ran
    events: Sequence[Event]
    records: Sequence[Record]
    probed: Probed | None

    @property
    def delivered_wall_s(self) -> dict[str, float]:
        """Unix time of the delivery by token, as it would be had the wall clock not been slewed since the sending."""
        accepted = {event.token: event for event in self.events if event.kind == "accepted"}
        return {
            event.token: accepted[event.token].wall_s + event.at_s - accepted[event.token].at_s
            for event in self.events
            if event.kind == "delivered"
        }


@dataclass(frozen=True, slots=True)
class Ground:
    """The servers, and the work done there."""

    served: Served
    work: Work

    def at(self, address: str) -> "Ground":
        """The same servers, with all trips into this mailbox."""
        return replace(self, work=replace(self.work, addresses=(address,)))

    def fly(self, command: Sequence[str], *, trips: int | None = None) -> Flown:
        """Run a candidate other than ours; raises Wrong unless each mail was delivered, and deleted, once."""
        work = self.work if trips is None else replace(self.work, trips=trips)
        with folder() as place:
            work.save(place)
            return self._flown(place, command, work)

    def idle(self, command: Sequence[str]) -> Ran:
        """Run what has as many items as the work has trips, and sends nothing."""
        with folder() as place:
            self.work.save(place)
            return run(command, place)

    def ours(self, definition: Definition, *arguments: str, records: bool = False, trips: int | None = None) -> Flown:
        """Run the plugin; `records` has it write them, which costs time."""
        work = self.work if trips is None else replace(self.work, trips=trips)
        with folder() as place:
            files = definition.save(place, work)
            more = (f"--mailtrip-jsonl={JSON_LINES}",) if records else ()
            return self._flown(place, pytest_command(*OURS, *more, *arguments, *files), work)

    def _flown(self, place: Path, command: Sequence[str], work: Work) -> Flown:
        mark = self.served.mark()
        ran = run(command, place, good=(0,) if work.trips else (0, NO_TESTS))
        events = self.served.events(mark)
        prove(events, work.trips, " ".join(command))
        return Flown(ran, events, read_records(place), read_probe(place))


def prove(events: Sequence[Event], trips: int, who: str) -> None:
    """Raise Wrong unless so many mails were accepted, delivered and deleted, each once."""
    for kind in ("accepted", "delivered", "deleted"):
        tokens = Counter(event.token for event in events if event.kind == kind)
        if len(tokens) != trips or tokens.total() != trips or "" in tokens:
            raise Wrong(f"{who}: {tokens.total()} mails {kind}, {len(tokens)} different ones, for {trips} trips")


def read_records(place: Path) -> list[Record]:
    """What the plugin wrote."""
    path = place / JSON_LINES
    return [from_json(line) for line in path.read_text("ascii").splitlines()] if path.exists() else []


@contextmanager
def ground(trips: int, boxes: int) -> Generator[Ground]:
    """Servers with so many mailboxes."""
    with servers() as served:
        addresses = mailboxes(boxes)
        served.add_accounts(addresses, PASSWORD)
        ports = served.ports()
        yield Ground(served, Work(ports.smtp, ports.imap, ports.pop3, addresses, trips))


def sampled(here: Ground, command: Sequence[str], trips: int) -> Callable[[], float]:
    """Seconds that a candidate takes for all trips, reckoned from so few: each costs it the same.

    What it takes to start is measured apart, by a run without a trip.
    """
    return partial(_sampled, here, command, trips)


def _sampled(here: Ground, command: Sequence[str], trips: int) -> float:
    start_s = here.fly(command, trips=0).ran.wall_s
    some_s = here.fly(command, trips=trips).ran.wall_s
    return start_s + max(some_s - start_s, 0.0) * here.work.trips / trips
