"""Trips from YAML: the five security modes, certificates and address families, as the real servers see them."""

import hashlib
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import product

import pytest

from tests.realservers.running import Run, password, quoted, run_trips
from tests.realservers.servers import RealServers

MODES = ("none", "starttls-if-available", "tls-if-available", "starttls", "tls")
PORTS = {
    "smtp": ("smtp", "smtp_notls", "smtps"),
    "imap": ("imap", "imap_notls", "imaps"),
    "pop3": ("pop3", "pop3_notls", "pop3s"),
}
# By mode: what becomes of it on a port with STARTTLS, with no TLS, with TLS from the first byte.
PLAIN, ENCRYPTED, FELL_BACK = "plain", "encrypted", "fell back to plain with a warning"
EXPECTED = {
    "none": (PLAIN, PLAIN, "timed-out"),
    "starttls-if-available": (ENCRYPTED, FELL_BACK, "timed-out"),
    "tls-if-available": (FELL_BACK, FELL_BACK, ENCRYPTED),
    "starttls": (ENCRYPTED, "tls-failed", "timed-out"),
    "tls": ("tls-failed", "tls-failed", ENCRYPTED),
}


@dataclass(frozen=True, slots=True)
class Way:
    """A trip over one connection of interest. `user` numbers its mailbox, which is its alone in the run."""

    name: str
    protocol: str
    user: int

    def trip(self, servers: RealServers, port: int, security: str, trust: str, *, within_s: int = 30) -> str:
        account = servers.users[self.user]
        server = f"{{protocol: {self.protocol}, host: localhost, port: {port}, security: {security}{trust}}}"
        if self.protocol == "smtp":
            send = f"{{via: {server}, from: a@example.org, to: {account.address}, timeout: {within_s}s}}"
            return f"{self.name}: {{send: {send}}}"
        receive = f"at: {server}, user: {account.address}, password: {password(account)}, step_timeout: {within_s}s"
        return f"{self.name}: {{receive: {{{receive}}}}}"

    def seen_by_the_server(self, run: Run) -> str:
        """How the server was really used: in plain, encrypted, or not at all."""
        account = run.servers.users[self.user]
        if self.protocol == "smtp":
            if not run.records[self.name].accepted_s:
                assert not run.messages(self.name, account)
                return "not at all"
            raw = run.servers.arrived(account, run.records[self.name].token).raw
            return ENCRYPTED if b"with ESMTPS id" in raw else PLAIN
        look = run.dovecot.wait if run.records[self.name].passed else run.dovecot.lines
        logins = look(f" {self.protocol}-login", f"Login: user=<{account.address}>")
        (seen,) = {ENCRYPTED if ", TLS," in login else PLAIN for login in logins} or {"not at all"}
        return seen


def ca(servers: RealServers) -> str:
    return f", ca: {quoted(servers.ca)}"


def fingerprint(servers: RealServers) -> str:
    """SHA-256 of the servers' certificate, in hexadecimal digits."""
    pem = (servers.directory / "server.pem").read_text("ascii")
    (first, *_) = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", pem, re.DOTALL)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()


@pytest.mark.parametrize("protocol", PORTS)
def test_each_security_mode_on_each_kind_of_port_does_what_it_says(
    pytester: pytest.Pytester, real_servers: RealServers, protocol: str
) -> None:
    trips: list[str] = []
    ways: list[tuple[Way, str]] = []
    for user, (mode, place) in enumerate(product(MODES, range(3))):
        port = PORTS[protocol][place]
        way = Way(f"{mode} on {port}", protocol, user)
        expected = EXPECTED[mode][place]
        within_s = 1 if expected == "timed-out" else 30
        trips.append(
            way.trip(real_servers, getattr(real_servers.ports, port), mode, ca(real_servers), within_s=within_s)
        )
        ways.append((way, expected))
    run = run_trips(pytester, real_servers, trips)
    assert {way.name: became(way, run) for way, _ in ways} == {way.name: expected for way, expected in ways}


def became(way: Way, run: Run) -> str:
    """What the record says, after a look that the server says the same."""
    record, seen = run.records[way.name], way.seen_by_the_server(run)
    if record.end not in ("accepted", "connected"):
        assert seen == "not at all"
        assert not record.passed
        return record.end
    assert record.passed
    has_tls_stage = any(stage.name == "tls" and stage.length_s > 0 for stage in record.stages)
    assert has_tls_stage or seen != ENCRYPTED
    if record.warnings:
        assert seen == PLAIN
        assert [warning for warning in record.warnings if "the connection is not encrypted" in warning]
        return FELL_BACK
    return seen


