"""The status line of a waiting run: there on a terminal, nowhere else."""

import os
import pty
import select
import sys

import pytest

from mailtrip.live import columns, fitting, status_text
from mailtrip_checks.engine import Status
from tests.plugin.conftest import ALONE, Project


def on_a_terminal(project: Project, *args: str) -> str:
    """What a person's terminal receives."""
    pid, master = pty.fork()
    if pid == 0:  # pragma: no cover  (another process)
        os.chdir(project.pytester.path)
        environ = os.environ | {"TERM": "xterm", "COLUMNS": "120", "PY_COLORS": "1"}
        os.execve(sys.executable, [sys.executable, "-m", "pytest", *ALONE, *args], environ)
    received = b""
    while select.select([master], [], [], 60)[0]:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        received += data
    os.close(master)
    os.waitpid(pid, 0)
    return received.decode()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_terminal_shows_how_the_run_stands_while_it_waits(project: Project) -> None:
    project.servers.delivery_delay_s = 0.5
    project.trips(3)
    shown = on_a_terminal(project)
    assert "3 in flight, 0 arrived" in shown
    assert "3 passed" in shown
    # Wiped out before pytest goes on: the last thing written behind a line is an erasure.
    assert shown.rfind("\x1b[K") > shown.rfind("in flight")


def test_a_pipe_shows_nothing_of_it(project: Project) -> None:
    project.servers.delivery_delay_s = 0.3
    project.trips(2)
    result = project.run()
    result.assert_outcomes(passed=2)
    assert "in flight" not in result.stdout.str()
    assert "\x1b" not in result.stdout.str()


def test_the_line_says_what_is_known() -> None:
    assert status_text(Status(0, 2, 1, 0.2, "inbox", 3.6)) == " 2 in flight, 1 arrived, longest: inbox 4 s"
    assert status_text(Status(5, 0, 0, 0.0, "", 0.0)) == " 0 in flight, 0 arrived, 5 queued"
    assert status_text(Status(0, 7, 900, 45.4, "", 0.0)) == " 7 in flight, 900 arrived, 45/s"
    assert status_text(Status(0, 0, 4, 0.0, "", 0.0, 2)) == " 0 in flight, 4 arrived, 2 between runs"


@pytest.mark.parametrize(
    ("text", "room", "shown", "wide"),
    [
        ("inbox", 9, "inbox", 5),
        ("inbox", 3, "inb", 3),
        ("受信箱", 5, "受信", 4),
        ("re\u0301e", 3, "re\u0301e", 3),
        ("", 0, "", 0),
    ],
)
def test_the_line_is_cut_by_the_columns_that_it_takes(text: str, room: int, shown: str, wide: int) -> None:
    assert fitting(text, room) == shown
    assert columns(shown) == wide
