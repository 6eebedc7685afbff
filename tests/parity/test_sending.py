"""PRTG's e-mail settings and its step 1, as the SMTP server sees them."""

import re
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path

import pytest

from mailtrip_checks.definitions import DefinitionError
from mailtrip_checks.trips import Endpoint, Protocol
from mailtrip_fixtures import MailServers
from tests.parity.conftest import Desk
from tests.parity.flight import fly, read


def test_from_to_and_helo_ident_are_said_as_they_are_written(desk: Desk) -> None:
    record = desk.one(
        "{send: {via: out, from: probe@example.org, to: u0@example.test, helo: probe.example.org}, receive: {at: in}}"
    )
    assert record.passed
    assert desk.servers.commands("smtp")[0] == "EHLO probe.example.org"
    assert [line.partition(" SIZE=")[0] for line in desk.heard("MAIL")] == ["MAIL FROM:<probe@example.org>"]
    assert desk.heard("RCPT") == ["RCPT TO:<u0@example.test>"]
    (delivered,) = desk.servers.ledger.delivered
    mail = message_from_bytes(delivered.message, policy=SMTP)
    assert (mail["From"], mail["To"]) == ("probe@example.org", "u0@example.test")


def test_a_helo_ident_that_is_not_ascii_is_told_with_its_place(desk: Desk) -> None:
    with pytest.raises(DefinitionError, match=r"a\.trip\.yaml:2:\d+: send\.helo: .*write a host name in ASCII"):
        desk.one("{send: {via: out, from: a@example.org, to: u0@example.test, helo: prüfer.example}}")


def test_own_text_stands_before_the_automatic_subject(desk: Desk) -> None:
    record = desk.one(
        "{send: {via: out, from: a@example.org, to: u0@example.test, subject: Größe zählt}, receive: {at: in}}"
    )
    (delivered,) = desk.servers.ledger.delivered
    subject = str(message_from_bytes(delivered.message, policy=SMTP)["Subject"])
    assert re.fullmatch(r"Größe zählt mailtrip roundtrip: \{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}", subject)
    assert record.token in subject


def test_every_recipient_is_named_in_one_submission(desk: Desk) -> None:
    record = desk.one(
        "{send: {via: out, from: a@example.org, to: [u0@example.test, u1@example.test, u2@example.test]},"
        " receive: {at: in}}"
    )
    assert record.passed
    assert [line.split(":")[1] for line in desk.heard("RCPT")] == [f"<u{n}@example.test>" for n in range(3)]
    assert len(desk.heard("DATA")) == 1
    assert {entry.address for entry in desk.servers.ledger.delivered} == {f"u{n}@example.test" for n in range(3)}


@pytest.mark.parametrize(
    ("url", "protocol", "port"),
    [
        ("smtp://h", Protocol.SMTP, 25),
        ("smtps://h", Protocol.SMTP, 465),
        ("submission://h", Protocol.SMTP, 587),
        ("imap://u:p@h", Protocol.IMAP, 143),
        ("imaps://u:p@h", Protocol.IMAP, 993),
        ("pop3://u:p@h", Protocol.POP3, 110),
        ("pop3s://u:p@h", Protocol.POP3, 995),
    ],
)
def test_a_port_that_is_not_written_is_the_usual_one(tmp_path: Path, url: str, protocol: Protocol, port: int) -> None:
    leg = f'send: {{via: "{url}", from: a@x, to: b@x}}'
    if protocol is not Protocol.SMTP:
        leg = f'receive: {{at: "{url}"}}'
    (trip,) = read(tmp_path, f"trips: {{a: {{{leg}}}}}\n")
    endpoints: list[Endpoint] = [trip.send.via] if trip.send else []
    endpoints += [trip.receive.at] if trip.receive else []
    assert [(one.protocol, one.port) for one in endpoints] == [(protocol, port)]


def test_a_port_that_is_written_is_the_one_that_is_spoken_to(desk: Desk) -> None:
    record = desk.one("{send: {via: out, from: a@example.org, to: u0@example.test}, receive: {at: in}}")
    assert record.hosts["smtp"] == f"127.0.0.1:{desk.servers.ports.smtp} [127.0.0.1], plain"
    assert desk.heard("EHLO")


