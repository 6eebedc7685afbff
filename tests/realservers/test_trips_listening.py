"""Trips from YAML whose mail Postfix brings to the test process itself."""

import pytest

# Imported once: pytester forgets what a run in this process imports, and then has two of the same class.
import mailtrip_checks.mailbox.listen_smtp  # noqa: F401
from tests.realservers.running import run_trips
from tests.realservers.servers import RealServers


def trip(name: str, servers: RealServers, *, accept: str = "", send: str = "", more: str = "") -> str:
    """A trip to an address that Postfix forwards to the port on which the trip listens."""
    at = f"{{protocol: listen, host: 127.0.0.1, port: {servers.ports.collector}{accept}}}"
    to = f"{{via: out, from: a@example.org, to: {servers.special.collected}{send}}}"
    return f"{name}: {{send: {to}, receive: {{at: {at}}}{more}}}"


def test_postfix_forwards_to_us(pytester: pytest.Pytester, real_servers: RealServers) -> None:
    accept = ', accept: "*@collector.test"'
    small = trip("small", real_servers, accept=accept)
    large = trip("large", real_servers, accept=accept, send=", attachments: [{size: 5MB}]")
    run = run_trips(pytester, real_servers, [small, large])
    assert run.ends() == {"small": "delivered", "large": "delivered"}, run.shown
    for name, record in run.records.items():
        assert "status=sent (250 2.0.0 Taken)" in run.received(name)["smtp"]
        assert record.hosts["mailbox"] == f"127.0.0.1:{real_servers.ports.collector}"
        assert [stage.name for stage in record.stages if stage.leg.value == "mailbox"] == []


def test_where_nothing_else_is_written_only_the_trips_own_recipient_is_accepted(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    run = run_trips(pytester, real_servers, [trip("elsewhere", real_servers, more=", timeout: 2s")])
    assert run.ends() == {"elsewhere": "lost"}
    assert "status=bounced (host 127.0.0.1[127.0.0.1] said: 550 5.7.1" in run.received("elsewhere")["smtp"]
    assert any("not for <client@collector.test>" in line.text for line in run.records["elsewhere"].transcript)
