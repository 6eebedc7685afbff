"""Waiting on an open folder: IDLE (RFC 2177) where the server has it, listening alone where it has not."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from mailtrip_checks.wire.imap_dialogue import Dialogue
from mailtrip_checks.wire.imap_parser import Continuation, Data, Status


async def idle(dialogue: Dialogue, until_s: Callable[[], float], wake: asyncio.Event) -> bool:
    """Wait until the instant that `until_s` names, asked anew whenever the server tells something or `wake` is set.

    False where the server did not bear the wait so long: it ended the IDLE by itself. One that refuses IDLE is not
    asked again. A wait that is cancelled leaves the dialogue broken.
    """
    tag = await _begin(dialogue)
    idling = await _listen(dialogue, tag, until_s, wake)
    if tag is not None and idling:
        await _end(dialogue, tag)
    return idling


async def _begin(dialogue: Dialogue) -> str | None:
    """The tag of an IDLE that the server has taken up, or None."""
    if dialogue.idle_refused or "IDLE" not in (dialogue.capabilities or ()):
        return None
    doing = "beginning IDLE"
    tag = dialogue.new_tag()
    async with dialogue.step(doing):
        dialogue.send(f"{tag} IDLE\r\n".encode("ascii"))
        while True:
            match await dialogue.next(doing):
                case Continuation():
                    return tag
                case Status(tag=str()) as status:
                    dialogue.check_tag(doing, tag, status)
                    dialogue.idle_refused = True
                    return None
                case Status() | Data():
                    pass


async def _end(dialogue: Dialogue, tag: str) -> None:
    doing = "ending IDLE"
    async with dialogue.step(doing):
        dialogue.send(b"DONE\r\n")
        await dialogue.finish(doing, tag)


async def _listen(dialogue: Dialogue, tag: str | None, until_s: Callable[[], float], wake: asyncio.Event) -> bool:
    """Read, and wait; False where the server ended the IDLE by itself."""
    doing = "waiting for mail"
    async with dialogue.unbounded(doing):
        with dialogue.stream.ringing(wake):
            while True:
                wake.clear()
                while (response := dialogue.ready(doing)) is not None:
                    if isinstance(response, Status) and response.tag is not None:
                        dialogue.check_tag(doing, tag, response)
                        return False
                instant_s = until_s()
                if instant_s <= dialogue.clock.now():
                    return True
                with suppress(TimeoutError):
                    async with dialogue.clock.timeout_at(instant_s):
                        await wake.wait()
