"""The topologies of examples/topologies on in-process hosts, as the hosts saw them."""

import email
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

# Imported once: pytester forgets what a run in this process imports, and then has two of the same class.
import mailtrip_checks.dns_lookup  # noqa: F401
from mailtrip_checks.trips import Channel
from mailtrip_fixtures.servers import MailServers
from mailtrip_reports.record import Record, from_json
from tests.checks.dns_server import dns_server
from tests.plugin.conftest import ALONE

TOPOLOGIES = Path(__file__).parents[2] / "examples" / "topologies"


@dataclass(frozen=True, slots=True)
class Flown:
    """The records of a file's trips by name, and the in-process hosts by name as they were when all had ended."""

    records: dict[str, Record]
    hosts: dict[str, MailServers]

    def hops(self, host: str) -> list[list[str]]:
        """Of each mail that came to lie at this host: the hosts it came through, the last one first."""
        mails = [email.message_from_bytes(entry.message) for entry in self.hosts[host].ledger.delivered]
        return [[re.findall(r"\bby (\S+)", line)[0] for line in mail.get_all("Received", [])] for mail in mails]

    def names(self, host: str) -> list[tuple[str, int, int, int]]:
        """Each address at this host, with how many mails were accepted, delivered and deleted there for it."""
        ledger = self.hosts[host].ledger
        accepted, delivered, deleted = (
            [entry.address for entry in entries] for entries in (ledger.accepted, ledger.delivered, ledger.deleted)
        )
        addresses = sorted({*accepted, *delivered, *deleted})
        return [(one, accepted.count(one), delivered.count(one), deleted.count(one)) for one in addresses]


@pytest.fixture
def fly(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Flown]:
    """Runs a file of the topologies."""
    monkeypatch.setenv("MAILTRIP_KEY", "the key of these tests")
    shutil.copytree(TOPOLOGIES, pytester.path / "topologies")
    hosts: dict[str, MailServers] = {}
    start = MailServers.start

    def noted(servers: MailServers) -> MailServers:
        hosts[servers.name] = servers
        return start(servers)

    def fly(name: str, *arguments: str) -> Flown:
        monkeypatch.setattr(MailServers, "start", noted)
        result = pytester.runpytest_inprocess(*ALONE, f"topologies/{name}", "--mailtrip-jsonl=out.jsonl", *arguments)
        records = [from_json(line) for line in (pytester.path / "out.jsonl").read_text("ascii").splitlines()]
        assert result.ret == 0, result.stdout.str()
        assert all(record.end.value == "delivered" for record in records)
        return Flown({record.name: record for record in records}, hosts)

    return fly


Fly = Callable[..., Flown]


def test_1_from_us_to_your_server_and_mailbox(fly: Fly) -> None:
    flown = fly("1-smtp-to-mailbox.trip.yaml")
    assert set(flown.records) == {"named-server", "server-found-by-mx"}
    assert flown.names("company") == [("probe@example.test", 2, 2, 2)]
    assert flown.hops("company") == [["company"], ["company"]]
    assert flown.hosts["company"].commands("smtp").count("RCPT TO:<probe@example.test>") == 2


def test_1_your_server_is_found_by_mx(fly: Fly, pytester: pytest.Pytester) -> None:
    zone = {"example.test MX": "10 mx.example.test.", "mx.example.test A": "127.0.0.1"}
    with dns_server(zone) as dns, MailServers(name="found", domains=["example.test"], catch_all=True) as servers:
        servers.account("probe@example.test")
        how = f"port: {servers.ports.smtp}, security: none"
        mailbox = f"{{protocol: imap, host: 127.0.0.1, port: {servers.ports.imap}, security: none}}"
        pytester.path.joinpath("mailtrip.yaml").write_text(
            "environments:\n  dns:\n    servers:\n"
            f"      by-mx: {{protocol: smtp, host: mx, {how}, dns: '{dns.address}'}}\n"
            f"      smtp: {{protocol: smtp, host: 127.0.0.1, {how}}}\n"
            f"      mailbox: {mailbox}\n"
            f"    defaults: {{receive: {{password: {servers.default_password}}}}}\n"
        )
        pytester.path.joinpath("pytest.ini").write_text("[pytest]\n")
        flown = fly("1-smtp-to-mailbox.trip.yaml", "--mailtrip-env=dns")
        assert servers.ledger.wait_for("deleted", 2, timeout_s=5)
    assert dns.asked[0] == "example.test MX"
    assert flown.records["server-found-by-mx"].hosts["smtp"].startswith("mx.example.test:")
    assert "mx" in {stage.name for stage in flown.records["server-found-by-mx"].stages}


