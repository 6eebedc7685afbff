"""AlertSite's six numbers with meaning and remedy, and the diagnostic log, in the terminal, in JUnit and in HTML."""

import html
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

# Imported once: pytester forgets what a run in this process imports, and PyYAML's C half cannot be imported twice.
import mailtrip.runner  # noqa: F401
from mailtrip_fixtures import MailServers

ALONE = ("-p", "no:randomly", "-p", "no:rerunfailures", "-p", "no:timeout", "-p", "no:cacheprovider", "-p", "no:xdist")


@dataclass(frozen=True, slots=True)
class Status:
    """A number, how to come by it, what it means, and words of the remedy that AlertSite's page gives, too."""

    number: int
    trip: str
    meaning: str
    remedies: tuple[str, ...] = ()


SEND = "send: {via: out, from: a@example.org, to: u0@example.test}"
STATUSES = {
    "good": Status(0, f"{SEND}, receive: {{at: in}}", "successful test"),
    "no-mailbox": Status(
        1,
        "receive: {at: 'pop3://:p@127.0.0.1:1', user: u}",
        "TCP connection failed",
        ("host and port", "a firewall may block"),
    ),
    "time": Status(
        2,
        "receive: {at: dumb, user: u, step_timeout: 300ms}",
        "test timed out",
        ("firewall", "the port speaks this protocol"),
    ),
    "password": Status(2, "receive: {at: in, user: u0@example.test, password: x}", "test timed out", ("user: u0",)),
    "lost": Status(
        2,
        f"{SEND.replace('u0', 'blackhole')}, receive: {{at: in, user: u0@example.test}}, timeout: 200ms",
        "test timed out",
        ("a longer `timeout` helps",),
    ),
    "rejected": Status(
        3,
        "send: {via: out, from: a@example.org, to: reject@example.test}",
        "invalid response from server",
        ("check its spelling", "the server may want a login", "the port"),
    ),
    "babble": Status(
        3,
        "send: {via: babble, from: a@example.org, to: u0@example.test}",
        "invalid response from server",
        ("check host, port and security mode", "the server's own log"),
    ),
    "no-smtp": Status(
        6,
        "send: {via: 'smtp://127.0.0.1:1', from: a@example.org, to: u0@example.test}",
        "no response from server",
        ("try another port", "leave `via` out"),
    ),
    "no-name": Status(
        51,
        "send: {via: {host: 127.0.0.1, family: ipv6}, from: a@example.org, to: u0@example.test}",
        "unable to resolve IP address",
        ("the spelling of the host name",),
    ),
}


@dataclass(frozen=True, slots=True)
class Reports:
    terminal: str
    junit: ET.Element
    page: str
    records: dict[str, dict[str, object]]


@pytest.fixture
def reports(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reports]:
    """What a run of all these trips reports."""
    monkeypatch.setenv("MAILTRIP_KEY", "the key of these tests")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-o asyncio_default_fixture_loop_scope=function")
    monkeypatch.setenv("COLUMNS", "500")
    with MailServers(tls="none") as servers:
        servers.account("u0@example.test", "secret word")
        ports, where = servers.ports, "host: 127.0.0.1, security: none"
        (pytester.path / "mailtrip.yaml").write_text(
            "servers:\n"
            f"  out: {{protocol: smtp, {where}, port: {ports.smtp}}}\n"
            f"  in: {{protocol: imap, {where}, port: {ports.imap}, password: secret word}}\n"
            f"  dumb: {{protocol: imap, {where}, port: {ports.imaps}, password: x}}\n"
            f"  babble: {{protocol: smtp, {where}, port: {ports.imap}}}\n"
        )
        trips = "".join(f"  {name}: {{{status.trip}}}\n" for name, status in STATUSES.items())
        (pytester.path / "a.trip.yaml").write_text(f"trips:\n{trips}")
        result = pytester.runpytest_inprocess(
            *ALONE,
            "-rA",
            "--junit-xml=out.xml",
            "--html=out.html",
            "--self-contained-html",
            "--mailtrip-jsonl=out.jsonl",
        )
        records = [json.loads(line) for line in (pytester.path / "out.jsonl").read_text().splitlines()]
        yield Reports(
            result.stdout.str(),
            ET.parse(pytester.path / "out.xml").getroot(),
            html.unescape(html.unescape((pytester.path / "out.html").read_text())),
            {record["name"]: record for record in records},
        )


def test_each_number_comes_with_meaning_and_remedy_in_terminal_junit_and_html(reports: Reports) -> None:
    cases = {case.attrib["name"]: case for case in reports.junit.iter("testcase")}
    for name, status in STATUSES.items():
        record = reports.records[name]
        assert (record["alertsite"], record["alertsite_meaning"]) == (status.number, status.meaning), record
        told = f"AlertSite: {status.number}, {status.meaning}"
        assert told in reports.terminal, name
        assert told.removeprefix("AlertSite: ") in reports.page, name
        properties = {one.attrib["name"]: one.attrib["value"] for one in cases[name].iter("property")}
        assert properties["mailtrip.alertsite"] == str(status.number)
        assert properties["mailtrip.alertsite.meaning"] == status.meaning
        in_junit = _unwrapped("".join(cases[name].itertext()))
        for remedy in status.remedies:
            assert remedy in str(record["hint"])
            assert remedy in _unwrapped(reports.terminal)
            assert remedy in in_junit
            assert remedy in reports.page
    assert {status.number for status in STATUSES.values()} == {0, 1, 2, 3, 6, 51}


def _unwrapped(text: str) -> str:
    return " ".join(text.split())


def test_the_diagnostic_log_is_there_for_every_run_also_for_one_that_passed(reports: Reports) -> None:
    cases = {case.attrib["name"]: case for case in reports.junit.iter("testcase")}
    said = "RCPT TO:<u0@example.test>"
    transcript = reports.records["good"]["transcript"]
    assert isinstance(transcript, list)
    assert [line for line in transcript if said in line["text"]]
    of_the_good_one = reports.terminal.partition("a.trip.yaml:2 good _")[2].partition("\n____")[0]
    assert said in of_the_good_one
    assert said in reports.page
    for name in ("password", "rejected", "babble"):
        assert reports.records[name]["transcript"]
        assert "the dialogue ended so" in "".join(cases[name].itertext())
    assert "secret word" not in reports.terminal + reports.page + str(reports.records)
