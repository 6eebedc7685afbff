"""Projects of trip files, run by pytest against servers in this process."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# Imported once: pytester forgets what a run in this process imports, and PyYAML's C half cannot be imported twice.
import mailtrip.runner  # noqa: F401
from mailtrip_fixtures.servers import MailServers

# Plugins that happen to be installed beside ours are loaded only by the tests that are about them.
ALONE = ("-p", "no:randomly", "-p", "no:rerunfailures", "-p", "no:timeout", "-p", "no:cacheprovider")


@pytest.fixture(autouse=True)
def told_asyncio(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-asyncio warns where this is not said, and our own filterwarnings makes that an error in an inner run."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-o asyncio_default_fixture_loop_scope=function")


@pytest.fixture
def servers() -> Iterator[MailServers]:
    with MailServers(catch_all=True) as servers:
        yield servers


@dataclass
class Project:
    """A folder with a mailtrip.yaml that names the servers `out`, `in` and `maildrop`."""

    pytester: pytest.Pytester
    servers: MailServers

    def write(self, name: str, text: str) -> Path:
        path = self.pytester.path / name
        path.write_text(text)
        return path

    def trips(self, count: int, *, name: str = "many.trip.yaml", more: str = "") -> Path:
        """A file with `count` trips, each into a mailbox that it shares with four others."""
        lines = [
            f"  t{n:02}: {{send: {{via: out, from: probe@example.org, to: u{n % 4}@example.test}},"
            f" receive: {{at: in, interval: 200ms}}{more}}}\n"
            for n in range(count)
        ]
        return self.write(name, "trips:\n" + "".join(lines))

    def run(self, *args: str, timeout_s: float = 60) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        plugins = () if any(arg.startswith("--plain") for arg in args) else ALONE
        return self.pytester.runpytest_subprocess(*plugins, *args, timeout=timeout_s)

    def here(self, *args: str) -> pytest.RunResult:
        """Run pytest in this process: quicker, and its coverage counts."""
        return self.pytester.runpytest_inprocess(*ALONE, *args)

    def mails(self) -> tuple[int, int]:
        """How many mails the servers accepted and how many were deleted."""
        return len(self.servers.ledger.accepted), len(self.servers.ledger.deleted)


@pytest.fixture
def project(pytester: pytest.Pytester, servers: MailServers, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("MAILTRIP_KEY", "the key of these tests")
    for user in range(4):
        servers.account(f"u{user}@example.test", "secret word")
    ports = servers.ports
    project = Project(pytester, servers)
    project.write(
        "mailtrip.yaml",
        f"""\
servers:
  out: {{protocol: smtp, host: 127.0.0.1, port: {ports.smtp}, security: none}}
  in: {{protocol: imap, host: 127.0.0.1, port: {ports.imap}, security: none, password: secret word}}
  maildrop: {{protocol: pop3, host: 127.0.0.1, port: {ports.pop3}, security: none, password: secret word}}
defaults: {{timeout: 20s}}
""",
    )
    return project
