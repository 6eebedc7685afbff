"""Trips from YAML: every way to log in, with ordinary, odd and wrong passwords, as the real servers see them."""

import re
import urllib.parse

import pytest

from tests.realservers.running import Run, password, quoted, run_trips
from tests.realservers.servers import NARROW_HOST, Account, RealServers

SMTP_AUTHS = ("plain", "login", "cram-md5")


def submission(servers: RealServers, account: Account, port: str, *more: str) -> str:
    """A server to submit to, with the account's login."""
    security = "none" if port == "submission_plain" else "tls" if port == "smtps" else "starttls"
    keys = (
        f"host: localhost, port: {getattr(servers.ports, port)}, security: {security}, ca: {quoted(servers.ca)}",
        f"user: {account.address}, password: {password(account)}",
    )
    return f"{{{', '.join((*keys, *more))}}}"


def mailbox(servers: RealServers, account: Account, port: str, auth: str) -> str:
    """A trip that only opens the account's mailbox, its password given."""
    protocol, security = port[:4], "tls" if port.endswith("s") else "none"
    server = (
        f"{{protocol: {protocol}, host: localhost, port: {getattr(servers.ports, port)}, security: {security}, "
        f"ca: {quoted(servers.ca)}}}"
    )
    return f"{{receive: {{at: {server}, user: {account.address}, password: {password(account)}, auth: {auth}}}}}"


def said(run: Run, name: str) -> list[str]:
    """What the trip's client said."""
    return [line.text for line in run.records[name].transcript if line.direction == ">"]


def shows(run: Run, account: Account) -> list[str]:
    """The forms of the account's password that can be read somewhere in what was written."""
    forms = (account.password, urllib.parse.quote(account.password, safe=""), quoted(account.password)[1:-1])
    return [form for form in forms if form in run.shown]


def test_smtp_logs_in_by_each_mechanism_and_no_other(pytester: pytest.Pytester, real_servers: RealServers) -> None:
    trips: list[str] = []
    for who, account in (("ordinary", real_servers.users[0]), ("odd", real_servers.odd)):
        for port in ("submission", "submission_plain", "smtps"):
            for auth in SMTP_AUTHS:
                via = submission(real_servers, account, port, f"auth: {auth}")
                send = f"{{via: {via}, from: {account.address}, to: {account.address}}}"
                receive = f"{{at: in, password: {password(account)}}}"
                trips.append(f"{who} {port} {auth}: {{send: {send}, receive: {receive}}}")
    run = run_trips(pytester, real_servers, trips)
    assert set(run.ends().values()) == {"delivered"}
    for name in run.records:
        who, port, auth = name.split()
        account = real_servers.odd if who == "odd" else real_servers.users[0]
        login = f"sasl_method={auth.upper()}, sasl_username={account.address}"
        assert login in run.received(name)["smtpd"]
        assert not run.messages(name, account)
        asked = [line for line in said(run, name) if line.startswith("AUTH")]
        assert [line.split()[1] for line in asked] in ([auth.upper()], [])  # none where the connection was another's
        assert port == "submission_plain" or "STARTTLS" in said(run, name) or port == "smtps" or not asked
    assert not shows(run, real_servers.users[0])
    assert not shows(run, real_servers.odd)


