"""Trips whose mail comes to a port of the test process, from YAML to the report."""

import json
import smtplib
import socket
from threading import Thread

import pytest

# Imported once: pytester forgets what a run in this process imports, and then has two of the same class.
import mailtrip_checks.mailbox.listen_smtp  # noqa: F401
from mailtrip_reports.record import Record, from_json
from tests.plugin.conftest import ALONE, Project
from tests.ports import free_port


@pytest.fixture
def port() -> int:
    return free_port()


def trip(name: str, port: int, *, more: str = "", to: str = "probe@collector.test") -> str:
    """A trip straight to the port that it listens on."""
    via = f"{{host: 127.0.0.1, port: {port}, security: none}}"
    at = f"{{protocol: listen, host: 127.0.0.1, port: {port}}}"
    return f"  {name}: {{send: {{via: {via}, from: a@x.test, to: {to}}}, receive: {{at: {at}}}{more}}}\n"


def records(project: Project, trips: str, *args: str) -> dict[str, Record]:
    project.write("a.trip.yaml", f"trips:\n{trips}")
    plugins = () if args else ALONE
    result = project.pytester.runpytest_subprocess(*plugins, "--mailtrip-jsonl=out.jsonl", "-vv", *args, timeout=60)
    lines = (project.pytester.path / "out.jsonl").read_text().splitlines()
    assert lines, result.stdout.str()
    return {record.name: record for record in map(from_json, lines)}


def test_a_trip_is_delivered_to_the_process_itself_and_what_it_did_not_see_is_missing(
    project: Project, port: int
) -> None:
    project.write("a.trip.yaml", f"trips:\n{trip('one', port, more=', expect: {total: 20s, transit: 20s}')}")
    result = project.here("--mailtrip-jsonl=out.jsonl", "-vv")
    result.assert_outcomes(passed=1)
    written = json.loads((project.pytester.path / "out.jsonl").read_text())
    assert set(written["channels"]) == {"total", "smtp", "transit"}
    assert [stage["name"] for stage in written["stages"] if stage["leg"] == "mailbox"] == []
    assert written["hosts"]["mailbox"] == f"127.0.0.1:{port}"
    assert project.mails() == (0, 0)
    with socket.create_server(("127.0.0.1", port)):
        pass  # nobody listens there any more


def test_a_port_in_use_ends_its_trips_and_no_others(project: Project, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        other = "  other: {send: {via: out, from: a@x.test, to: u0@example.test}, receive: {at: in}}\n"
        found = records(project, trip("one", port) + trip("two", port, to="q@collector.test") + other)
    assert {name: record.end.value for name, record in found.items()} == {
        "one": "unreachable",
        "two": "unreachable",
        "other": "delivered",
    }
    assert found["one"].alertsite == 1
    assert f"cannot listen on port {port} of 127.0.0.1: it is in use" in found["one"].what
    assert f"End what listens on port {port}" in found["one"].hint


@pytest.mark.parametrize("mode", ["load", "loadscope", "worksteal"])
def test_one_worker_of_xdist_owns_the_port(project: Project, port: int, mode: str) -> None:
    pytest.importorskip("xdist")
    trips = "".join(trip(f"t{n}", port, to=f"p{n}@collector.test") for n in range(6))
    found = records(project, trips, "-n", "2", "--dist", mode, "-p", "no:randomly")
    assert {record.end.value for record in found.values()} == {"delivered"}
    assert len(found) == 6


def test_a_mailbox_that_forwards_is_watched_at_our_end(project: Project, port: int) -> None:
    """WebSitePulse's second topology: the system under test keeps its mailbox to itself."""

    def forward() -> None:
        mailbox = project.servers.account("probe@client.test")
        message = mailbox.wait_for(subject="mailtrip", timeout_s=20)
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.send_message(message, "postmaster@client.test", ["client-7@collector.test"])

    project.write(
        "a.trip.yaml",
        f"""\
servers:
  collector: {{protocol: listen, host: 127.0.0.1, port: {port}, accept: ["*@collector.test"]}}
trips:
  inbound:
    send: {{via: out, from: probe@example.org, to: probe@client.test}}
    receive: {{at: collector}}
""",
    )
    forwarding = Thread(target=forward)
    forwarding.start()
    project.here("-vv").assert_outcomes(passed=1)
    forwarding.join(20)
