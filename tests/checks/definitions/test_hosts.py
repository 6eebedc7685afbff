"""Hosts of their own among the in-process servers: what their keys say, and what is wrong with them."""

import pytest

from mailtrip_checks.authentication import AuthenticationResults, DkimResult, SpfResult
from mailtrip_checks.trips import Auth, Echo, Host, Protocol
from tests.checks.definitions.conftest import Folder

TRIP = "trips: {one: {send: {via: a, from: x@x.test, to: p@a.test}, receive: {at: a}}}\n"


def test_a_host_is_named_once_and_spoken_to_by_every_protocol(folder: Folder) -> None:
    text = """\
servers:
  a: {embedded: inner, domains: [A.test, b.test]}
  p: {embedded: inner, protocol: pop3, security: tls}
trips: {one: {send: {via: a, from: x@x.test, to: p@a.test}, receive: {at: p}}}
"""
    trip = folder.one(text)
    assert trip.send
    assert trip.receive
    via, at = trip.send.via, trip.receive.at
    assert (via.name, via.host, via.port, via.protocol, via.embedded) == ("a", "inner", 0, Protocol.SMTP, True)
    assert (at.name, at.host, at.port, at.protocol, at.embedded) == ("p", "inner", 0, Protocol.POP3, True)
    assert trip.hosts == (Host("inner", ("a.test", "b.test")),)


def test_all_hosts_of_a_file_are_there_though_no_trip_speaks_to_them(folder: Folder) -> None:
    text = """\
servers:
  a: {embedded: a, password: "${env:UNSET}"}
  unused: {embedded: between, password: "${env:UNSET}", domains: ["${var:domain}"]}
  out:
    embedded: outside
    forwards: {f@a.test: x@b.test, g@a.test: [g@a.test, y@b.test]}
    relays: {c.test: between}
    echoes: {e@a.test: redirect, n@a.test: new}
    junk: {X-Spam: "yes", Subject: lottery, X-Any: ""}
    authentication_results: {spf: softfail, dkim: none}
  real: {protocol: imap, host: mail.example.com, password: "${env:UNSET}"}
trips: {one: {send: {via: out, from: x@x.test, to: p@a.test}}}
"""
    folder.variables = {"domain": "b.test"}
    assert folder.one(text).hosts == (
        Host("a"),
        Host("between", ("b.test",)),
        Host(
            "outside",
            forwards=(("f@a.test", ("x@b.test",)), ("g@a.test", ("g@a.test", "y@b.test"))),
            relays=(("c.test", "between"),),
            echoes=(("e@a.test", Echo.REDIRECT), ("n@a.test", Echo.NEW)),
            junk=(("X-Spam", "yes"), ("Subject", "lottery"), ("X-Any", "")),
            results=AuthenticationResults(spf=SpfResult.SOFTFAIL, dkim=DkimResult.NONE),
        ),
    )


def test_trips_that_use_none_of_the_hosts_have_none(folder: Folder) -> None:
    text = "servers: {a: {embedded: a}}\ntrips: {one: {send: {via: embedded, from: x@x.test, to: p@a.test}}}\n"
    trip = folder.one(text)
    assert trip.hosts == ()
    assert trip.send
    assert trip.send.via.host == "embedded"


def test_a_host_is_logged_in_to_where_that_is_said(folder: Folder) -> None:
    trip = folder.one("servers: {a: {embedded: a, auth: plain, user: u@a.test}}\n" + TRIP)
    assert trip.send
    assert (trip.send.via.auth, trip.send.via.user, trip.send.via.password) == (Auth.PLAIN, "u@a.test", None)


