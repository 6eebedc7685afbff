"""What a good definition becomes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from mailtrip_checks.secrets import Secret
from mailtrip_checks.trips import (
    Attachment,
    Auth,
    Channel,
    Delete,
    Endpoint,
    Expected,
    Family,
    Limit,
    Match,
    Protocol,
    Search,
    Security,
    Trust,
    Until,
)

if TYPE_CHECKING:
    from tests.checks.definitions.conftest import Folder

SMALLEST = """\
trips:
  inbox:
    send: {via: "smtp://mail.example.com", from: probe@example.org, to: probe@example.com}
    receive: {at: "imaps://mail.example.com", password: "${env:PROBE_PASSWORD}"}
    expect: {total: 30s}
"""


def at(endpoint: str) -> str:
    """A file with one trip that looks into the mailbox there."""
    return f"trips: {{one: {{send: {{via: embedded, from: a@x.org, to: b@x.org}}, receive: {{at: {endpoint}}}}}}}"


def via(endpoint: str, more: str = "") -> str:
    """A file with one trip that only sends there."""
    return f"trips: {{one: {{send: {{via: {endpoint}, from: a@x.org, to: b@x.org{more}}}}}}}"


def mailbox(folder: Folder, text: str) -> Endpoint:
    trip = folder.one(text)
    assert trip.receive
    return trip.receive.at


def submission(folder: Folder, text: str) -> Endpoint:
    trip = folder.one(text)
    assert trip.send
    return trip.send.via


def test_the_smallest_file_becomes_one_whole_trip(folder: Folder) -> None:
    folder.environ = {"PROBE_PASSWORD": "hunter2"}
    trip = folder.one(SMALLEST)
    assert (trip.id, trip.path, trip.line) == ("inbox", folder.root / "a.trip.yaml", 2)
    assert trip.send
    assert (trip.send.sender, trip.send.recipients, trip.send.header_from) == (
        "probe@example.org",
        ("probe@example.com",),
        "probe@example.org",
    )
    assert trip.send.via == Endpoint(
        "smtp://mail.example.com:25", Protocol.SMTP, "mail.example.com", 25, Security.STARTTLS_IF_AVAILABLE
    )
    assert trip.receive
    assert trip.receive.at == Endpoint(
        "imap://mail.example.com:993",
        Protocol.IMAP,
        "mail.example.com",
        993,
        Security.TLS,
        Auth.PASSWORD,
        "probe@example.com",
        Secret("hunter2"),
    )
    assert trip.expect.limits == (Limit(Channel.TOTAL, None, 30),)
    assert trip.expect.outcome is Expected.DELIVERED
    assert trip.secrets == (Secret("hunter2"),)
    assert (trip.timeout_s, trip.priority, trip.fresh, trip.environment) == (300, 3, False, None)


def test_every_key_of_a_trip_reaches_it(folder: Folder) -> None:
    folder.write("a.pdf", "%PDF")
    trip = folder.one("""\
trips:
  whole:
    description: |
      All of it
    tags: [prod, a-1]
    priority: 1
    timeout: 2m30s
    interval: 250ms
    skip: not today
    xfail: it is broken
    fresh: true
    spread: 30s
    send:
      via: "smtps://u:p@h"
      from: a@x.org
      to: [b@x.org, c@x.org]
      header_from: d@x.org
      helo: probe.example.org
      subject: Hello
      headers: {X-A: 1, Auto-Submitted: null}
      text: no
      html: <p>
      attachments: [{path: a.pdf}, {path: a.pdf, name: b.pdf}, {size: 5MB, name: big.bin}, {size: 1KiB}]
      auth: login
      user: someone
      password: else
      timeout: 900s
    receive:
      at: imaps://i
      mailbox_is_dedicated: true
      mailbox: Ünwanted "Mail"
      user: me
      password: secret
      auth: plain
      search: server
      match: subject
      push: false
      interval: 3s
      delete: {move_to: "[Gmail]/Trash"}
      step_timeout: 1m
    expect:
      outcome: rejected
      reply: 5.7.1
      total: {warn: 1s, fail: 2s}
      smtp: 1s
      mailbox: {warn: 3s}
      transit: 4s
      responses: 1h
