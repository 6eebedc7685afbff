"""Trips from YAML whose mail goes through Postfix's own sendmail, and by MX to Postfix."""

import pytest

# Imported once: pytester forgets what a run in this process imports, and then has two of the same class.
import mailtrip_checks.dns_lookup  # noqa: F401
from tests.checks.dns_server import dns_server
from tests.realservers.running import password, run_trips
from tests.realservers.servers import RealServers


def test_postfix_takes_a_mail_from_its_sendmail_and_a_broken_set_up_is_told(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    account, other = real_servers.users[5:7]
    via = f"{{protocol: sendmail, command: [/usr/sbin/sendmail, -C, {real_servers.directory}, -i]}}"
    wrong = f"{{protocol: sendmail, command: [/usr/sbin/sendmail, -C, {real_servers.directory}/none, -i]}}"
    envelope = f"from: {other.address}, to: {account.address}"
    run = run_trips(
        pytester,
        real_servers,
        [
            f"one: {{send: {{via: {via}, {envelope}}}, receive: {{at: in, password: {password(account)}}}}}",
            f"wrong: {{send: {{via: {wrong}, {envelope}}}}}",
        ],
    )
    assert run.ends()["one"] == "delivered", run.shown
    assert run.ends()["wrong"] == "deferred", run.records["wrong"].replies
    assert "none/main.cf: No such file" in run.records["wrong"].replies[-1].text
    assert run.messages("one", account) == []
    received = run.received("one")
    assert f"from=<{other.address}>" in received["pickup"]
    assert "smtpd" not in received


def test_postfix_is_found_by_mx_and_spoken_to_with_tls(pytester: pytest.Pytester, real_servers: RealServers) -> None:
    account = real_servers.users[7]
    zone = {
        "example.test MX": "5 down.test., 10 localhost.",
        "down.test A": "127.0.0.9",
        "localhost A": "127.0.0.1",
    }
    with dns_server(zone) as dns:
        via = (
            f"{{protocol: smtp, host: mx, port: {real_servers.ports.smtp}, dns: '{dns.address}',"
            f" security: starttls, ca: {real_servers.ca}}}"
        )
        trip = (
            f"one: {{send: {{via: {via}, from: a@elsewhere.invalid, to: {account.address}}},"
            f" receive: {{at: in, password: {password(account)}}}}}"
        )
        run = run_trips(pytester, real_servers, [trip])
    assert run.ends() == {"one": "delivered"}, run.shown
    assert run.records["one"].hosts["smtp"] == f"localhost:{real_servers.ports.smtp} [127.0.0.1], STARTTLS"
    assert run.postfix.wait("disconnect", "starttls=1", "data=1")
