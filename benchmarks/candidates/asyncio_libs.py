"""Round trips with aiosmtplib and aioimaplib: four SMTP connections, one IMAP connection a mailbox, no pytest."""

import asyncio
import re
import uuid
from collections.abc import Iterator
from email.message import EmailMessage
from typing import cast

from aioimaplib import IMAP4
from aiosmtplib import SMTP

from benchmarks.work import PASSWORD, TOKEN_HEADER, Work

SENDERS = 4
LOOK_EVERY_S = 0.02
_UID = re.compile(rb"FETCH \(.*?UID (\d+)")


async def send(work: Work, numbers: Iterator[int]) -> None:
    """Send the mails with these numbers, which other senders take from too."""
    async with SMTP(hostname="127.0.0.1", port=work.smtp, start_tls=False) as smtp:
        for number in numbers:
            token = uuid.uuid4().hex
            message = EmailMessage()
            message["From"] = "probe@example.org"
            message["To"] = work.address(number)
            message["Subject"] = f"round trip {token}"
            message[TOKEN_HEADER] = token
            message.set_content("A round trip.\n")
            await smtp.send_message(message)


async def receive(work: Work, address: str, count: int) -> None:
    """Wait for so many mails in a mailbox, fetch and delete them."""
    imap = IMAP4(host="127.0.0.1", port=work.imap, timeout=60)
    await imap.wait_hello_from_server()
    await imap.login(address, PASSWORD)
    await imap.select("INBOX")
    first = 1
    while count > 0:
        await imap.noop()
        # Headers, then one mail at a time: its parser loses its way in long answers with literals.
        seen = await imap.uid("fetch", f"{first}:*", "(UID FLAGS)")
        lines = cast("list[bytes]", seen.lines)  # pyright: ignore[reportUnknownMemberType]  # it has no types
        uids = [int(uid) for line in lines for uid in _UID.findall(line) if int(uid) >= first]
        if not uids:
            await asyncio.sleep(LOOK_EVERY_S)
            continue
        for uid in uids:
            await imap.uid("fetch", str(uid), "(BODY.PEEK[])")
        named = ",".join(map(str, uids))
        await imap.uid("store", named, "+FLAGS.SILENT", r"(\Deleted)")
        await imap.uid("expunge", named)
        first = max(uids) + 1
        count -= len(uids)
    await imap.logout()


async def main() -> None:
    work = Work.load()
    numbers = iter(range(work.trips))
    share, more = divmod(work.trips, len(work.addresses))
    counts = {address: share + (place < more) for place, address in enumerate(work.addresses)}
    async with asyncio.TaskGroup() as tasks:
        for address, count in counts.items():
            if count:
                tasks.create_task(receive(work, address, count))
        for _ in range(min(SENDERS, work.trips)):
            tasks.create_task(send(work, numbers))


if __name__ == "__main__":
    asyncio.run(main())
