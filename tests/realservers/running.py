"""Trips from YAML, run by pytest with our plugin against the real servers, and what the servers logged meanwhile."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from mailtrip_reports.record import Record, from_json
from tests.realservers.servers import Account, RealServers, until

# Imported once: pytester forgets what a run in this process imports, and PyYAML's C half cannot be imported twice.
import_module("mailtrip.runner")

# Plugins that happen to be installed beside ours have no part in this.
ALONE = ("asyncio", "randomly", "rerunfailures", "timeout", "cacheprovider", "xdist")

# What the trips inherit: a way out and two ways in, with TLS by a certificate of a private authority.
SERVERS = """\
servers:
  out:
    protocol: smtp
    host: ${env:MAILTRIP_REAL_HOST}
    port: ${env:MAILTRIP_REAL_SMTP_PORT}
    security: starttls
    ca: ${env:MAILTRIP_REAL_CA}
  in:
    protocol: imap
    host: ${env:MAILTRIP_REAL_HOST}
    port: ${env:MAILTRIP_REAL_IMAPS_PORT}
    security: tls
    ca: ${env:MAILTRIP_REAL_CA}
  maildrop:
    protocol: pop3
    host: ${env:MAILTRIP_REAL_HOST}
    port: ${env:MAILTRIP_REAL_POP3S_PORT}
    security: tls
    ca: ${env:MAILTRIP_REAL_CA}
defaults:
  interval: 200ms
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended: a record for each trip, by its name, and what each server logged from its start on."""

    servers: RealServers
    records: dict[str, Record]
    shown: str  # all that was written: terminal, JUnit and JSON lines
    postfix: "LogSince"
    dovecot: "LogSince"

    def ends(self) -> dict[str, str]:
        """How each trip ended."""
        return {name: record.end.value for name, record in self.records.items()}

    def messages(self, name: str, account: Account, folder: str = "INBOX") -> list[bytes]:
        """The mails of a trip, by its token, that lie in a folder now."""
        token = self.records[name].token.encode()
        return [mail.raw for mail in self.servers.maildir_messages(account, folder) if token in mail.raw]

    def received(self, name: str) -> dict[str, str]:
        """What Postfix logged of a trip's mail: the last line of each service (smtpd, lmtp, …), at its end."""
        token = self.records[name].token
        (queue_id,) = {found[1] for line in self.postfix.lines(token) if (found := re.search(r"\]: (\w+): ", line))}
        self.postfix.wait(f": {queue_id}: removed")
        return {line.partition("postfix/")[2].partition("[")[0]: line for line in self.postfix.lines(f": {queue_id}: ")}


@dataclass(frozen=True, slots=True)
class LogSince:
    """A server's log from an offset in bytes on."""

    path: Path
    offset: int

    @classmethod
    def now(cls, path: Path) -> "LogSince":
        return cls(path, path.stat().st_size if path.exists() else 0)

    def lines(self, *texts: str) -> list[str]:
        """The lines that hold all these texts, letter case apart."""
        with self.path.open("rb") as log:
            log.seek(self.offset)
            lines = log.read().decode("utf-8", "replace").splitlines()
        return [line for line in lines if all(text.lower() in line.lower() for text in texts)]

    def wait(self, *texts: str, count: int = 1) -> list[str]:
        """The same, once there are so many of them: a log is written behind the answer that a client got."""
        until(lambda: len(self.lines(*texts)) >= count)
        return self.lines(*texts)


def run_trips(pytester: pytest.Pytester, servers: RealServers, trips: Sequence[str]) -> Run:
    """Run trips, each a line `name: {…}` of YAML, all in one run of pytest in this process."""
    pytester.path.joinpath("mailtrip.yaml").write_text(SERVERS, "utf-8")
    lines = "".join(f"  {trip}\n" for trip in trips)
    pytester.path.joinpath("real.trip.yaml").write_text(f"trips:\n{lines}", "utf-8")
    run = run_pytest(pytester, servers)
    assert len(run.records) == len(trips), run.shown
    return run


def run_pytest(pytester: pytest.Pytester, servers: RealServers, *arguments: str) -> Run:
    """Run the trips that lie in the folder, all in one run of pytest in this process."""
    postfix, dovecot = (LogSince.now(servers.directory / f"{name}.log") for name in ("postfix", "dovecot"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAILTRIP_KEY", "the key of these tests")
        for name, value in servers.environment().items():
            patch.setenv(name, value)
        plugins = [word for name in ALONE for word in ("-p", f"no:{name}")]
        result = pytester.runpytest_inprocess(
            *plugins, *arguments, "--mailtrip-jsonl=out.jsonl", "--junit-xml=out.xml", "-vv"
        )
    written = [pytester.path / name for name in ("out.jsonl", "out.xml")]
    shown = "\n".join([result.stdout.str(), result.stderr.str(), *(path.read_text("utf-8") for path in written)])
    records = [from_json(line) for line in written[0].read_text("ascii").splitlines()]
    return Run(servers, {record.name: record for record in records}, shown, postfix, dovecot)


def password(account: Account) -> str:
    """The account's password, as a definition reads it from the environment."""
    return f'"${{env:MAILTRIP_REAL_PASSWORD_{account.local_part.upper()}}}"'


def quoted(text: object) -> str:
    """A text as a YAML scalar, whatever is in it."""
    return json.dumps(str(text))