def test_mailboxes_open_by_each_way_to_log_in(pytester: pytest.Pytester, real_servers: RealServers) -> None:
    ways = {
        "imap password": "LOGIN ",
        "imap plain": "AUTHENTICATE PLAIN ",
        "imaps password": "LOGIN ",
        "pop3 password": "PASS ",
        "pop3 plain": "AUTH PLAIN",
        "pop3 apop": "APOP ",
        "pop3s password": "PASS ",
        "pop3s apop": "APOP ",
    }
    accounts = [*real_servers.users[: len(ways)], real_servers.odd]
    trips = [
        f"{way} of {account.local_part}: {mailbox(real_servers, account, *way.split())}"
        for own, way in zip(accounts, ways, strict=False)
        for account in (own, real_servers.odd)
    ]
    run = run_trips(pytester, real_servers, trips)
    assert set(run.ends().values()) == {"connected"}
    for own, (way, command) in zip(accounts, ways.items(), strict=False):
        (login, *_) = run.dovecot.wait(f" {way[:4]}-login", f"Login: user=<{own.address}>")
        assert ("method=APOP" if "apop" in way else "method=PLAIN") in login
        assert [line for line in said(run, f"{way} of {own.local_part}") if command in line]
        # LOGIN carries ASCII, and the odd password is more than that.
        command = "AUTHENTICATE PLAIN" if command == "LOGIN " else command
        assert [line for line in said(run, f"{way} of odd") if command in line]
    assert run.dovecot.wait("pop3-login", f"Login: user=<{real_servers.odd.address}>", "method=APOP")
    assert not [account for account in accounts if shows(run, account)]


def test_the_odd_password_can_stand_in_a_url_and_the_system_can_trust_the_authority(
    pytester: pytest.Pytester, real_servers: RealServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(real_servers.ca))
    odd, ports = real_servers.odd, real_servers.ports
    user = urllib.parse.quote(odd.address, safe="")
    trips: list[str] = []
    for name, secret in (
        ("encoded", urllib.parse.quote(odd.password, safe="")),
        ("from outside", "${env:MAILTRIP_REAL_PASSWORD_ODD}"),
    ):
        login = f"{user}:{secret}@localhost"
        via = quoted(f"submission://{login}:{ports.submission}")
        trips.append(f"smtp {name}: {{send: {{via: {via}, from: {odd.address}, to: {real_servers.users[0].address}}}}}")
        for scheme in ("imap", "imaps", "pop3", "pop3s"):
            url = f"{scheme}://{login}:{getattr(ports, scheme)}"
            trips.append(f"{scheme} {name}: {{receive: {{at: {quoted(url)}}}}}")
    run = run_trips(pytester, real_servers, trips)
    assert run.ends() == {name: "accepted" if "smtp" in name else "connected" for name in run.records}
    logins = run.dovecot.wait(f"Login: user=<{odd.address}>", count=8)
    assert all(", TLS," in login for login in logins)
    assert f"sasl_username={odd.address}" in run.received("smtp encoded")["smtpd"]
    assert not shows(run, odd)


def test_a_wrong_password_is_tried_once(pytester: pytest.Pytester, real_servers: RealServers) -> None:
    trips: dict[str, str] = {}
    users = iter(real_servers.users)
    wrong: dict[str, Account] = {}
    for port, auth in [
        *((port, auth) for port in ("submission", "submission_plain") for auth in SMTP_AUTHS),
        *(("imap", auth) for auth in ("password", "plain")),
        *(("pop3", auth) for auth in ("password", "plain", "apop")),
    ]:
        name = f"{port} {auth}"
        known = wrong[name] = next(users)
        account = Account(known.address, "wrong")
        if "submission" in port:
            via = submission(real_servers, account, port, f"auth: {auth}").replace(password(account), "not-the-one")
            trips[name] = f"{{send: {{via: {via}, from: {account.address}, to: {account.address}}}}}"
        else:
            trips[name] = mailbox(real_servers, account, port, auth).replace(password(account), "not-the-one")
    run = run_trips(pytester, real_servers, [f"{name}: {trip}" for name, trip in trips.items()])
    assert run.ends() == dict.fromkeys(trips, "login-failed")
    for name, account in wrong.items():
        record = run.records[name]
        assert (record.alertsite, record.stage) == (2, "login")
        assert account.address in record.what
        assert f"`user: {account.local_part}`" in record.hint
        assert not run.messages(name, account)
        commands = [line for line in said(run, name) if re.search(r"\b(LOGIN|AUTH\w*|APOP|PASS)\b", line)]
        assert len(commands) == 1
        if "submission" not in name:
            (attempt,) = run.dovecot.wait("-login", "auth failed", f"user=<{account.address}>")
            assert "auth failed, 1 attempts" in attempt
    for mechanism in SMTP_AUTHS:
        assert len(run.postfix.wait(f"SASL {mechanism.upper()} authentication failed", count=2)) == 2
    assert "not-the-one" not in run.shown