""")
    assert (trip.description, trip.tags, trip.priority, trip.timeout_s) == ("All of it", ("prod", "a-1"), 1, 150)
    assert (trip.skip, trip.xfail, trip.fresh, trip.spread_s) == ("not today", "it is broken", True, 30)
    send, receive, expect = trip.send, trip.receive, trip.expect
    assert send
    assert receive
    assert (send.recipients, send.header_from, send.helo) == (("b@x.org", "c@x.org"), "d@x.org", "probe.example.org")
    assert (send.subject, send.text, send.html, send.timeout_s) == ("Hello", "no", "<p>", 900)
    assert send.headers == (("X-A", "1"), ("Auto-Submitted", None))
    assert send.attachments == (
        Attachment("a.pdf", folder.root / "a.pdf"),
        Attachment("b.pdf", folder.root / "a.pdf"),
        Attachment("big.bin", None, 5_000_000),
        Attachment("filler.bin", None, 1024),
    )
    assert (send.via.auth, send.via.user, send.via.password) == (Auth.LOGIN, "someone", Secret("else"))
    assert (receive.mailbox, receive.mailbox_is_dedicated) == ('Ünwanted "Mail"', True)
    assert (receive.search, receive.match, receive.push) == (Search.SERVER, Match.SUBJECT, False)
    assert (receive.interval_s, receive.step_timeout_s) == (3, 60)
    assert receive.delete == Delete(move_to="[Gmail]/Trash")
    assert (receive.at.user, receive.at.auth) == ("me", Auth.PLAIN)
    assert trip.secrets == (Secret("else"), Secret("secret"))
    assert expect.outcome is Expected.REJECTED
    assert expect.reply == "5.7.1"
    assert expect.limits == (
        Limit(Channel.TOTAL, 1, 2),
        Limit(Channel.SMTP, None, 1),
        Limit(Channel.MAILBOX, 3, None),
        Limit(Channel.TRANSIT, None, 4),
        Limit(Channel.RESPONSES, None, 3600),
    )
    # Nothing of the reading stays behind: a text that knows its place cannot be sent to a worker of pytest-xdist.
    assert set(leaf_types(trip)) <= {str, int, float, bool, type(None), type(folder.root), re.Pattern}


def leaf_types(value: object) -> Iterator[type]:
    if isinstance(value, tuple):
        for item in cast(tuple[object, ...], value):
            yield from leaf_types(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from leaf_types(getattr(value, one.name))
    elif not isinstance(value, Enum):
        yield type(value)


def test_every_key_of_a_server_reaches_its_endpoint(folder: Folder) -> None:
    folder.write("corp-ca.pem", "")
    endpoint = mailbox(
        folder,
        """\
servers:
  in:
    protocol: pop3
    host: 2001:db8::1
    port: 9110
    security: tls-if-available
    user: probe
    password: 0123
    auth: apop
    ca: corp-ca.pem
    family: ipv6
    connections: {host: 7, user: 2}
    rate: 90/m
    login_failures: 3