def test_the_smtp_leg_may_take_900_seconds_and_not_901(desk: Desk) -> None:
    send = "{via: out, from: a@example.org, to: u0@example.test, timeout: %s}"
    assert desk.one(f"{{send: {send % '900s'}}}").passed
    with pytest.raises(DefinitionError, match=r"a\.trip\.yaml:2:\d+: send\.timeout: `901s` .* write 900s or less"):
        desk.one(f"{{send: {send % '901s'}}}")


def test_an_smtp_server_that_does_not_reply_in_time_is_left(desk: Desk) -> None:
    silent = f"{{host: 127.0.0.1, port: {desk.servers.ports.smtps}, security: none}}"  # TLS waits for the client
    record = desk.one(f"{{send: {{via: {silent}, from: a@example.org, to: u0@example.test, timeout: 200ms}}}}")
    assert (record.end, record.leg, record.alertsite) == ("timed-out", "smtp", 2)
    where = f"127.0.0.1:{desk.servers.ports.smtps} [127.0.0.1]"
    assert (record.what, record.stage) == (f"waiting for the greeting at {where}: no answer within 0.2 s", "connect")
    assert desk.servers.commands("smtps") == []


@pytest.mark.parametrize(
    ("auth", "said"), [("none", []), ("plain", ["AUTH PLAIN ********"]), ("login", ["AUTH LOGIN"])]
)
def test_smtp_logs_in_by_the_mechanism_that_is_named_and_no_other(desk: Desk, auth: str, said: list[str]) -> None:
    login = "" if auth == "none" else ", user: u1@example.test, password: secret word"
    record = desk.one(
        f"{{send: {{via: out, auth: {auth}{login}, from: a@example.org, to: u0@example.test}}, receive: {{at: in}}}}"
    )
    assert record.passed
    assert [line[: len(want)] for line, want in zip(desk.heard("AUTH"), said, strict=True)] == said
    (delivered,) = desk.servers.ledger.delivered
    assert (b"with ESMTPA" in delivered.message) == (auth != "none")


def test_a_server_that_wants_a_login_is_sent_one(tmp_path: Path) -> None:
    with MailServers(tls="none", smtp_auth_required=True) as servers:
        account = servers.account()
        via = f"{{host: 127.0.0.1, port: {servers.ports.smtp}, security: none, password: {account.password}}}"
        without = f"{{host: 127.0.0.1, port: {servers.ports.smtp}, security: none}}"
        send = f"from: a@example.org, to: {account.address}"
        found = fly(
            read(tmp_path, f"trips: {{a: {{send: {{via: {via}, {send}}}}}, b: {{send: {{via: {without}, {send}}}}}}}\n")
        )
    assert (found["a"].end, found["b"].end) == ("accepted", "rejected")
    assert "may want a login" in found["b"].hint


def test_the_url_of_a_scheme_with_tls_encrypts_from_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MailServers() as servers:
        monkeypatch.setenv("SSL_CERT_FILE", str(servers.ca_file))
        servers.account("u0@example.test", "secret")
        ports = servers.ports
        via = f"smtps://127.0.0.1:{ports.smtps}"
        boxes = {"imaps": ports.imaps, "pop3s": ports.pop3s}
        found = fly(
            read(
                tmp_path,
                "trips:\n"
                + "".join(
                    f'  {scheme}: {{send: {{via: "{via}", from: a@example.org, to: u0@example.test}},'
                    f' receive: {{at: "{scheme}://:secret@127.0.0.1:{port}", interval: 100ms}}}}\n'
                    for scheme, port in boxes.items()
                ),
            )
        )
        assert [record.end for record in found.values()] == ["delivered", "delivered"]
        assert {host.rpartition(", ")[2] for record in found.values() for host in record.hosts.values()} == {"TLS"}
        assert servers.commands("smtps")
        assert servers.commands("imaps")
        assert servers.commands("pop3s")
        assert [*servers.commands("smtp"), *servers.commands("imap"), *servers.commands("pop3")] == []


def test_trips_of_higher_priority_start_first(desk: Desk) -> None:
    trips = "".join(
        f"  {name}: {{priority: {priority}, send: {{via: out, from: a@x.org, to: u{priority % 4}@example.test}}}}\n"
        for name, priority in (("third", 3), ("fifth", 5), ("first", 1))
    )
    desk.fly(trips, concurrency=1)
    assert desk.heard("RCPT") == [f"RCPT TO:<u{priority % 4}@example.test>" for priority in (1, 3, 5)]
