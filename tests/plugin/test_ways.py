"""Trips whose mail goes without a named SMTP server."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

# Imported once: pytester forgets what a run in this process imports, and then has two of the same class.
import mailtrip_checks.dns_lookup  # noqa: F401
from mailtrip_checks.ends import End
from mailtrip_checks.engine import Engine
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.trips import Auth, Endpoint, Protocol, Receive, Security, Send, Trip
from mailtrip_reports.record import Record, from_json
from tests.checks.dns_server import dns_server
from tests.plugin.conftest import Project

RELAY = """\
import smtplib, sys
port, _, sender, _, *recipients = sys.argv[1:]
with smtplib.SMTP("127.0.0.1", int(port)) as client:
    client.sendmail(sender, recipients, sys.stdin.buffer.read().replace(b"\\n", b"\\r\\n"))
"""


def records(project: Project, trips: str) -> dict[str, Record]:
    project.write("a.trip.yaml", f"trips:\n{trips}")
    result = project.here("--mailtrip-jsonl=out.jsonl", "-vv")
    lines = (project.pytester.path / "out.jsonl").read_text().splitlines()
    assert lines, result.stdout.str()
    return {record.name: record for record in map(from_json, lines)}


def test_a_trip_finds_its_way_by_mx(project: Project) -> None:
    zone = {"example.test MX": "10 mail.example.test.", "mail.example.test A": "127.0.0.1", "none.test MX": "0 ."}
    with dns_server(zone) as dns:
        via = f"{{host: mx, port: {project.servers.ports.smtp}, dns: '{dns.address}', security: none}}"
        found = records(
            project,
            f"  one: {{send: {{via: {via}, from: a@x.test, to: u0@example.test}}, receive: {{at: in}}}}\n"
            f"  two: {{send: {{via: {via}, from: a@x.test, to: u1@example.test}}, receive: {{at: in}}}}\n"
            f"  none: {{send: {{via: {via}, from: a@x.test, to: u0@none.test}}}}\n",
        )
    assert [found[name].end.value for name in ("one", "two", "none")] == ["delivered", "delivered", "unresolved"]
    assert [stage.name for stage in found["one"].stages][:4].count("mx") <= 1
    assert "mx" in {stage.name for name in ("one", "two") for stage in found[name].stages}
    assert "null (RFC 7505)" in found["none"].what
    assert project.mails() == (2, 2)


def test_a_trip_goes_through_the_local_mail_program(project: Project) -> None:
    project.write("relay.py", RELAY)
    command = f"[{sys.executable}, {project.pytester.path}/relay.py, '{project.servers.ports.smtp}']"
    found = records(
        project,
        f"  one: {{send: {{via: {{protocol: sendmail, command: {command}}}, from: a@x.test, to: u0@example.test}},"
        " receive: {at: in}, expect: {smtp: 20s}}\n"
        "  deferred: {send: {via: {protocol: sendmail, command: [sh, -c, exit 75]}, from: a@x, to: b@x}}\n"
        "  missing: {send: {via: {protocol: sendmail, command: [./no-such]}, from: a@x, to: b@x}}\n"
        "  slow: {send: {via: {protocol: sendmail, command: [sh, -c, sleep 60]}, from: a@x, to: b@x,"
        " timeout: 200ms}}\n"
        "  rejected: {send: {via: {protocol: sendmail, command: [sh, -c, echo who is b; exit 67]}, from: a@x, to: b@x},"
        " expect: {outcome: rejected, reply: /EX_NOUSER.*who/}}\n",
    )
    ends = {name: record.end.value for name, record in found.items()}
    assert ends == {
        "one": "delivered",
        "deferred": "deferred",
        "missing": "unreachable",
        "slow": "timed-out",
        "rejected": "rejected",
    }
    assert [stage.name for stage in found["one"].stages if stage.leg.value == "smtp"] == ["submit"]
    assert project.mails() == (1, 1)


@pytest.mark.parametrize(("grace_s", "in_time"), [(0.2, False), (20.0, True)])
def test_a_stopped_run_waits_for_the_program_within_its_grace(
    project: Project, tmp_path: Path, grace_s: float, in_time: bool
) -> None:
    project.write("relay.py", RELAY)
    os.mkfifo(tmp_path / "started")
    os.mkfifo(tmp_path / "go on")
    relay = f'{sys.executable} {project.pytester.path}/relay.py {project.servers.ports.smtp} "$@"'
    command = ("sh", "-c", f"cd {tmp_path}; echo > started; read go < 'go on'; {relay}", "sh")
    via = Endpoint("sendmail", Protocol.SENDMAIL, "sh", 0, Security.NONE, command=command)
    at = Endpoint(
        "in",
        Protocol.IMAP,
        "127.0.0.1",
        project.servers.ports.imap,
        Security.NONE,
        Auth.PASSWORD,
        "u0@example.test",
        Secret("secret word"),
    )
    trip = Trip("a", Path("a"), 1, Send(via, "a@x.test", ("u0@example.test",), "a@x.test"), Receive(at))
    engine = Engine(key=b"key", masker=Masker(), concurrency=1, grace_s=grace_s)
    engine.submit([trip])
    (tmp_path / "started").read_text()
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(engine.stop)
        if in_time:
            (tmp_path / "go on").write_text("\n")
        (outcome,) = stopping.result(30)
    assert outcome.end is End.CANCELLED
    assert bool(outcome.left_behind) is not in_time
    assert project.mails() == ((1, 1) if in_time else (0, 0))


@pytest.mark.parametrize("via", ["mx", "sendmail"])
def test_such_a_trip_can_be_collected_anywhere(project: Project, via: str) -> None:
    project.write("a.trip.yaml", f"trips: {{a: {{send: {{via: {via}, from: a@x.test, to: b@y.test}}}}}}\n")
    project.here("--collect-only").assert_outcomes()
