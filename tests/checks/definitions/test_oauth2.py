"""`oauth2` in definitions: which source it names, and that the examples of docs/oauth2.md are whole."""

import re
from pathlib import Path

import pytest

from mailtrip_checks.secrets import Secret
from mailtrip_checks.trips import Auth, Endpoint, FixedToken, Protocol, Security, TokenCommand, TokenEndpoint
from tests.checks.definitions.conftest import Folder

DOC = (Path(__file__).parents[3] / "docs" / "oauth2.md").read_text()
EXAMPLES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", DOC, re.DOTALL))


def at(folder: Folder, receive: str, servers: str = "{}") -> Endpoint:
    trip = folder.one(f"servers: {servers}\ntrips:\n  one: {{receive: {receive}}}\n")
    assert trip.receive
    return trip.receive.at


def test_there_are_examples() -> None:
    assert list(EXAMPLES) == ["gmail.trip.yaml", "microsoft365.trip.yaml", "microsoft365-app.trip.yaml"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_the_documentation_is_a_whole_definition(folder: Folder, name: str) -> None:
    folder.environ = {variable: f"probe@{variable.lower()}" for variable in re.findall(r"env:(\w+)", EXAMPLES[name])}
    trip = folder.one(EXAMPLES[name], name=name)
    legs = [leg for leg in (trip.send and trip.send.via, trip.receive and trip.receive.at) if leg]
    for leg in legs:
        assert (leg.auth, leg.password) == (Auth.OAUTH2, None)
        assert isinstance(leg.oauth2, TokenEndpoint)
        assert leg.security in (Security.TLS, Security.STARTTLS)
    assert set(trip.secrets) == {secret for leg in legs for secret in leg.secrets}
    assert not [secret for secret in trip.secrets if secret.reveal() in repr(trip)]
    assert len({leg.oauth2 for leg in legs}) == 1


@pytest.mark.parametrize("protocol", [Protocol.SMTP, Protocol.IMAP, Protocol.POP3])
def test_a_token_logs_in_to_every_protocol_without_a_password(folder: Folder, protocol: Protocol) -> None:
    text = "{%s: '%s://h', user: u, oauth2: {token: abc}%s}"
    via = text % ("via", "smtp", ", from: a@b.c, to: d@e.f")
    if protocol is Protocol.SMTP:
        send = folder.one(f"trips:\n  one: {{send: {via}}}\n").send
        assert send
        found = send.via
    else:
        found = at(folder, text % ("at", protocol, ""))
    assert (found.auth, found.password, found.oauth2) == (Auth.OAUTH2, None, FixedToken(Secret("abc")))
    assert found.security is Security.STARTTLS


def test_a_command_runs_where_its_file_lies(folder: Folder) -> None:
    found = at(folder, "{at: 'imaps://h', user: u, oauth2: {token_command: [./get, '']}}")
    assert found.oauth2 == TokenCommand(("./get", ""), folder.root)


def test_a_leg_is_stronger_than_its_server(folder: Folder) -> None:
    servers = "{in: {protocol: imap, host: h, user: u, oauth2: {token: far}}}"
    assert at(folder, "{at: in}", servers).oauth2 == FixedToken(Secret("far"))
    assert at(folder, "{at: in, oauth2: {token: near}}", servers).oauth2 == FixedToken(Secret("near"))
    by_password = at(folder, "{at: in, password: p}", servers)
    assert (by_password.auth, by_password.oauth2) == (Auth.PASSWORD, None)
    both = "{in: {protocol: imap, host: h, user: u, password: p, oauth2: {token: far}, auth: password}}"
    assert at(folder, "{at: in}", both).auth is Auth.PASSWORD
    assert at(folder, "{at: in, auth: oauth2}", both).password is None


def test_embedded_needs_no_source(folder: Folder) -> None:
    found = at(folder, "{at: embedded, user: u, auth: oauth2}")
    assert (found.auth, found.oauth2) == (Auth.OAUTH2, None)


def test_http_is_for_this_machine_alone(folder: Folder) -> None:
    for url in ("http://127.0.0.1:8080/token", "http://localhost", "http://[::1]:1?a=b", "https://h"):
        text = f"{{at: 'imaps://h', user: u, oauth2: {{token_url: '{url}', client_id: c, client_secret: s}}}}"
        assert at(folder, text).oauth2 == TokenEndpoint(url, "c", Secret("s"))


def test_a_column_that_a_token_reads_makes_no_id(folder: Folder) -> None:
    trip = folder.one(
        "trips:\n  one:\n    matrix: {box: [{key: hidden, name: shown}]}\n"
        "    receive: {at: 'imaps://h', user: u, oauth2: {token: '${matrix.box.key}'}}\n"
    )
    assert trip.id == "one[shown]"
