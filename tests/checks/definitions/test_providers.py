"""`provider`: what it fills in, what beats it, and that the examples of docs/providers.md are whole."""

import re
from pathlib import Path

import pytest

from mailtrip_checks.trips import TRASH, Auth, Delete, Endpoint, Protocol, Provider, Security, Trip
from tests.checks.definitions.conftest import Folder

DOC = (Path(__file__).parents[3] / "docs" / "providers.md").read_text()
EXAMPLES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", DOC, re.DOTALL))
SEND = "from: a@x.test, to: b@y.test"


def text(servers: str, send: str = "", receive: str = "at: box") -> str:
    legs = [f"send: {{{send}}}" if send else "", f"receive: {{{receive}}}" if receive else ""]
    return f"servers: {{{servers}}}\ntrips:\n  one: {{{', '.join(filter(None, legs))}}}\n"


def both(folder: Folder, more: str, provider: str = "gmail") -> tuple[Endpoint, Endpoint]:
    """One named server as `via` and as `at`."""
    box = f"box: {{provider: {provider}, user: u, password: p{more}}}"
    trip = folder.one(text(box, f"via: box, {SEND}"))
    assert trip.send
    assert trip.receive
    return trip.send.via, trip.receive.at


def way(endpoint: Endpoint) -> tuple[Protocol, str, int, Security]:
    return endpoint.protocol, endpoint.host, endpoint.port, endpoint.security


KNOWN = {
    ("gmail", ""): (("smtp.gmail.com", 587), (Protocol.IMAP, "imap.gmail.com", 993)),
    ("gmail", ", protocol: imap"): (("smtp.gmail.com", 587), (Protocol.IMAP, "imap.gmail.com", 993)),
    ("gmail", ", protocol: pop3"): (("smtp.gmail.com", 587), (Protocol.POP3, "pop.gmail.com", 995)),
    ("outlook", ""): (("smtp.office365.com", 587), (Protocol.IMAP, "outlook.office365.com", 993)),
    ("outlook", ", protocol: pop3"): (("smtp.office365.com", 587), (Protocol.POP3, "outlook.office365.com", 995)),
}


@pytest.mark.parametrize(("written", "known"), KNOWN.items(), ids=str)
def test_one_server_serves_both_legs(
    folder: Folder, written: tuple[str, str], known: tuple[tuple[str, int], tuple[Protocol, str, int]]
) -> None:
    via, at = both(folder, written[1], written[0])
    assert way(via) == (Protocol.SMTP, *known[0], Security.STARTTLS)
    assert way(at) == (*known[1], Security.TLS)
    assert (via.provider, via.name, at.name) == (Provider(written[0]), "box", "box")
    assert (via.auth, at.auth) == (Auth.PLAIN, Auth.PASSWORD)
    assert (via.user, via.password) == (at.user, at.password)


SMTP_WAYS = {
    "": ("smtp.gmail.com", 587, Security.STARTTLS),
    ", protocol: smtp": ("smtp.gmail.com", 587, Security.STARTTLS),
    ", port: 465": ("smtp.gmail.com", 465, Security.TLS),
    ", security: tls": ("smtp.gmail.com", 465, Security.TLS),
    ", security: tls-if-available": ("smtp.gmail.com", 465, Security.TLS_IF_AVAILABLE),
    ", security: starttls-if-available": ("smtp.gmail.com", 587, Security.STARTTLS_IF_AVAILABLE),
    ", port: null, security: null, host: null, protocol: null": ("smtp.gmail.com", 587, Security.STARTTLS),
    ", host: relay.test": ("relay.test", 587, Security.STARTTLS),
    ", host: relay.test, port: 465": ("relay.test", 465, Security.TLS),
    ", host: relay.test, port: 2525": ("relay.test", 2525, Security.STARTTLS),
    ", host: relay.test, security: none": ("relay.test", 25, Security.NONE),
}


@pytest.mark.parametrize(("written", "expected"), SMTP_WAYS.items(), ids=SMTP_WAYS)
def test_what_is_written_beside_it_is_stronger(
    folder: Folder, written: str, expected: tuple[str, int, Security]
) -> None:
    trip = folder.one(text(f"box: {{provider: gmail, user: u, password: p{written}}}", f"via: box, {SEND}", ""))
    assert trip.send
    assert way(trip.send.via) == (Protocol.SMTP, *expected)


