"""The topologies of examples/topologies through two Postfix servers to Dovecot, as their logs and the mails tell."""

import re
import shutil
from pathlib import Path

import pytest

# Imported once: pytester forgets what a run in this process imports, and then has two of the same class.
import mailtrip_checks.dns_lookup  # noqa: F401
from mailtrip_reports.record import Record
from tests.realservers.running import LogSince, Run, run_pytest
from tests.realservers.servers import Account, RealServers

TOPOLOGIES = Path(__file__).parents[2] / "examples" / "topologies"
RELAY, MAIL = "relay.provider.test", "mail.example.test"


@pytest.fixture
def run(pytester: pytest.Pytester, real_servers: RealServers) -> Run:
    """All of them, in one run. Each trip was delivered, and its mail deleted."""
    shutil.copytree(TOPOLOGIES, pytester.path / "topologies")
    kept = "--mailtrip-keep-results=kept"
    run = run_pytest(pytester, real_servers, "topologies", "--mailtrip-env=real", kept)
    assert run.ends() == dict.fromkeys(run.records, "delivered"), run.shown
    assert len(run.records) == 8
    for name in run.records:
        for account in (real_servers.probe, real_servers.watch):
            assert run.messages(name, account) == []
    return run


def hops(pytester: pytest.Pytester, record: Record) -> list[str]:
    """The Postfix servers that the mail came through, the last one first."""
    found = (path.read_text("utf-8", "replace") for path in (pytester.path / "kept").rglob("received.eml"))
    (raw,) = (text for text in found if record.token in text)
    head = re.sub(r"\n[ \t]+", " ", raw.replace("\r\n", "\n").partition("\n\n")[0])
    return re.findall(r"^Received: .*?\bby (\S+) \(Postfix", head, re.MULTILINE)


def relayed(servers: RealServers, record: Record, log: LogSince) -> dict[str, str]:
    """What SMTP 1 logged of a trip's mail: the last line of each service."""
    (queue_id,) = {found[1] for line in log.lines(record.token) if (found := re.search(r"\]: (\w+): ", line))}
    return {line.partition("postfix/")[2].partition("[")[0]: line for line in log.lines(f": {queue_id}: ")}


def test_each_topology_takes_the_way_that_it_says(
    pytester: pytest.Pytester, real_servers: RealServers, run: Run
) -> None:
    relay = LogSince(real_servers.relay_config / "postfix.log", 0)
    probe, collector = real_servers.probe, real_servers.watch
    _check_default(pytester, run, probe)
    forwarded = run.received("forwarded-to-us")["lmtp"]
    assert f"to=<{collector.address}>, orig_to=<{real_servers.special.forwarded}>" in forwarded
    assert hops(pytester, run.records["forwarded-to-us"]) == [MAIL]

    by_relay = relayed(real_servers, run.records["relayed"], relay)
    assert f"sasl_method=PLAIN, sasl_username={probe.address}" in by_relay["smtpd"]
    assert "status=sent" in by_relay["smtp"]
    assert hops(pytester, run.records["relayed"]) == [MAIL, RELAY]

    for name, to in (("sent-by-the-local-program", probe), ("through-your-system", collector)):
        by_program = relayed(real_servers, run.records[name], relay)
        assert "from=<monitor@watch.test>" in by_program["pickup"]
        assert "smtpd" not in by_program
        assert f"to=<{to.address}>" in run.received(name)["lmtp"]
        assert hops(pytester, run.records[name]) == [MAIL, RELAY]
        stages = [stage.name for stage in run.records[name].stages if stage.leg.value == "smtp"]
        assert stages == ["submit"]


def _check_default(pytester: pytest.Pytester, run: Run, probe: Account) -> None:
    for name in ("named-server", "server-found-by-mx"):
        assert f"to=<{probe.address}>" in run.received(name)["lmtp"]
        assert hops(pytester, run.records[name]) == [MAIL]
    found = run.records["server-found-by-mx"]
    assert "mx" in {stage.name for stage in found.stages}
    assert found.hosts["smtp"].startswith("localhost:")


def test_what_an_outside_account_sends_back_is_found_as_itself_and_as_an_answer(
    pytester: pytest.Pytester, real_servers: RealServers, run: Run
) -> None:
    special = real_servers.special
    redirected = run.received("sent-back-as-it-is")["lmtp"]
    assert f"to=<{real_servers.probe.address}>, orig_to=<{special.echo}>" in redirected
    assert hops(pytester, run.records["sent-back-as-it-is"]) == [MAIL, RELAY]
    answered = run.postfix.wait("postfix/pipe", f"to=<{special.answer}>")
    assert "status=sent" in answered[-1]
    (received,) = (pytester.path / "kept").glob("*answered*/received.eml")
    answer = received.read_text("utf-8")
    assert "Auto-Submitted: auto-replied" in answer
    assert run.records["answered-by-a-new-mail"].token in answer