@pytest.mark.parametrize(
    ("server", "name", "host"),
    [("{embedded: a, protocol: sendmail}", "a", "a"), ("embedded:sendmail", "a", "embedded")],
)
def test_a_host_has_a_local_mail_program(folder: Folder, server: str, name: str, host: str) -> None:
    trip = folder.one(f"servers: {{a: {server}}}\ntrips: {{one: {{send: {{via: a, from: x@x, to: p@a}}}}}}\n")
    assert trip.send
    via = trip.send.via
    assert (via.name, via.protocol, via.host, via.command, via.embedded) == (name, Protocol.SENDMAIL, host, (), True)


@pytest.mark.parametrize(
    "far",
    [
        "{embedded: a, domains: [a.test], password: p}",
        "{protocol: sendmail, command: [x]}",
        "{protocol: listen, port: 2525, accept: '*@a.test'}",
        "{protocol: smtp, host: embedded}",
    ],
)
def test_a_server_that_becomes_another_kind_begins_anew(folder: Folder, far: str) -> None:
    real = "environments: {real: {servers: {a: {protocol: imap, host: h, password: q}}}}\n"
    text = f"servers: {{a: {far}}}\n{real}trips: {{one: {{receive: {{at: a, user: u}}}}}}\n"
    trip = folder.one(text, environment="real")
    assert trip.receive
    assert (trip.receive.at.host, trip.receive.at.protocol) == ("h", Protocol.IMAP)
    assert trip.hosts == ()


def test_a_server_that_stays_of_a_kind_inherits(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "servers: {a: {embedded: a, domains: [a.test]}}\n")
    trip = folder.one("servers: {a: {protocol: pop3}}\ntrips: {one: {receive: {at: a, user: u@a.test}}}\n")
    assert trip.receive
    assert trip.receive.at.protocol is Protocol.POP3
    assert trip.hosts == (Host("a", ("a.test",)),)


MISTAKES = {
    "reserved": ("{embedded: mx}", "1:25: servers.a.embedded: is a reserved name; write another for the host"),
    "no name": ("{embedded: a b}", "1:25: servers.a.embedded: `a b` is no host; write a name"),
    "a list": ("{embedded: [a]}", "1:25: servers.a.embedded: is a list; write one value"),
    "a port": ("{embedded: a, port: 25}", "1:28: servers.a.port: means nothing to an in-process host; leave it out"),
    "two hosts": ("{embedded: a, host: h}", "1:28: servers.a.host: means nothing to an in-process host; leave it out"),
    "a provider": (
        "{embedded: a, provider: gmail}",
        "1:28: servers.a.provider: means nothing to an in-process host; leave it out",
    ),
    "no domain": (
        "{embedded: a, domains: a.test}",
        "1:37: servers.a.domains: is one value; write a list, as in `[a, b]`",
    ),
    "a bad domain": ("{embedded: a, domains: ['@a']}", "1:38: servers.a.domains.1: `@a` is no host; write a name"),
    "no address": (
        "{embedded: a, forwards: {f: g@a}}",
        "1:39: servers.a.forwards.f: `f` is no mail address; write it as",
    ),
    "no target": (
        "{embedded: a, forwards: {f@a: [g@a, h]}}",
        "1:50: servers.a.forwards.f@a.2: `h` is no mail address; write it as",
    ),
    "nobody": ("{embedded: a, forwards: {f@a: []}}", "1:44: servers.a.forwards.f@a: is empty; write at least one"),
    "no host behind": (
        "{embedded: a, relays: {b.test: c}}",
        "1:45: servers.a.relays.b.test: names no host of the in-process servers; there is a",
    ),
    "no echo": (
        "{embedded: a, echoes: {e@a: back}}",
        "1:42: servers.a.echoes.e@a: `back` is not one of redirect, new",
    ),
    "no header": (
        "{embedded: a, junk: {X Spam: x}}",
        "1:35: servers.a.junk.X Spam: is no header's name; write printable ASCII",
    ),
    "no result": (
        "{embedded: a, authentication_results: {dmarc: softfail}}",
        "1:60: servers.a.authentication_results.dmarc: `softfail` is not one of none, pass, fail, temperror, permerror",
    ),
    "near": (
        "{embedded: a, forward: {}}",
        "1:28: servers.a.forward: is no key that there is; did you mean `forwards`?",
    ),
}


