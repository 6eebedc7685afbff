"""Ways without a named SMTP server, as definitions write them."""

import pytest

from mailtrip_checks.trips import Protocol, Security
from tests.checks.definitions.conftest import Folder

LEG = "from: a@x.test, to: b@Y.test"


def trip(send: str, servers: str = "") -> str:
    return f"servers: {{{servers}}}\ntrips:\n  one: {{send: {{{send}}}}}\n"


@pytest.mark.parametrize(
    "via", ["", "via: null, ", "via: mx, ", "via: {protocol: smtp, host: mx}, ", "via: {host: mx}, "]
)
def test_mx_is_where_a_mail_goes_for_which_nothing_is_named(folder: Folder, via: str) -> None:
    send = folder.one(trip(via + LEG)).send
    assert send
    assert (send.via.mx, send.via.host, send.via.port, send.via.dns) == (True, "y.test", 25, None)
    assert send.via.security is Security.STARTTLS_IF_AVAILABLE


def test_a_server_can_be_mx_with_a_resolver_and_a_port(folder: Folder) -> None:
    send = folder.one(
        trip(f"via: out, {LEG}", 'out: {protocol: smtp, host: mx, port: 2525, dns: "127.0.0.1:5353"}')
    ).send
    assert send
    assert (send.via.mx, send.via.host, send.via.port, send.via.dns) == (True, "y.test", 2525, ("127.0.0.1", 5353))
    assert send.via.name == "out"


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_a_resolver_is_an_address_and_perhaps_a_port(folder: Folder, written: str, found: tuple[str, int]) -> None:
    send = folder.one(trip(f'via: {{host: mx, dns: "{written}"}}, {LEG}')).send
    assert send
    assert send.via.dns == found


def test_sendmail_is_the_local_mail_program(folder: Folder) -> None:
    send = folder.one(trip(f"via: sendmail, {LEG}")).send
    assert send
    assert (send.via.protocol, send.via.command) == (Protocol.SENDMAIL, ("/usr/sbin/sendmail", "-i"))


@pytest.mark.parametrize(
    ("written", "program"), [("/opt/mail", "/opt/mail"), ("mail", "mail"), ("bin/mail", "{root}/sub/bin/mail")]
)
def test_a_program_is_found_by_path_from_its_file_or_by_name(folder: Folder, written: str, program: str) -> None:
    server = f"out: {{protocol: sendmail, command: [{written}, -t], rate: 2/s, connections: {{host: 3, user: 2}}}}"
    send = folder.one(trip(f"via: out, {LEG}", server), name="sub/a.trip.yaml").send
    assert send
    assert send.via.command == (program.format(root=folder.root), "-t")
    assert (send.via.rate_per_s, send.via.connections_per_host, send.via.connections_per_user) == (2, 3, 2)


@pytest.mark.parametrize(
    ("send", "complaint"),
    [
        (
            "from: a@x, to: [b@x, c@X, d@y]",
            "send.to: is in several domains (x, y), each with its own MX; write a trip for",
        ),
        (f"via: mx, password: p, {LEG}", "send.password: stands here, but a server found by MX is given no login"),
        (f"via: {{host: mx, user: u}}, {LEG}", "send.via.user: would log in to whatever host the MX records name"),
        (f"via: {{host: h, dns: 192.0.2.1}}, {LEG}", "send.via.dns: is asked for MX records only; write `host: mx`"),
        (f'via: {{host: mx, dns: "h:53"}}, {LEG}', "send.via.dns: `h:53` is no resolver's address; write it as"),
        (f'via: {{host: mx, dns: "1.2.3.4:0"}}, {LEG}', "send.via.dns: `1.2.3.4:0` is no resolver's address"),
        (f"via: {{host: h, command: [a]}}, {LEG}", "send.via.command: is for the local mail program; write `protocol:"),
        (f"via: {{protocol: sendmail, command: a}}, {LEG}", "send.via.command: is no command; write a list, as in"),
        (f"via: {{protocol: sendmail, command: []}}, {LEG}", "send.via.command: is no command; write a list, as in"),
        (f'via: {{protocol: sendmail, command: [""]}}, {LEG}', "send.via.command: names no program; write its path"),
        (f"via: {{protocol: sendmail, host: h}}, {LEG}", "send.via.host: means nothing to a local mail program"),
        (f"via: {{protocol: sendmail, dns: 192.0.2.1}}, {LEG}", "send.via.dns: means nothing to a local mail program"),
        (f"via: sendmail, user: u, {LEG}", "send.user: stands here, but a local mail program takes no login; leave"),
        (f"via: sendmail, helo: h, {LEG}", "send.helo: is for SMTP, and a local mail program says its own; leave it"),
        (f"via: sendmail, until: rcpt, {LEG}", "send.until: cannot end after RCPT, for a local mail program has none"),
    ],
)
def test_what_means_nothing_on_such_a_way_is_a_mistake(folder: Folder, send: str, complaint: str) -> None:
    assert f": {complaint}" in folder.complaint(trip(send))


@pytest.mark.parametrize("at", ["mx", "sendmail"])
def test_mail_is_not_received_there(folder: Folder, at: str) -> None:
    complaint = folder.complaint(f"trips:\n  one: {{receive: {{at: {at}, user: u, password: p}}}}\n")
    assert "but `receive.at` needs imap or pop3; name another server" in complaint
