"""The work that every candidate does: so many trips, spread evenly over some mailboxes."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PASSWORD = "secret word"
WORK_FILE = "bench.work.json"
TRIP_FILE = "bench.trip.yaml"
TOKEN_HEADER = "X-Bench"
GIVE_UP_S = 300.0


@dataclass(frozen=True, slots=True)
class Work:
    """Ports are on 127.0.0.1 and speak without TLS: encryption costs all candidates the same, and is not ours."""

    smtp: int
    imap: int
    pop3: int
    addresses: tuple[str, ...]
    trips: int
    password: str = PASSWORD

    def address(self, number: int) -> str:
        """Where the trip with this number, from 0, goes."""
        return self.addresses[number % len(self.addresses)]

    def save(self, folder: Path) -> None:
        (folder / WORK_FILE).write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: str | Path = WORK_FILE) -> "Work":
        read = json.loads(Path(path).read_text())
        return cls(read["smtp"], read["imap"], read["pop3"], tuple(read["addresses"]), read["trips"])


@dataclass(frozen=True, slots=True)
class Definition:
    """How the trips of a work are written for the plugin.

    `out`, `inbound` and `receive` are more keys of servers and trips; `trip` is a line of the trip. `beside` is a
    Python test that runs while the trips are in flight: after the first trip's turn, which starts them all.
    """

    out: str = ""
    inbound: str = ""
    receive: str = ""
    trip: str = "timeout: 5m"
    beside: str = ""
    protocol: str = "imap"

    def save(self, folder: Path, work: Work) -> list[str]:
        """One trip with a matrix of `work.trips` rows, and the servers; gives the files that pytest is to run."""
        port = work.imap if self.protocol == "imap" else work.pop3
        (folder / "mailtrip.yaml").write_text(
            f"""\
servers:
  out: {{protocol: smtp, host: 127.0.0.1, port: {work.smtp}, security: none{_more(self.out)}}}
  in: {{protocol: {self.protocol}, host: 127.0.0.1, port: {port}, security: none,
       password: {work.password}{_more(self.inbound)}}}
"""
        )
        addresses = [work.address(number) for number in range(work.trips)]
        if not self.beside:
            self._save_trips(folder, TRIP_FILE, addresses)
            return [TRIP_FILE]
        self._save_trips(folder, f"first.{TRIP_FILE}", addresses[:1])
        self._save_trips(folder, TRIP_FILE, addresses[1:])
        (folder / "test_beside.py").write_text(self.beside)
        return [f"first.{TRIP_FILE}", "test_beside.py", TRIP_FILE]

    def _save_trips(self, folder: Path, name: str, addresses: Sequence[str]) -> None:
        """A trip file, one row for each address."""
        rows = [f"n{number:05},{address}\n" for number, address in enumerate(addresses)]
        (folder / f"{name}.csv").write_text("id,address\n" + "".join(rows))
        (folder / name).write_text(
            f"""\
trips:
  trip:
    matrix: {{to: {{csv: {name}.csv}}}}
    send: {{via: out, from: probe@example.org, to: "${{matrix.to.address}}"}}
    receive: {{at: in{_more(self.receive)}}}
    {self.trip}
"""
        )


def mailboxes(count: int) -> tuple[str, ...]:
    """So many addresses."""
    return tuple(f"u{number:03}@example.test" for number in range(count))


def _more(keys: str) -> str:
    return f", {keys}" if keys else ""
