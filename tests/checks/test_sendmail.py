"""Small programs in the place of sendmail."""

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from mailtrip_checks.clock import SystemClock
from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import Deferred, ProtocolError, Rejected, TripError, Unreachable
from mailtrip_checks.gates import Gates
from mailtrip_checks.sendmail import mail_program
from mailtrip_checks.smtp_pool import Dialogue
from mailtrip_checks.trips import Endpoint, Protocol, Security, Send, Until
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.smtp import Phase, Submission
from mailtrip_checks.wire.transcript import Stages

pytestmark = pytest.mark.asyncio

MAIL = b"Subject: a\r\n\r\n.\r\nend\r\n"
PATIENCE_S = 10


class Attempt:
    """One message handed to a program that is a shell script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.submission = Submission()
        self.network = Network(SystemClock())
        self.dialogue = Dialogue(Stages(self.network.clock, Leg.SMTP))

    def script(self, text: str) -> str:
        path = self.folder / "mail program"
        path.write_text(f"#!/bin/sh\ncd '{self.folder}'\n{text}\n")
        path.chmod(stat.S_IRWXU)
        return str(path)

    async def submit(self, *command: str) -> None:
        via = Endpoint("sendmail", Protocol.SENDMAIL, command[0], 0, Security.NONE, command=command)
        send = Send(via, "a@x.test", ("b@y.test", "c@y.test"), "a@x.test")
        async with mail_program(send, self.network, Gates(self.network.clock), self.dialogue) as program:
            await program.submit(send.sender, send.recipients, MAIL, Until.DATA, self.dialogue.stages, self.submission)

    async def run(self, script: str) -> None:
        await self.submit(self.script(script), "-i", "two words")

    @property
    def said(self) -> list[str]:
        return [f"{line.direction} {line.text}" for excerpt in self.dialogue.said for line in excerpt.lines()]


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path)


async def test_the_program_gets_the_mail_with_the_systems_line_ends_and_who_it_is_for(attempt: Attempt) -> None:
    await attempt.run('cat > mail; for one; do echo "$one"; done > argv')
    assert (attempt.folder / "mail").read_bytes() == MAIL.replace(b"\r\n", b"\n")
    argv = (attempt.folder / "argv").read_text().splitlines()
    assert argv == ["-i", "two words", "-f", "a@x.test", "--", "b@y.test", "c@y.test"]
    submission = attempt.submission
    assert submission.phase is Phase.ACCEPTED
    assert submission.mail_from_at_s is not None
    assert submission.accepted_at_s is not None
    assert submission.accepted_at_s > submission.mail_from_at_s
    assert [stage.name for stage in attempt.dialogue.stages.taken] == ["submit"]
    assert attempt.said[0].endswith("-i two words -f a@x.test -- b@y.test c@y.test")
    assert attempt.said[1:] == ["> (22 bytes of mail)", "< exit status 0"]
    assert attempt.dialogue.host.endswith("mail program")


async def test_a_program_that_does_not_read_may_accept_all_the_same(attempt: Attempt) -> None:
    await attempt.run("exit 0")
    assert attempt.submission.phase is Phase.ACCEPTED


@pytest.mark.parametrize(
    ("status", "error", "name", "phase"),
    [
        (75, Deferred, "EX_TEMPFAIL", Phase.IN_DATA),  # sendmail's own says so of a mail that it has queued
        (67, Rejected, "EX_NOUSER", Phase.NOT_SENT),
        (68, Rejected, "EX_NOHOST", Phase.NOT_SENT),
        (65, Rejected, "EX_DATAERR", Phase.NOT_SENT),
        (69, Rejected, "EX_UNAVAILABLE", Phase.NOT_SENT),
        (64, ProtocolError, "EX_USAGE", Phase.NOT_SENT),
        (78, ProtocolError, "EX_CONFIG", Phase.NOT_SENT),
    ],
)
async def test_an_exit_status_of_sysexits_tells_the_end(
    attempt: Attempt, status: int, error: type[TripError], name: str, phase: Phase
) -> None:
    with pytest.raises(error) as caught:
        await attempt.run(f"echo; echo '  no such luck' >&2; echo more; exit {status}")
    assert caught.value.reply == f"exit status {status} ({name}): no such luck / more"
    assert [(reply.command, reply.text) for reply in attempt.submission.replies] == [("sendmail", caught.value.reply)]
    assert (caught.value.leg, caught.value.stage) == (Leg.SMTP, "submit")
    assert (attempt.submission.phase, attempt.submission.accepted_at_s) == (phase, None)


async def test_any_other_exit_status_tells_nothing(attempt: Attempt) -> None:
    with pytest.raises(ProtocolError, match=r"failed: exit status 3$"):
        await attempt.run("exit 3")
    assert attempt.submission.phase is Phase.IN_DATA


async def test_the_signal_that_ended_it_is_named(attempt: Attempt) -> None:
    with pytest.raises(ProtocolError, match=r"failed: ended by signal 15$"):
        await attempt.run("kill -TERM $$")
    assert attempt.submission.phase is Phase.IN_DATA


async def test_of_what_it_says_only_the_beginning_is_told(attempt: Attempt) -> None:
    with pytest.raises(ProtocolError) as caught:
        await attempt.run("seq 100000; exit 3")
    assert caught.value.reply == "exit status 3: 1 / 2 / 3 / 4 / 5"


async def test_what_it_leaves_in_the_background_is_not_waited_for(attempt: Attempt) -> None:
    await asyncio.wait_for(attempt.run("sleep 60 & echo $! > pid"), PATIENCE_S)
    os.kill(int((attempt.folder / "pid").read_text()), 9)
    assert attempt.submission.phase is Phase.ACCEPTED


@pytest.mark.parametrize("starting", [False, True])
async def test_cancelled_it_is_ended_with_all_that_it_started(attempt: Attempt, starting: bool) -> None:
    os.mkfifo(attempt.folder / "started")
    running = asyncio.create_task(attempt.run("sleep 60 & echo $! $$ > started; wait"))
    while attempt.submission.phase is not Phase.IN_DATA:
        await asyncio.sleep(0)
    await asyncio.sleep(0)  # one turn more, in which it is started
    read = (attempt.folder / "started").read_text
    # Read here, the loop stands still: it knows of a process that it has not yet heard of.
    pids = (read() if starting else await asyncio.to_thread(read)).split()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S):
        while not all(ended(int(pid)) for pid in pids):
            await asyncio.sleep(0.001)
    assert attempt.submission.phase is Phase.IN_DATA


def ended(pid: int) -> bool:
    """Whether it is gone, or dead and waits only for its parent to hear of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_a_program_that_is_not_there_is_unreachable(attempt: Attempt) -> None:
    missing = str(attempt.folder / "missing")
    with pytest.raises(Unreachable, match=f"{missing} cannot be started: No such file or directory") as caught:
        await attempt.submit(missing, "-i")
    assert "command:" in caught.value.advice
    assert attempt.submission.phase is Phase.NOT_SENT


async def test_a_program_that_may_not_be_run_is_unreachable(attempt: Attempt) -> None:
    path = attempt.folder / "plain"
    path.write_text("")
    with pytest.raises(Unreachable, match="Permission denied"):
        await attempt.submit(str(path))


async def test_a_program_is_found_by_its_name(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{attempt.folder}:{os.environ['PATH']}")
    attempt.script("exit 0")
    await attempt.submit("mail program")
    assert attempt.submission.phase is Phase.ACCEPTED


async def test_an_argument_that_no_program_can_get_is_told(attempt: Attempt) -> None:
    with pytest.raises(Unreachable, match="cannot be started: embedded null byte"):
        await attempt.submit(sys.executable, "a\0b")