def test_every_trip_over_a_connection_that_fell_back_warns_of_it(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    account = real_servers.users[0]
    via = f"{{host: localhost, port: {real_servers.ports.smtp_notls}, connections: {{user: 1}}}}"
    send = f"{{via: {via}, from: a@example.org, to: {account.address}}}"
    run = run_trips(pytester, real_servers, [f"trip {number}: {{send: {send}}}" for number in range(3)])
    assert len(run.postfix.wait("] ehlo=1", "mail=3")) == 1
    assert all("the connection is not encrypted" in str(record.warnings) for record in run.records.values())


def tls_ways(trust: str) -> Iterator[tuple[Way, str, str]]:
    """Every protocol in every mode that tries TLS, on the port that has it."""
    modes = ("starttls-if-available", "tls-if-available", "starttls", "tls")
    for user, (protocol, mode) in enumerate(product(PORTS, modes)):
        port = PORTS[protocol][0 if "starttls" in mode else 2]
        yield Way(f"{mode} by {port}, {trust}", protocol, user), port, mode


@pytest.mark.parametrize(
    ("trust", "why"),
    [("", "is not trusted"), (f", fingerprint: sha256:{'0' * 64}", "fingerprint sha256:")],
    ids=["the CA is unknown", "another fingerprint is expected"],
)
def test_a_certificate_that_is_not_trusted_ends_every_mode_and_is_no_reason_to_go_on_in_plain(
    pytester: pytest.Pytester, real_servers: RealServers, trust: str, why: str
) -> None:
    ways = list(tls_ways("distrusted"))
    run = run_trips(
        pytester,
        real_servers,
        [way.trip(real_servers, getattr(real_servers.ports, port), mode, trust) for way, port, mode in ways],
    )
    assert run.ends() == {way.name: "tls-failed" for way, _, _ in ways}
    for way, _, _ in ways:
        record, account = run.records[way.name], real_servers.users[way.user]
        assert (record.alertsite, record.stage, record.warnings) == (3, "tls", ())
        assert why in record.what
        assert way.seen_by_the_server(run) == "not at all"
        assert not [line for line in record.transcript if line.direction == ">" and account.address in line.text]


def test_the_right_fingerprint_is_trusted_without_its_ca(pytester: pytest.Pytester, real_servers: RealServers) -> None:
    trust = f", fingerprint: sha256:{fingerprint(real_servers)}"
    ways = list(tls_ways("pinned"))
    run = run_trips(
        pytester,
        real_servers,
        [way.trip(real_servers, getattr(real_servers.ports, port), mode, trust) for way, port, mode in ways],
    )
    assert {way.name: way.seen_by_the_server(run) for way, _, _ in ways} == {way.name: ENCRYPTED for way, _, _ in ways}
    assert all(record.passed and not record.warnings for record in run.records.values())


def test_verify_false_takes_any_certificate_and_warns(pytester: pytest.Pytester, real_servers: RealServers) -> None:
    ways = list(tls_ways("unverified"))
    run = run_trips(
        pytester,
        real_servers,
        [
            way.trip(real_servers, getattr(real_servers.ports, port), mode, ", verify: false")
            for way, port, mode in ways
        ],
    )
    assert {way.name: way.seen_by_the_server(run) for way, _, _ in ways} == {way.name: ENCRYPTED for way, _, _ in ways}
    for record in run.records.values():
        assert record.passed
        assert [warning for warning in record.warnings if "verify: false" in warning]


def has_ipv6() -> bool:
    with closing(socket.socket(socket.AF_INET6)) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_the_family_decides_by_which_address_a_server_is_reached(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    account, ports = real_servers.users[0], real_servers.ports
    trips: list[str] = []
    for family, host in (("ipv4", "127.0.0.1"), ("ipv6", "'::1'"), ("ipv6", "127.0.0.1")):
        where = f"host: {host}, family: {family}, security: starttls{ca(real_servers)}"
        send = f"via: {{port: {ports.smtp}, {where}}}, from: a@example.org, to: {account.address}"
        receive = f"at: {{protocol: imap, port: {ports.imap}, {where}}}, password: {password(account)}"
        name = f"{family} to {host.strip(chr(39)).replace(':', '-')}"
        trips.append(f"{name}: {{send: {{{send}}}, receive: {{{receive}}}}}")
    run = run_trips(pytester, real_servers, trips)
    assert run.ends() == {
        "ipv4 to 127.0.0.1": "delivered",
        "ipv6 to --1": "delivered",
        "ipv6 to 127.0.0.1": "unresolved",
    }
    assert run.records["ipv6 to 127.0.0.1"].alertsite == 51
    for name, address in (("ipv4 to 127.0.0.1", "127.0.0.1"), ("ipv6 to --1", "::1")):
        record = run.records[name]
        assert all(host.endswith(f"[{address}], STARTTLS") for host in record.hosts.values())
        assert run.dovecot.wait(f"Login: user=<{account.address}>", f"rip={address},")
        assert f"[{address}]" in run.received(name)["smtpd"]