def test_2_your_mailbox_forwards_to_our_collector(fly: Fly) -> None:
    flown = fly("2-forwarded-to-us.trip.yaml")
    assert flown.names("company") == [("forwarded@example.test", 1, 0, 0)]
    assert flown.names("watch") == [("collector@watch.test", 1, 1, 1)]
    assert flown.hops("watch") == [["watch", "company"]]
    assert [flown.hosts["company"].commands(port) for port in ("imap", "imaps")] == [[], []]
    assert "MAIL FROM:<monitor@watch.test> BODY=8BITMIME" in flown.hosts["watch"].commands("smtp")


def test_3_smtp_1_takes_a_login_and_relays_to_smtp_2(fly: Fly) -> None:
    flown = fly("3-authenticated-relay.trip.yaml")
    said = flown.hosts["provider"].commands("smtp")
    assert "AUTH PLAIN ********" in said
    assert said.index("AUTH PLAIN ********") < said.index("RCPT TO:<probe@example.test>")
    assert flown.names("provider") == [("probe@example.test", 1, 0, 0)]
    assert flown.names("company") == [("probe@example.test", 1, 1, 1)]
    assert flown.hops("company") == [["company", "provider"]]
    (mail,) = (entry.message for entry in flown.hosts["company"].ledger.delivered)
    assert re.search(rb"by provider \(mailtrip\) with ESMTPSA", mail)


def test_3_without_a_login_smtp_1_relays_nothing(fly: Fly, pytester: pytest.Pytester) -> None:
    path = pytester.path / "topologies" / "3-authenticated-relay.trip.yaml"
    text = path.read_text().replace(", auth: plain, user: probe@provider.test", "")
    path.write_text(text)
    with pytest.raises(AssertionError, match=r"554 5\.7\.1 Relay access denied"):
        fly(path.name)


def test_4_the_local_mail_program_sends(fly: Fly) -> None:
    flown = fly("4-local-program.trip.yaml")
    assert flown.hops("company") == [["company", "monitor"]]
    assert flown.names("monitor") == [("probe@example.test", 1, 0, 0)]
    assert flown.names("company") == [("probe@example.test", 1, 1, 1)]
    (record,) = flown.records.values()
    assert [stage.name for stage in record.stages if stage.leg.value == "smtp"] == ["submit"]


def test_4_what_the_local_mail_program_puts_off_is_deferred(fly: Fly, pytester: pytest.Pytester) -> None:
    path = pytester.path / "topologies" / "4-local-program.trip.yaml"
    path.write_text(path.read_text().replace("to: probe@", "to: defer@"))
    with pytest.raises(AssertionError, match=r"deferred[\s\S]*EX_TEMPFAIL"):
        fly(path.name)


def test_5_what_lies_between_our_ends_has_no_response_times(fly: Fly) -> None:
    flown = fly("5-both-ends-ours.trip.yaml")
    assert flown.hops("watch") == [["watch", "company", "monitor"]]
    assert flown.names("company") == [("forwarded@example.test", 1, 0, 0)]
    company = flown.hosts["company"]
    assert company.commands("smtp")[0] == "EHLO monitor"
    assert [command for command in company.commands("smtp") if command.startswith("EHLO")] == ["EHLO monitor"]
    assert company.commands("imap") == company.commands("imaps") == []
    (record,) = flown.records.values()
    # The one stage of the SMTP leg is our own program's, and those of the mailbox leg our own collector's.
    assert [stage.name for stage in record.stages if stage.leg.value == "smtp"] == ["submit"]
    assert flown.hosts["watch"].commands("imap")
    assert Channel.TRANSIT in record.channels


def test_an_outside_account_sends_everything_back(fly: Fly) -> None:
    flown = fly("echo.trip.yaml")
    assert flown.names("outside") == [("answer@watch.test", 1, 0, 0), ("echo@watch.test", 1, 0, 0)]
    assert sorted(flown.hops("company")) == [["company", "outside"], ["company", "outside", "company"]]
    assert flown.names("company")[-1] == ("probe@example.test", 2, 2, 2)
    answer = flown.records["answered-by-a-new-mail"]
    assert answer.token in str(
        [entry.message for entry in flown.hosts["company"].ledger.deleted if b"Subject: Re: " in entry.message]
    )
