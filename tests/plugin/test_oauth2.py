"""Trips that log in by tokens, as pytest runs them."""

import pytest

from tests.plugin.conftest import Project

OAUTH = "oauth2: {token: '${env:TOKEN}'}"
TRIP = """\
trips:
  imap:
    send: {via: out, from: u1@example.test, to: u0@example.test, user: u0@example.test, %(oauth)s}
    receive: {at: {protocol: imap, host: 127.0.0.1, port: %(imap)d, security: none}, %(oauth)s}
  pop3:
    send: {via: out, from: u0@example.test, to: u1@example.test, user: u1@example.test, %(oauth)s}
    receive: {at: {protocol: pop3, host: 127.0.0.1, port: %(pop3)d, security: none}, %(oauth)s}
"""


def test_trips_log_in_by_a_token_on_all_three_protocols(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "the access token".replace(" ", "-"))
    for user in ("u0@example.test", "u1@example.test"):
        project.servers.accepts_token(user, "the-access-token")
    ports = project.servers.ports
    project.write("a.trip.yaml", TRIP % {"oauth": OAUTH, "imap": ports.imap, "pop3": ports.pop3})
    result = project.here("--html=out.html", "--self-contained-html", "--mailtrip-jsonl=out.jsonl", "-vv", "-rA")
    result.assert_outcomes(passed=2)
    assert project.mails() == (2, 2)
    said = [*project.servers.commands("smtp"), *project.servers.commands("imap"), *project.servers.commands("pop3")]
    assert len([line for line in said if "OAUTHBEARER" in line]) >= 4
    assert not [line for line in said if line.startswith(("USER", "PASS")) or "LOGIN" in line]
    shown = [result.stdout.str(), *((project.pytester.path / name).read_text() for name in ("out.html", "out.jsonl"))]
    assert not [text for text in shown if "the-access-token" in text]


def test_a_refused_token_is_explained(project: Project) -> None:
    project.servers.accepts_token("u0@example.test", "another-token")
    project.write(
        "a.trip.yaml",
        "trips: {a: {send: {via: out, from: a@b.test, to: u0@example.test, oauth2: {token: old-token}}}}\n",
    )
    result = project.here()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*refused the token*", "*invalid_token*"])
    result.stdout.no_fnmatch_line("*old-token*")


def test_a_command_that_fails_ends_the_trip_before_anything_is_sent(project: Project) -> None:
    project.write(
        "a.trip.yaml",
        "trips: {a: {send: {via: out, from: a@b.test, to: u0@example.test, auth: oauth2,"
        " oauth2: {token_command: [/bin/sh, -c, 'echo expired >&2; exit 3']}}}}\n",
    )
    result = project.here()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*login-failed*", "*ended with 3: expired*"])
    assert project.servers.commands("smtp") == []


@pytest.mark.parametrize("source", ["{}", "{token: any-token}", "{token_command: [echo, printed-token]}"])
def test_the_embedded_servers_take_the_token_that_the_definition_gives(project: Project, source: str) -> None:
    oauth2 = "" if source == "{}" else f", oauth2: {source}"
    project.write(
        "a.trip.yaml",
        f"trips: {{a: {{send: {{via: embedded, from: a@b.test, to: me@example.test, auth: oauth2{oauth2}}},"
        f" receive: {{at: embedded, auth: oauth2{oauth2}}}}}}}\n",
    )
    project.here().assert_outcomes(passed=1)