@pytest.mark.parametrize(("server", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_each_mistake_is_told_with_its_place(folder: Folder, server: str, expected: str) -> None:
    text = f"servers: {{a: {server}}}\ntrips: {{one: {{receive: {{at: a, user: p@a.test}}}}}}\n"
    assert folder.complaint(text).startswith(f"a.trip.yaml:{expected}")


def test_a_host_is_described_in_one_place(folder: Folder) -> None:
    servers = "servers:\n  a: {embedded: a, domains: [a.test]}\n  b: {embedded: a, echoes: {e@a.test: new}}\n"
    expected = "a.trip.yaml:3:20: servers.b.echoes: describes the host `a`, as `a` does already; write all of it there"
    assert folder.complaint(servers + TRIP) == expected


def test_a_host_stands_under_servers(folder: Folder) -> None:
    text = "trips: {one: {send: {via: {embedded: a}, from: x@x.test, to: p@a.test}}}\n"
    expected = "a.trip.yaml:1:27: send.via: is an in-process host of its own; describe it under `servers`, and write"
    assert folder.complaint(text).startswith(expected)


@pytest.mark.parametrize(
    "key",
    [
        "domains: [a.test]",
        "forwards: {f@a.test: g@b.test}",
        "relays: {a.test: b}",
        "echoes: {e@a.test: new}",
        "junk: {X-Spam: x}",
        "authentication_results: {spf: pass}",
        "faults: []",
    ],
)
def test_only_an_in_process_host_can_be_told_where_mail_goes(folder: Folder, key: str) -> None:
    server = f"servers: {{a: {{protocol: imap, host: h, password: p, {key}}}}}\n"
    expected = f"a.trip.yaml:1:53: servers.a.{key.partition(':')[0]}: is for an in-process host; write `embedded: NAME`"
    text = server + "trips: {one: {receive: {at: a, user: u}}}\n"
    assert folder.complaint(text).startswith(expected)


def test_a_hosts_faults_are_handed_on_as_they_are_written(folder: Folder) -> None:
    faults = "[{on: RCPT, do: delay, for: '${var:long}', between: [1s, 2s]}, {do: lost}]"
    folder.variables = {"long": "3s"}
    trip = folder.one(f"servers: {{a: {{embedded: a, faults: {faults}}}}}\n" + TRIP)
    delay = (("on", "RCPT"), ("do", "delay"), ("for", "3s"), ("between", ("1s", "2s")))
    assert trip.hosts == (Host("a", faults=(delay, (("do", "lost"),))),)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ("{do: lost}", "1:36: servers.a.faults: is a mapping; write a list, as in `[a, b]`"),
        ("[lost]", "1:37: servers.a.faults.1: is no mapping; write one, as in `{key: value}`"),
        ("[{do: lost, on: x}]", "1:52: servers.a.faults.1.on: is wrong"),
        ("[{do: lost}]", "1:37: servers.a.faults.1.on: is wrong"),
        ("[{do: lost, zz: x}]", "1:52: servers.a.faults.1.zz: is no key"),
    ],
)
def test_a_mistake_in_a_fault_is_told_with_its_place(folder: Folder, faults: str, expected: str) -> None:
    folder.fault_mistake = lambda fault: ("zz", "is no key") if "zz" in fault else ("on", "is wrong")
    text = f"servers: {{a: {{embedded: a, faults: {faults}}}}}\n" + TRIP
    assert folder.complaint(text) == f"a.trip.yaml:{expected}"


def test_a_fault_whose_value_is_not_there_is_not_judged(folder: Folder) -> None:
    folder.fault_mistake = lambda _: ("do", "is wrong")
    complaint = folder.complaint("servers: {a: {embedded: a, faults: [{do: '${var:unset}'}]}}\n" + TRIP)
    assert "unset" in complaint
