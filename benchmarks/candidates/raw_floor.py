"""The least that round trips can cost in Python: asyncio streams, commands sent ahead, templates of bytes.

No timeouts, no checks, no evidence: nobody should run this. Four SMTP connections share the sending, a mailbox has one
IMAP connection that fetches and deletes whatever came since the last look.
"""

import asyncio
import re
import uuid
from collections.abc import Iterator
from contextlib import suppress

from benchmarks.work import PASSWORD, TOKEN_HEADER, Work

SENDERS = 4
LOOK_EVERY_S = 0.02
_UID = re.compile(rb"UID (\d+)")
_TOKEN = re.compile(rb"^" + TOKEN_HEADER.encode() + rb": (\w+)", re.M)
_MAIL = (
    f"{TOKEN_HEADER}: %s\r\nMessage-ID: <%s@example.org>\r\nFrom: probe@example.org\r\nTo: %s\r\n"
    f"Subject: round trip %s\r\n\r\nA round trip.\r\n.\r\n"
)


async def send(work: Work, numbers: Iterator[int]) -> None:
    """Send the mails with these numbers, which other senders take from too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", work.smtp)
    await reader.readline()
    writer.write(b"EHLO localhost\r\n")
    while (await reader.readline())[3:4] == b"-":
        pass
    for number in numbers:
        address, token = work.address(number), uuid.uuid4().hex
        writer.write(f"MAIL FROM:<probe@example.org>\r\nRCPT TO:<{address}>\r\nDATA\r\n".encode())
        for _ in range(3):
            await reader.readline()
        writer.write((_MAIL % (token, token, address, token)).encode())
        reply = await reader.readline()
        assert reply.startswith(b"250"), reply
    writer.write(b"QUIT\r\n")
    writer.close()


class Mailbox:
    """One IMAP connection."""

    def __init__(self, work: Work, address: str) -> None:
        self._work = work
        self._address = address
        self._tags = 0

    async def receive(self, count: int) -> None:
        """Wait for so many mails, fetch and delete them."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._work.imap)
        await self._reader.readline()
        await self._say(f'LOGIN {self._address} "{PASSWORD}"')
        await self._say("SELECT INBOX")
        first, tokens = 1, set[bytes]()
        while len(tokens) < count:
            lines = await self._say(f"UID FETCH {first}:* (UID BODY.PEEK[])")
            uids = [int(uid) for uid in _UID.findall(lines) if int(uid) >= first]
            tokens.update(_TOKEN.findall(lines))
            if uids:
                first = max(uids) + 1
                named = ",".join(map(str, uids))
                await self._say(f"UID STORE {named} +FLAGS.SILENT (\\Deleted)", f"UID EXPUNGE {named}")
            else:
                await asyncio.sleep(LOOK_EVERY_S)
                await self._say("NOOP")
        await self._say("LOGOUT")
        self._writer.close()

    async def _say(self, *commands: str) -> bytes:
        """Send commands at once; gives all that the server said until it answered the last."""
        for command in commands:
            self._tags += 1
            self._writer.write(f"A{self._tags} {command}\r\n".encode())
        last, said = f"A{self._tags} ".encode(), b""
        while True:
            line = await self._reader.readline()
            said += line
            if line.startswith(last) or not line:
                return said


async def main() -> None:
    work = Work.load()
    numbers = iter(range(work.trips))
    share, more = divmod(work.trips, len(work.addresses))
    counts = {address: share + (place < more) for place, address in enumerate(work.addresses)}
    async with asyncio.TaskGroup() as tasks:
        for address, count in counts.items():
            if count:
                tasks.create_task(Mailbox(work, address).receive(count))
        for _ in range(min(SENDERS, work.trips)):
            tasks.create_task(send(work, numbers))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
