"""A command that prints an access token."""

import asyncio
import os
import signal
from contextlib import suppress

from mailtrip_checks.clock import Clock
from mailtrip_checks.errors import TokenFailed
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.trips import TokenCommand
from mailtrip_checks.wire.deadline import within

WITHIN_S = 30.0
_MOST_BYTES = 64 * 1024
_ADVICE = "Run the command by hand: it must print the token, and nothing else, to its standard output."


async def printed_token(source: TokenCommand, clock: Clock, masker: Masker) -> str:
    """What the command prints, without blanks around it; raises TokenFailed, or TimedOut after 30 s.

    It runs in the folder of the file that names it, with nothing to read, and is killed with its children when it takes
    too long. Of its arguments nothing is shown.
    """
    name = source.argv[0]
    try:
        process = await asyncio.create_subprocess_exec(
            *source.argv,
            cwd=source.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds a NUL"
        raise TokenFailed(f"the token command {name!r} cannot be run: {reason}", advice=_ADVICE) from error
    try:
        async with within(clock, WITHIN_S, f"the token command {name!r}"):
            out, err = await asyncio.gather(_read(process.stdout), _read(process.stderr))
            status = await process.wait()
    finally:
        await _end(process)
    token = out.decode("utf-8", "surrogateescape").strip()
    masker.add(Secret(token))  # before anything is shown: it may stand in what the command complains of
    if status:
        said = masker.mask(_first_line(err))
        how = f"ended with {status}" if status > 0 else f"was ended by signal {-status}"
        raise TokenFailed(f"the token command {name!r} {how}{said and f': {said}'}", advice=_ADVICE)
    if not token:
        raise TokenFailed(f"the token command {name!r} printed no token", advice=_ADVICE)
    return token


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    """All that comes; of an endless output only the beginning is kept."""
    kept = b""
    while stream and (chunk := await stream.read(_MOST_BYTES)):
        kept = (kept + chunk)[:_MOST_BYTES]
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what still runs, also what the command started, and wait until the command is gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        await asyncio.shield(process.wait())


def _first_line(output: bytes) -> str:
    lines = (line.strip() for line in output.decode("utf-8", "backslashreplace").split("\n"))
    return next((line for line in lines if line), "")
