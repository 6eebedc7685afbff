"""Waiting for mail on an open folder: IDLE (RFC 2177) where the server has it, listening alone where it has not."""

import asyncio

from mailtrip_checks.wire.imap_dialogue import Dialogue
from mailtrip_checks.wire.imap_parser import Continuation, Data, Status


async def idle(dialogue: Dialogue, for_s: float, wake: asyncio.Event) -> bool:
    """Wait until `exists` rises (True), or `for_s` seconds have passed or `wake` is set (False).

    A server that refuses IDLE is not asked again. A wait that is cancelled leaves the dialogue broken.
    """
    rises = dialogue.rises
    tag = await _begin(dialogue)
    idling = tag is not None
    if dialogue.rises == rises:
        idling = await _listen(dialogue, tag, for_s, wake) and idling
    if tag is not None and idling:
        await _end(dialogue, tag)
    return dialogue.rises > rises


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


async def _listen(dialogue: Dialogue, tag: str | None, for_s: float, wake: asyncio.Event) -> bool:
    """Read until a mail comes, the time is over or `wake` is set; False where the server ended the IDLE by itself."""
    async with dialogue.unbounded("waiting for mail"):
        reader = asyncio.create_task(_until_rise(dialogue, tag))
        tasks: list[asyncio.Task[object]] = [
            reader,
            asyncio.create_task(dialogue.clock.sleep(for_s)),
            asyncio.create_task(wake.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return reader.cancelled() or reader.result()


async def _until_rise(dialogue: Dialogue, tag: str | None) -> bool:
    doing = "waiting for mail"
    rises = dialogue.rises
    while dialogue.rises == rises:
        response = await dialogue.next(doing)
        if isinstance(response, Status) and response.tag is not None:
            dialogue.check_tag(doing, tag, response)
            return False
    return True
