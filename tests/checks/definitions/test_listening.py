"""Mail that comes to us, as definitions write it."""

import pytest

from mailtrip_checks.trips import Auth, Channel, Endpoint, Match, Protocol, Receive, Security
from tests.checks.definitions.conftest import Folder

SEND = "send: {via: embedded, from: a@x.test, to: [b@y.test, c@Y.test]}"


def trip(receive: str, more: str = "") -> str:
    return f"trips:\n  one: {{{SEND}, receive: {{{receive}}}{more}}}\n"


def received(folder: Folder, text: str) -> Receive:
    receive = folder.one(text).receive
    assert receive
    return receive


def test_a_listener_is_a_port_of_all_addresses_that_accepts_what_its_trip_sends_to(folder: Folder) -> None:
    assert received(folder, trip("at: {protocol: listen}")).at == Endpoint(
        "port 25", Protocol.LISTEN, "*", 25, Security.NONE, Auth.NONE, accept=("b@y.test", "c@Y.test")
    )


@pytest.mark.parametrize(
    ("accept", "found"), [('"*@c.test"', ("*@c.test",)), ('["p-?@c.test", q@d.test]', ("p-?@c.test", "q@d.test"))]
)
def test_a_listener_can_be_a_server_with_an_address_a_port_and_patterns(
    folder: Folder, accept: str, found: tuple[str, ...]
) -> None:
    server = f'servers: {{in: {{protocol: listen, host: "::1", port: 2525, accept: {accept}}}}}\n'
    at = received(folder, server + trip("at: in")).at
    assert (at.name, at.host, at.port, at.accept) == ("in", "::1", 2525, found)


def test_echoes_are_taken_where_nobody_else_gets_mail(folder: Folder) -> None:
    receive = received(folder, trip("at: {protocol: listen}, match: subject, mailbox_is_dedicated: true"))
    assert receive.match is Match.SUBJECT


def test_an_inherited_limit_holds_where_it_can(folder: Folder) -> None:
    text = "defaults: {interval: 1s, primary: responses, expect: {mailbox: 1s, total: 9s}}\n"
    found = folder.one(text + trip("at: {protocol: listen}"))
    assert [limit.channel for limit in found.expect.limits] == [Channel.TOTAL]
    assert not found.own_mailbox


@pytest.mark.parametrize(
    ("receive", "complaint"),
    [
        ("at: {protocol: listen, security: tls}", ":107: receive.at.security: means nothing where mail comes to us"),
        ("at: {protocol: listen, password: p}", ":107: receive.at.password: means nothing where mail comes to us"),
        ("at: {protocol: listen, host: mx}", ":113: receive.at.host: `mx` is no address of this machine; name one"),
        ("at: {protocol: listen, port: 0}", "receive.at.port: `0` is no whole number from 1 to 65535"),
        ("at: {protocol: listen, accept: []}", "receive.at.accept: is empty; write at least one pattern"),
        ("at: {protocol: listen, accept: x.test}", "receive.at.accept: `x.test` is no pattern of addresses; write"),
        ('at: {protocol: listen, accept: "*@*"}', "receive.at.accept: `*@*` would take mail for every domain; name"),
        ('at: {protocol: listen, accept: "<*@a>"}', "receive.at.accept: `<*@a>` is no pattern of addresses; write it"),
        ('at: "imaps://h", password: p, interval: 1s, match: x', "receive.match: `x` is not one of"),
        ("at: {protocol: listen}, match: subject", "receive.match: would take people's answers to our mail; write"),
        (
            "at: {protocol: listen}, delete: false",
            ":108: receive.delete: stands here, but what comes is stored",
        ),
        ("at: {protocol: listen}, password: p", ":108: receive.password: stands here, but we log in nowhere; leave it"),
        ("at: {protocol: listen}, user: u", ":108: receive.user: stands here, but we log in nowhere; leave it out, or"),
        ("at: {protocol: listen}, auth: none", ":108: receive.auth: stands here, but we log in nowhere; leave it out"),
        ("at: {protocol: listen}, search: all", ":108: receive.search: stands here, but mail comes to us, and nothing"),
        (
            "at: {protocol: listen}, push: false",
            ":108: receive.push: stands here, but mail comes to us by itself; leave",
        ),
        (
            "at: {protocol: listen}, interval: 1s",
            ":108: receive.interval: stands here, but mail comes to us, and nobody",
        ),
        ("at: {protocol: listen}, mailbox: Junk", ":108: receive.mailbox: stands here, but mail comes to us, and lies"),
        ("at: {protocol: listen}, step_timeout: 1s", ":108: receive.step_timeout: stands here, but we take no step;"),
        ("at: {protocol: listen}, oauth2: {token: t}", ":108: receive.oauth2: stands here, but we log in nowhere;"),
    ],
)
def test_what_means_nothing_where_mail_comes_to_us_is_a_mistake(folder: Folder, receive: str, complaint: str) -> None:
    assert complaint in folder.complaint(trip(receive))


@pytest.mark.parametrize("channel", ["mailbox", "responses"])
def test_what_is_not_ours_to_see_cannot_be_limited_or_shown_first(folder: Folder, channel: str) -> None:
    told = folder.complaint(trip("at: {protocol: listen}", f", expect: {{{channel}: 1s}}"))
    assert f"expect.{channel}: is not measured where mail comes to us; leave it out" in told
    told = folder.complaint(trip("at: {protocol: listen}", f", primary: {channel}"))
    assert f"primary: `{channel}` is not measured where mail comes to us; name another channel" in told


def test_a_listener_waits_for_what_is_sent(folder: Folder) -> None:
    told = folder.complaint("trips:\n  one: {receive: {at: {protocol: listen}}}\n")
    assert "receive: waits for mail that nobody sends; write `send` too" in told


def test_accept_is_for_listeners_alone(folder: Folder) -> None:
    told = folder.complaint(
        'trips:\n  one: {receive: {at: {protocol: imap, host: h, accept: "*@x"}, user: u, password: p}}'
    )
    assert "2:49: receive.at.accept: is for mail that comes to us; write `protocol: listen` too" in told
    told = folder.complaint("trips:\n  one: {send: {via: {protocol: listen}, from: a@x, to: b@x}}\n")
    assert "send.via: speaks listen, but `send.via` needs smtp; name another server" in told
