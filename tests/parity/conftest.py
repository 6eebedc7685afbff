"""In-process servers, and trips that are written as YAML and judged by what these servers heard."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailtrip_fixtures import MailServers
from mailtrip_fixtures.services import PortName
from mailtrip_reports.record import Record
from tests.parity.flight import fly, read

PASSWORD = "secret word"


@pytest.fixture
def servers() -> Iterator[MailServers]:
    with MailServers(tls="none") as running:
        for user in range(4):
            running.account(f"u{user}@example.test", PASSWORD)
        yield running


class Desk:
    """Runs the trips of a YAML text that names the servers `out`, `in` and `maildrop`."""

    def __init__(self, folder: Path, servers: MailServers) -> None:
        self.servers = servers
        self._folder = folder
        ports, where = servers.ports, "host: 127.0.0.1, security: none"
        (folder / "mailtrip.yaml").write_text(
            "servers:\n"
            f"  out: {{protocol: smtp, {where}, port: {ports.smtp}}}\n"
            f"  in: {{protocol: imap, {where}, port: {ports.imap}, password: {PASSWORD}}}\n"
            f"  maildrop: {{protocol: pop3, {where}, port: {ports.pop3}, password: {PASSWORD}}}\n"
            "defaults: {timeout: 20s, interval: 100ms}\n",
            encoding="utf-8",
        )

    def fly(self, trips: str, *, concurrency: int = 1000) -> dict[str, Record]:
        """The records by name of the trips in this mapping, indented as it likes."""
        return fly(read(self._folder, f"trips:\n{trips}\n"), concurrency=concurrency)

    def one(self, trip: str) -> Record:
        """The record of this one trip, written as a mapping in braces."""
        return self.fly(f"  one: {trip}")["one"]

    def heard(self, word: str, port: PortName = "smtp") -> list[str]:
        """The commands of clients in which this word stands."""
        return [line for line in self.servers.commands(port) if word in line.split()]


@pytest.fixture
def desk(tmp_path: Path, servers: MailServers) -> Desk:
    return Desk(tmp_path, servers)