def test_trips_at_one_mailbox_try_its_wrong_password_once_together(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    account = real_servers.users[19]
    send = f"{{via: out, from: a@example.org, to: {account.address}}}"
    trips = [
        f"{at} {number}: {{send: {send}, receive: {{at: {at}, password: not-the-one}}}}"
        for at in ("in", "maildrop")
        for number in range(5)
    ]
    run = run_trips(pytester, real_servers, trips)
    assert set(run.ends().values()) == {"login-failed"}
    assert not [name for name in run.records if run.messages(name, account)]
    assert not run.postfix.lines(account.address)
    for protocol in ("imap", "pop3"):
        (attempt,) = run.dovecot.wait(f"{protocol}-login", "auth failed", f"user=<{account.address}>")
        assert "auth failed, 1 attempts" in attempt


@pytest.mark.parametrize("port", ["imap", "pop3", "submission_plain"])
def test_after_so_many_refused_logins_the_other_trips_of_that_host_are_cancelled_unsent(
    pytester: pytest.Pytester, real_servers: RealServers, port: str
) -> None:
    trips: list[str] = []
    limits = "login_failures: 2, connections: {host: 1}"
    for number, account in enumerate(real_servers.users[:6]):
        server = f"{{host: localhost, port: {getattr(real_servers.ports, port)}, security: none, {limits}"
        send = f"from: a@example.org, to: {account.address}"
        if port == "submission_plain":
            send = f"via: {server}, user: {account.address}, password: not-the-one}}, {send}"
            trips.append(f"trip {number}: {{send: {{{send}}}}}")
        else:
            receive = f"at: {server}, protocol: {port}}}, password: not-the-one"
            trips.append(f"trip {number}: {{send: {{via: out, {send}}}, receive: {{{receive}}}}}")
    run = run_trips(pytester, real_servers, trips)
    assert sorted(run.ends().values()) == ["cancelled"] * 4 + ["login-failed"] * 2
    attempts = run.postfix if port == "submission_plain" else run.dovecot
    text = "authentication failed" if port == "submission_plain" else "auth failed, 1 attempts"
    assert len(attempts.wait(text, count=2)) == 2
    assert not run.postfix.lines("message-id=")
    for record in run.records.values():
        if record.end == "cancelled":
            assert "refused 2 logins in a row" in record.what
            assert "login_failures" in record.hint


def test_where_a_user_may_have_few_connections_every_trip_gets_through(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    account, port = real_servers.users[5], real_servers.ports.imap
    server = (
        f"{{protocol: imap, host: {NARROW_HOST}, port: {port}, security: none, password: {password(account)}, "
        "connections: {user: 20}}"
    )
    leg = f"send: {{via: out, from: {account.address}, to: {account.address}}}, receive: {{at: {server}}}"
    run = run_trips(pytester, real_servers, [f"{number}: {{{leg}, fresh: true}}" for number in range(100)])
    assert list(run.ends().values()) == ["delivered"] * 100
    assert not [mail for mail in real_servers.maildir_messages(account) if b"mailtrip roundtrip" in mail.raw]
    told = [warning for record in run.records.values() for warning in record.warnings]
    # Dovecot counts late: where many come at once, it lets a few more in than it says.
    assert any(re.search(rf"bears no more than \d+ connections of {account.address} at once", one) for one in told), (
        told
    )
    assert run.dovecot.lines("Maximum number of connections", account.address), "the server refused some"
