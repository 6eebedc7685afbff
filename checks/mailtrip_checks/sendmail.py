"""The local mail program as the sender: what `sendmail` is on every Unix, and what stands in for it elsewhere."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from tempfile import TemporaryFile
from typing import IO

from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import Deferred, ProtocolError, Rejected, TripError, Unreachable
from mailtrip_checks.gates import Gates
from mailtrip_checks.outcome import Reply
from mailtrip_checks.smtp_pool import Dialogue
from mailtrip_checks.trips import Send, Until
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.smtp import Phase, Submission
from mailtrip_checks.wire.transcript import Stages, Transcript

_SAID_BYTES = 2_000  # of what the program says, that are kept
_SAID_LINES = 5
_SYSEXITS = {
    64: "EX_USAGE",
    65: "EX_DATAERR",
    66: "EX_NOINPUT",
    67: "EX_NOUSER",
    68: "EX_NOHOST",
    69: "EX_UNAVAILABLE",
    70: "EX_SOFTWARE",
    71: "EX_OSERR",
    72: "EX_OSFILE",
    73: "EX_CANTCREAT",
    74: "EX_IOERR",
    75: "EX_TEMPFAIL",
    76: "EX_PROTOCOL",
    77: "EX_NOPERM",
    78: "EX_CONFIG",
}
_DEFERS = "EX_TEMPFAIL"
_REJECTS = frozenset({"EX_DATAERR", "EX_NOUSER", "EX_NOHOST", "EX_UNAVAILABLE"})


class MailProgram:
    """Runs `command -f sender -- recipients` for each message, which it gets on standard input."""

    def __init__(self, command: tuple[str, ...], network: Network, transcript: Transcript) -> None:
        self._command = command
        self._network = network
        self._transcript = transcript

    async def submit(
        self,
        sender: str,
        recipients: Sequence[str],
        message: bytes,
        until: Until,
        stages: Stages,
        submission: Submission,
    ) -> None:
        """The message is accepted once the program ends with 0. Stage `submit`; `until` is always the message.

        Raises Deferred for EX_TEMPFAIL, Rejected for EX_NOUSER, EX_NOHOST, EX_DATAERR and EX_UNAVAILABLE, ProtocolError
        for any other end, Unreachable where it cannot be started. Cancelled, it ends the program with all that this
        started, and the message stays IN_DATA: it may have been taken.
        """
        # Its standard output and error are a file: what it leaves running in the background would keep a pipe open.
        with stages.of("submit"), TemporaryFile() as mail, TemporaryFile() as said:
            mail.write(message.replace(b"\r\n", b"\n"))  # on this side of a mail server lines end as the system's do
            mail.seek(0)
            submission.mail_from_at_s = self._network.clock.now()
            status = await self._run((*self._command, "-f", sender, "--", *recipients), mail, said, submission)
            ended_at_s = self._network.clock.now()
            self._transcript.sent(f"({len(message)} bytes of mail)")
            text = self._network.masker.mask(_told(status, said))
            self._transcript.received(text)
            submission.replies.append(Reply(Leg.SMTP, "sendmail", text))
            if error := self._failure(status, text):
                # Who gave a status of his own has not taken the mail, unless it is queued: then it may still come.
                submission.phase = Phase.IN_DATA if _taken_perhaps(status) else Phase.NOT_SENT
                raise error
            submission.phase, submission.accepted_at_s = Phase.ACCEPTED, ended_at_s

    async def _run(self, argv: tuple[str, ...], mail: IO[bytes], said: IO[bytes], submission: Submission) -> int:
        self._transcript.sent(" ".join(argv))
        # Before it starts: it may have taken the mail before we hear that it runs.
        submission.phase = Phase.IN_DATA
        starting = asyncio.create_task(
            asyncio.create_subprocess_exec(*argv, stdin=mail, stdout=said, stderr=said, start_new_session=True)
        )
        try:
            # A task of its own: cancelled in its start, asyncio ends the program but not what it has started.
            process = await asyncio.shield(starting)
            return await process.wait()
        except (OSError, ValueError) as error:
            submission.phase = Phase.NOT_SENT
            reason = error.strerror if isinstance(error, OSError) else str(error)
            what = f"the mail program {argv[0]} cannot be started: {reason}"
            advice = "Install a mail program, or name the one there is: `{protocol: sendmail, command: [PATH, -i]}`."
            raise Unreachable(what, advice=advice) from error
        finally:
            await asyncio.wait([starting])
            if not starting.exception() and (process := starting.result()).returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    def _failure(self, status: int, text: str) -> TripError | None:
        program = self._command[0]
        name = _SYSEXITS.get(status, "")
        if status == 0:
            return None
        if name == _DEFERS:
            return Deferred(f"{program} deferred the message", reply=text)
        if name in _REJECTS:
            return Rejected(f"{program} rejected the message", reply=text)
        advice = "Try the command by hand, and look into the mail log."
        return ProtocolError(f"{program} failed: {_end(status)}", reply=text, advice=advice)


@asynccontextmanager
async def mail_program(send: Send, network: Network, gates: Gates, dialogue: Dialogue) -> AsyncGenerator[MailProgram]:
    """The program of `send.via`, once `rate` and `connections` let one more of it run."""
    await gates.turn_to_send(send.via)
    transcript = Transcript(network.clock, Leg.SMTP, network.masker)
    dialogue.follows(transcript)
    dialogue.host = send.via.host
    async with gates.connection(send.via):
        yield MailProgram(send.via.command, network, transcript)


def _end(status: int) -> str:
    if status < 0:
        return f"ended by signal {-status}"
    name = _SYSEXITS.get(status)
    return f"exit status {status}" + (f" ({name})" if name else "")


def _told(status: int, said: IO[bytes]) -> str:
    """How it ended, and the first lines that it said."""
    said.seek(0)
    lines = said.read(_SAID_BYTES).decode("utf-8", "replace").split("\n")
    first = " / ".join(line.strip() for line in lines[:_SAID_LINES] if line.strip())
    return f"{_end(status)}: {first}" if first else _end(status)


def _taken_perhaps(status: int) -> bool:
    name = _SYSEXITS.get(status)
    return name is None or name == _DEFERS
