"""The real servers start where they can, say why where they cannot, and leave no trace."""

import json
import os
import signal
import smtplib
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import pytest

from tests.realservers import postfix_dovecot
from tests.realservers.conftest import do_without
from tests.realservers.postfix_dovecot import running_servers, unavailable
from tests.realservers.servers import RealServers, until

REPOSITORY = Path(__file__).parents[2]


def test_says_which_debian_packages_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    needed = {"postfix": str(tmp_path / "none"), "dovecot-imapd": "/", "x": str(tmp_path / "nor this")}
    monkeypatch.setattr(postfix_dovecot, "NEEDED", needed)
    assert unavailable() == "not installed: apt-get install --no-install-recommends postfix x"


def test_says_that_root_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in str(unavailable())


def test_without_the_servers_tests_skip_unless_they_must_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILTRIP_REQUIRE_REAL_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Postfix"):
        do_without("no Postfix")
    monkeypatch.setenv("MAILTRIP_REQUIRE_REAL_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="no Postfix"):
        do_without("no Postfix")


def process_groups(directory: Path) -> set[int]:
    """Process groups of the servers that run in a directory."""
    groups: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(directory).encode() in (process / "cmdline").read_bytes():
                groups.add(os.getpgid(int(process.name)))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return groups - {os.getpgid(0)}


def alive(groups: set[int]) -> list[str]:
    """Processes of these groups, but for dead ones that wait for their parent to notice."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (process / "stat").read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, group = rest.split()[:3]
        if int(group) in groups and state != "Z":
            found.append(name)
    return found


def test_two_runs_at_once_share_no_port_and_stop_without_a_trace(real_servers: RealServers) -> None:
    with running_servers() as servers:
        assert not set(astuple(servers.ports)) & set(astuple(real_servers.ports))
        with smtplib.SMTP(servers.host, servers.ports.smtp) as smtp:
            smtp.sendmail("", servers.probe.address, b"Subject: hello\r\n\r\n")
        assert servers.arrived(servers.probe, "hello")
        groups = process_groups(servers.directory)
        assert {"(dovecot", "(master"} <= {name.partition(" ")[2] for name in alive(groups)}
    until(lambda: not alive(groups))
    assert not servers.directory.exists()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.usefixtures("real_servers")
def test_no_trace_is_left_however_the_starting_process_ends(end: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.realservers", "up"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        directory = Path(json.loads(process.stdout.readline())["MAILTRIP_REAL_CA"]).parent
        groups = process_groups(directory)
        assert alive(groups)
        process.send_signal(end)
    assert process.returncode == (-end if end == signal.SIGKILL else 0)
    until(lambda: not alive(groups) and not directory.exists())


@pytest.mark.usefixtures("real_servers")
def test_run_gives_a_command_the_servers_and_exits_as_it_does() -> None:
    code = "import os, smtplib; smtplib.SMTP('localhost', os.environ['MAILTRIP_REAL_SMTP_PORT']).quit(); exit(7)"
    command = [sys.executable, "-m", "tests.realservers", "run", "--", sys.executable, "-c", code]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 7


@pytest.mark.usefixtures("real_servers")
def test_run_passes_sigterm_on_and_waits_for_the_command_to_clean_up() -> None:
    code = (
        "import os, signal, smtplib, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "print('ready', flush=True)\n"
        "signal.sigwait([signal.SIGTERM])\n"
        "smtplib.SMTP('localhost', os.environ['MAILTRIP_REAL_SMTP_PORT']).quit()\n"
        "sys.exit(3)\n"
    )
    command = [sys.executable, "-m", "tests.realservers", "run", "--", sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
    assert process.returncode == 3