"""
        + at("in"),
    )
    assert endpoint == Endpoint(
        name="in",
        protocol=Protocol.POP3,
        host="2001:db8::1",
        port=9110,
        security=Security.TLS_IF_AVAILABLE,
        auth=Auth.APOP,
        user="probe",
        password=Secret("0123"),
        trust=Trust(ca=folder.root / "corp-ca.pem"),
        family=Family.IPV6,
        connections_per_host=7,
        connections_per_user=2,
        rate_per_s=1.5,
        login_failures=3,
    )


@pytest.mark.parametrize(
    ("url", "protocol", "port", "security"),
    [
        ("imap://u:p@h", Protocol.IMAP, 143, Security.STARTTLS),
        ("imaps://u:p@h", Protocol.IMAP, 993, Security.TLS),
        ("pop3://u:p@h", Protocol.POP3, 110, Security.STARTTLS),
        ("POP3S://u:p@h/", Protocol.POP3, 995, Security.TLS),
        ("imaps://u:p@h:1993", Protocol.IMAP, 1993, Security.TLS),
        ("{protocol: imap, host: h, password: p, security: tls-if-available}", *("imap", 993, "tls-if-available")),
        ("{protocol: imap, host: h, password: p, security: none}", *("imap", 143, "none")),
        ("{protocol: imap, host: h, password: p, port: 993, security: starttls}", *("imap", 993, "starttls")),
    ],
)
def test_port_and_security_follow_from_each_other(
    folder: Folder, url: str, protocol: str, port: int, security: str
) -> None:
    endpoint = mailbox(folder, at(url if url.startswith("{") else f'"{url}"'))
    assert (endpoint.protocol, endpoint.port, endpoint.security) == (protocol, port, security)


@pytest.mark.parametrize(
    ("url", "port", "security", "auth"),
    [
        ("smtp://h", 25, Security.STARTTLS_IF_AVAILABLE, Auth.NONE),
        ("smtp://u@h", 25, Security.STARTTLS_IF_AVAILABLE, Auth.NONE),
        ("smtp://u:p@h", 25, Security.STARTTLS, Auth.PLAIN),
        ("smtps://u:p@h", 465, Security.TLS, Auth.PLAIN),
        ("submission://u:p@h", 587, Security.STARTTLS, Auth.PLAIN),
        ("submission://h:2587", 2587, Security.STARTTLS_IF_AVAILABLE, Auth.NONE),
    ],
)
def test_a_submission_logs_in_where_there_is_a_password(
    folder: Folder, url: str, port: int, security: Security, auth: Auth
) -> None:
    endpoint = submission(folder, via(f'"{url}"'))
    assert (endpoint.protocol, endpoint.port, endpoint.security, endpoint.auth) == (Protocol.SMTP, port, security, auth)


def test_a_mapping_under_via_is_an_smtp_server_by_itself(folder: Folder) -> None:
    endpoint = submission(folder, via("{host: h, verify: false}"))
    assert (endpoint.protocol, endpoint.name, endpoint.trust.verify) == (Protocol.SMTP, "smtp://h:25", False)


def test_cram_md5_is_kept_for_smtp(folder: Folder) -> None:
    assert submission(folder, via('"smtp://u:p@h"', ", auth: cram-md5")).auth is Auth.CRAM_MD5


def test_a_fingerprint_loses_its_colons_and_case(folder: Folder) -> None:
    print_ = ":".join(["AB"] * 32)
    endpoint = submission(folder, via(f'{{host: h, fingerprint: "sha256:{print_}"}}'))
    assert endpoint.trust == Trust(fingerprint="ab" * 32)


def test_the_user_is_the_first_recipient_where_none_is_given(folder: Folder) -> None:
    text = 'trips: {one: {send: {via: embedded, from: a@x, to: [b@x, c@x]}, receive: {at: "imaps://:p@h"}}}'
    assert mailbox(folder, text).user == "b@x"


def test_user_and_password_of_a_url_are_percent_decoded(folder: Folder) -> None:
    endpoint = mailbox(folder, at('"imaps://me%40example.com:p%3Aa%2Fs%25s%C3%A9@[::1]:1993"'))
    assert (endpoint.user, endpoint.password) == ("me@example.com", Secret("p:a/s%sé"))
    assert (endpoint.host, endpoint.port, endpoint.name) == ("::1", 1993, "imap://[::1]:1993")


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("embedded", Protocol.IMAP),
        ("embedded:imap", Protocol.IMAP),
        ("embedded:pop3", Protocol.POP3),
        ("{host: embedded}", Protocol.IMAP),
    ],
)
def test_embedded_needs_no_server_no_account_and_no_port(folder: Folder, name: str, protocol: Protocol) -> None:
    assert mailbox(folder, at(name if name.startswith("{") else f'"{name}"')) == Endpoint(
        name=f"embedded:{protocol}",
        protocol=protocol,
        host="embedded",
        port=0,
        security=Security.STARTTLS_IF_AVAILABLE,
        auth=Auth.PASSWORD,
        user="b@x.org",
        embedded=True,
    )


@pytest.mark.parametrize("security", list(Security))
def test_each_security_mode_can_be_tried_on_embedded(folder: Folder, security: Security) -> None:
    endpoint = mailbox(folder, at(f"{{protocol: imap, host: embedded, security: {security}, password: p}}"))
    assert (endpoint.embedded, endpoint.port, endpoint.security) == (True, 0, security)
    assert endpoint.password == Secret("p")


def test_embedded_submission_does_not_log_in_unless_told(folder: Folder) -> None:
    endpoint = submission(folder, via("embedded:smtp"))
    assert (endpoint.name, endpoint.auth, endpoint.user, endpoint.embedded) == ("embedded:smtp", Auth.NONE, "", True)
    assert submission(folder, via("embedded", ", password: p")).auth is Auth.PLAIN


def test_a_server_may_be_embedded_in_one_environment_and_real_in_another(folder: Folder) -> None:
    text = """\