OR_HOST = "leave it out, or write `host` too"
MISTAKES = {
    "a provider that nobody knows": (
        "provider: gmial", SEND,
        "1:27: servers.box.provider: `gmial` is not one of gmail, outlook; did you mean `gmail`?",
    ),
    "the mailbox's port for sending": (
        "provider: gmail, password: p, port: 993", SEND,
        "1:53: servers.box.port: is not how gmail serves smtp: that is 587 with starttls or 465 with tls; " + OR_HOST,
    ),
    "the port of the other way": (
        "provider: outlook, password: p, port: 587, security: tls", SEND,
        "1:55: servers.box.port: is not how outlook serves smtp: that is 587 with starttls or 465 with tls; " + OR_HOST,
    ),
    "no encryption": (
        "provider: gmail, password: p, security: none", "",
        "1:57: servers.box.security: is not how gmail serves imap: that is 993 with tls; " + OR_HOST,
    ),
    "the servers inside the process": (
        "provider: gmail, password: p, host: embedded", SEND,
        "1:53: servers.box.host: stands beside `provider`, which has hosts of its own; keep one of the two",
    ),
    "a mailbox with a host of its own for sending": (
        "provider: gmail, password: p, protocol: imap, host: imap.x.test", SEND,
        "1:16: servers.box: speaks imap, but `send.via` needs smtp; name another server",
    ),
    "a way to send for the mailbox": (
        "provider: gmail, password: p, protocol: smtp", "",
        "1:16: servers.box: speaks smtp, but `receive.at` needs imap or pop3; name another server",
    ),
    "a local mail program": (
        "provider: gmail, protocol: sendmail", SEND,
        "1:17: servers.box.provider: means nothing to a local mail program; leave it out",
    ),
    "a local mail program for the mailbox": (
        "provider: gmail, protocol: sendmail", "",
        "1:16: servers.box: speaks sendmail, but `receive.at` needs imap or pop3; name another server",
    ),
    "mail that comes to us": (
        "provider: gmail, protocol: listen, port: 2525", SEND,
        "1:16: servers.box: speaks listen, but `send.via` needs smtp; name another server",
    ),
    "no protocol that there is": (
        "provider: gmail, password: p, protocol: pop4", "",
        "1:57: servers.box.protocol: `pop4` is not one of smtp, sendmail, imap, pop3, listen; did you mean `pop3`?",
    ),
    "sending without a login": (
        "provider: gmail, user: u", SEND,
        '3:15: send: has no password; write `password: "${env:NAME}"` here or under its server',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("server", "send", "told"), MISTAKES.values(), ids=MISTAKES)
def test_what_contradicts_it_is_a_mistake(folder: Folder, server: str, send: str, told: str) -> None:
    legs = (
        text(f"box: {{{server}}}", f"via: box, {send}", "")
        if send
        else text(f"box: {{{server}}}", "", "at: box, user: u")
    )
    assert folder.complaint(legs) == f"a.trip.yaml:{told}"


def test_sending_without_a_login_can_be_said(folder: Folder) -> None:
    trip = folder.one(text("box: {provider: gmail, auth: none}", f"via: box, {SEND}", ""))
    assert trip.send
    assert trip.send.via.auth is Auth.NONE


# Inheritance: a nearer provider decides as a URL does, and a nearer URL takes its place.


def inherited(folder: Folder, far: str, near: str) -> Endpoint:
    folder.write("mailtrip.yaml", f"servers: {{box: {far}}}\n")
    trip = folder.one(text(f"box: {near}", "", "at: box, user: u, password: p"))
    assert trip.receive
    return trip.receive.at


FAR_AND_NEAR = {
    ("imap://old.test:1143", "{provider: gmail}"): ("imap.gmail.com", 993),
    ("{protocol: pop3, host: old.test, port: 1, security: none}", "{provider: gmail}"): ("imap.gmail.com", 993),
    ("{provider: gmail}", "imap://new.test"): ("new.test", 143),
    ("{provider: gmail}", "{host: proxy.test}"): ("proxy.test", 993),
    ("{provider: gmail, host: proxy.test}", "{provider: outlook}"): ("outlook.office365.com", 993),
    ("embedded", '{provider: "${var:which}"}'): ("imap.gmail.com", 993),
}


@pytest.mark.parametrize(("written", "expected"), FAR_AND_NEAR.items(), ids=str)
def test_the_nearer_of_provider_and_host_decides(
    folder: Folder, written: tuple[str, str], expected: tuple[str, int]
) -> None:
    folder.variables = {"which": "gmail"}
    at = inherited(folder, *written)
    assert (at.host, at.port) == expected


def test_a_provider_can_stand_in_the_trip_itself(folder: Folder) -> None:
    trip = folder.one(text("", "", "at: {provider: outlook, protocol: pop3, user: u, password: p}"))
    assert trip.receive
    assert way(trip.receive.at) == (Protocol.POP3, "outlook.office365.com", 995, Security.TLS)


# What becomes of the mail.

DELETES = {
    ("gmail", "imap", ""): Delete(move_to=TRASH),
    ("gmail", "imap", ", delete: true"): Delete(),
    ("gmail", "imap", ", delete: false"): Delete(wanted=False),
    ("gmail", "imap", ", delete: {move_to: Bin}"): Delete(move_to="Bin"),
    ("gmail", "pop3", ""): Delete(),
    ("outlook", "imap", ""): Delete(),
}


@pytest.mark.parametrize(("written", "expected"), DELETES.items(), ids=str)
def test_gmails_mail_is_moved_to_the_bin_unless_something_else_is_written(
    folder: Folder, written: tuple[str, str, str], expected: Delete
) -> None:
    provider, protocol, delete = written
    box = f"box: {{provider: {provider}, protocol: {protocol}, user: u, password: p}}"
    trip = folder.one(text(box, "", f"at: box{delete}"))
    assert trip.receive
    assert trip.receive.delete == expected


# The documentation.


def example(folder: Folder, name: str) -> Trip:
    variables = re.findall(r"env:(\w+)", EXAMPLES[name])
    folder.environ = {variable: f"probe@{variable.lower().replace('_', '-')}.test" for variable in variables}
    return folder.one(EXAMPLES[name], name=name)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == DOC.count("```yaml") == 6


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_the_documentation_is_a_whole_definition(folder: Folder, name: str) -> None:
    trip = example(folder, name)
    assert trip.send
    assert trip.send.via.auth is (Auth.NONE if trip.send.via.provider is None else trip.send.via.auth)
    assert trip.receive is None or trip.receive.at.security is Security.TLS


def test_the_table_of_the_documentation_is_what_is_filled_in(folder: Folder) -> None:
    rows = re.findall(r"^\| (gmail|outlook) \| (.*) \|$", DOC, re.MULTILINE)
    assert [name for name, _ in rows] == [provider.value for provider in Provider]
    for provider, cells in rows:
        via, imap = both(folder, "", provider)
        pop3 = both(folder, ", protocol: pop3", provider)[1]
        assert cells == " | ".join(f"{one.host}, {one.port}, `{one.security}`" for one in (via, imap, pop3))
