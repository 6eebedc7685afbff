"""A location reached by ssh: an sshd on the loopback, with keys of its own and a folder that was deployed before.

Skipped where Debian's openssh-server or openssh-client is not installed; fails there with
MAILTRIP_REQUIRE_REAL_SERVERS=1.
"""

import getpass
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.plugin.conftest import Project

pytest.importorskip("xdist")

SSHD = Path("/usr/sbin/sshd")
START_WITHIN_S = 10


@dataclass(frozen=True)
class Sshd:
    """A running sshd, an ssh_config that knows it as `berlin`, and a Python there with an environment of its own."""

    config: Path
    python: Path
    folder: Path

    def gateway(self, folder: Path | None = None) -> str:
        """For `--tx`."""
        return f"ssh=berlin//ssh_config={self.config}//id=berlin//python={self.python}//chdir={folder or self.folder}"


def lacking() -> str:
    """The packages that are not installed."""
    there = {"openssh-server": SSHD.exists(), "openssh-client": shutil.which("ssh") and shutil.which("ssh-keygen")}
    return ", ".join(package for package, installed in there.items() if not installed)


@pytest.fixture
def sshd(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if packages := lacking():
        if os.environ.get("MAILTRIP_REQUIRE_REAL_SERVERS") == "1":
            pytest.fail(f"the test over ssh must run (MAILTRIP_REQUIRE_REAL_SERVERS=1), but lacks {packages}")
        pytest.skip(f"not installed: {packages}")
    own = tmp_path_factory.mktemp("sshd")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", own / key], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if os.geteuid() == 0:  # which sshd wants for its unprivileged half
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    (own / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {own}/host\nAuthorizedKeysFile {own}/user.pub\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    (own / "known_hosts").write_text(f"[127.0.0.1]:{port} {(own / 'host.pub').read_text()}")
    (own / "ssh_config").write_text(
        f"Host berlin\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile {own}/user\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {own}/known_hosts\n  StrictHostKeyChecking yes\n  BatchMode yes\n"
    )
    # What our environment holds does not travel by ssh; here it stands for what is installed there.
    paths = shlex.quote(os.environ.get("PYTHONPATH", ""))
    (own / "python").write_text(f'#!/bin/sh\nPYTHONPATH={paths} exec {shlex.quote(sys.executable)} "$@"\n')
    (own / "python").chmod(0o755)
    with subprocess.Popen([SSHD, "-D", "-e", "-f", own / "sshd_config"], stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield Sshd(own / "ssh_config", own / "python", deployed(project, own / "deployed"))
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    until_s = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until_s:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as client:
            assert client.recv(4) == b"SSH-"
            return
        time.sleep(0.02)
    pytest.fail("sshd did not start")


def deployed(project: Project, folder: Path) -> Path:
    """A copy of the project, as it was brought to the location beforehand."""
    project.trips(3)
    shutil.copytree(project.pytester.path, folder, ignore=shutil.ignore_patterns("runpytest*"))
    return folder


def test_the_same_suite_runs_here_and_over_ssh(project: Project, sshd: Sshd) -> None:
    result = project.run("--dist=each", "--tx=popen//id=here", "--tx", sshd.gateway(), "--mailtrip-jsonl=out.jsonl")
    result.assert_outcomes(passed=6)
    records = [json.loads(line) for line in (project.pytester.path / "out.jsonl").read_text().splitlines()]
    ids = {f"many.trip.yaml::t{n:02}[{place}]" for n in range(3) for place in ("here", "berlin")}
    assert {record["id"] for record in records} == ids
    assert project.mails() == (6, 6)
    result.stdout.no_fnmatch_line("*mails that stay*")


def test_a_connection_that_breaks_fails_its_location_alone(project: Project, sshd: Sshd) -> None:
    (sshd.folder / "conftest.py").write_text(
        "import os, signal\n"
        "def pytest_runtest_call(item):\n"
        "    if item.name == 't01[berlin]':\n"
        "        os.kill(os.getppid(), signal.SIGKILL)\n"
    )
    result = project.run("--dist=each", "--tx=popen//id=here", "--tx", sshd.gateway())
    # The report of the trip before it may have been on the broken connection.
    assert result.parseoutcomes() in ({"passed": 4, "failed": 2}, {"passed": 3, "failed": 3})
    result.stdout.fnmatch_lines(["location berlin was lost: its process was ended, or the connection to it"])


def test_what_is_missing_at_a_location_is_said_before_anything_runs_there(project: Project, sshd: Sshd) -> None:
    nowhere = sshd.folder / "nowhere"
    result = project.run("--dist=each", "--tx=popen//id=here", "--tx", sshd.gateway(nowhere))
    result.assert_outcomes(passed=3, failed=3)
    result.stdout.fnmatch_lines([f"location berlin was lost: there is no folder {nowhere}"])
    assert not nowhere.exists()

    sshd.python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S "$@"\n')
    result = project.run("--dist=each", "--tx=popen//id=here", "--tx", sshd.gateway())
    result.stdout.fnmatch_lines(["location berlin was lost: pytest cannot be imported by *"])

    sshd.python.write_text("#!/bin/sh\nexit 1\n")
    result = project.run("--dist=each", "--tx=popen//id=here", "--tx", sshd.gateway())
    result.stdout.fnmatch_lines(["location berlin was lost: no Python answers there (*"])