servers: {in: embedded, out: embedded}
environments: {real: {servers: {in: "imaps://b:p@h", out: {host: mx.example.com}}}}
trips: {one: {send: {via: out, from: a@x, to: b@x}, receive: {at: in}}}
"""
    here, there = folder.one(text), folder.one(text, environment="real")
    assert here.send
    assert here.receive
    assert there.send
    assert there.receive
    assert (here.send.via.name, here.send.via.embedded) == ("out", True)
    assert (here.receive.at.name, here.receive.at.protocol, here.environment) == ("in", Protocol.IMAP, None)
    assert (there.send.via.host, there.send.via.embedded) == ("mx.example.com", False)
    assert (there.receive.at.host, there.receive.at.port, there.environment) == ("h", 993, "real")


def test_without_receive_a_trip_ends_accepted(folder: Folder) -> None:
    trip = folder.one(via("embedded", ", until: rcpt"))
    assert trip.receive is None
    assert trip.expect.outcome is Expected.ACCEPTED
    assert trip.send
    assert trip.send.until is Until.RCPT


def test_without_receive_a_rejection_can_be_expected(folder: Folder) -> None:
    send = "send: {via: embedded, from: a@x, to: b@x}"
    trip = folder.one(f"trips: {{one: {{{send}, expect: {{outcome: rejected, reply: 550, smtp: 1s}}}}}}")
    assert (trip.expect.outcome, trip.expect.reply) == (Expected.REJECTED, "550")


def test_without_send_a_trip_ends_connected(folder: Folder) -> None:
    trip = folder.one('trips: {one: {receive: {at: "imaps://u:p@h"}}}')
    assert trip.send is None
    assert trip.expect.outcome is Expected.CONNECTED
    assert trip.receive
    assert trip.receive.at.auth is Auth.PASSWORD


def test_with_auth_none_a_trip_only_connects_and_knows_no_password(folder: Folder) -> None:
    trip = folder.one('trips: {one: {receive: {at: "imap://u:p@h", auth: none}}}')
    assert trip.receive
    assert (trip.receive.at.auth, trip.receive.at.password, trip.secrets) == (Auth.NONE, None, ())


@pytest.mark.parametrize(
    ("reply", "fits", "differs"),
    [
        ("550", ["550 No", "550-5.7.1 No", "550"], ["5501 No", "551 550"]),
        ("5.7.1", ["550 5.7.1 No", "554-5.7.1 No", "550 5.7.1"], ["550 5.7.10 No", "550 no 5.7.1", "550 15.7.1"]),
        ("/no.*relay/", ["550 we do no such relay"], ["550 no"]),
    ],
)
def test_a_reply_is_told_by_its_code_or_its_words(
    folder: Folder, reply: str, fits: list[str], differs: list[str]
) -> None:
    send = "send: {via: embedded, from: a@x, to: b@x}"
    pattern = folder.one(
        f"trips: {{a: {{{send}, expect: {{outcome: rejected, reply: {reply}}}}}}}"
    ).expect.reply_pattern
    assert pattern
    assert [text for text in fits + differs if pattern.search(text)] == fits


def test_text_stays_what_its_author_wrote(folder: Folder) -> None:
    trip = folder.one(via("embedded", ", subject: no, text: 12:30, html: 2026-11-01, headers: {X-A: 0x10, X-B: yes}"))
    assert trip.send
    assert (trip.send.subject, trip.send.text, trip.send.html) == ("no", "12:30", "2026-11-01")
    assert trip.send.headers == (("X-A", "0x10"), ("X-B", "yes"))


def test_anchors_and_a_byte_order_mark_are_read(folder: Folder) -> None:
    one, two = folder.read(
        "\ufefftrips:\n  one: {send: &leg {via: embedded, from: a@x, to: b@x}}\n  two: {send: *leg}\n"
    )
    assert one.send == two.send


def test_equal_servers_become_one_endpoint(folder: Folder) -> None:
    one, two = folder.read(
        "servers: {in: {protocol: imap, host: h, user: u, password: p}}\n"
        "trips: {one: {receive: {at: in}}, two: {receive: {at: in}}}"
    )
    assert one.receive
    assert two.receive
    assert one.receive.at is two.receive.at


def test_a_relative_file_belongs_to_the_file_that_names_it(folder: Folder) -> None:
    folder.write("ca.pem", "")
    folder.write("mailtrip.yaml", "servers: {out: {host: h, ca: ca.pem}}")
    trip = folder.one(via("out"), name="deep/down/a.trip.yaml")
    assert trip.send
    assert trip.send.via.trust.ca is not None
    assert trip.send.via.trust.ca.samefile(Path(folder.root / "ca.pem"))


def test_every_example_of_the_reference_is_read(folder: Folder) -> None:
    reference = (Path(__file__).parents[3] / "docs" / "definitions.md").read_text(encoding="utf-8")
    examples = [block.partition("```")[0] for block in reference.split("```yaml\n")[1:]]
    folder.environ = {"PROBE_PASSWORD": "p", "ALICE": "a"}
    folder.write("accounts.csv", "address,secret\nalice@example.com,ALICE\n")
    for example in examples:
        name = "mailtrip.yaml" if example.startswith("# mailtrip.yaml") else "a.trip.yaml"
        folder.write(name, example)
    servers = "servers: {old-out: smtp://o, new-out: smtp://n, old-in: imaps://o, new-in: imaps://n}\n"
    read = [
        folder.read(servers + example if "matrix:" in example else example)
        for example in examples
        if example.startswith(("# inbox", "servers:", "trips:"))
    ]
    assert [len(trips) for trips in read] == [1, 1, 1, 1, 1, 4]
    assert folder.one("trips: {a: {receive: {at: in, user: u}}}", environment="real").environment == "real"
