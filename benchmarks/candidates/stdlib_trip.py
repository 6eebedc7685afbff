"""A round trip with smtplib and imaplib, and the script that makes one after another."""

import imaplib
import smtplib
import time
import uuid
from email.message import EmailMessage

from benchmarks.work import GIVE_UP_S, PASSWORD, TOKEN_HEADER, Work

LOOK_EVERY_S = 0.02


def round_trip(work: Work, number: int) -> float:
    """Send, wait for the mail, delete it; gives how long that took in seconds."""
    address, token = work.address(number), uuid.uuid4().hex
    message = EmailMessage()
    message["From"] = "probe@example.org"
    message["To"] = address
    message["Subject"] = f"round trip {token}"
    message[TOKEN_HEADER] = token
    message.set_content("A round trip.\n")
    began_s = time.perf_counter()
    with smtplib.SMTP("127.0.0.1", work.smtp) as smtp:
        smtp.send_message(message)
    with imaplib.IMAP4("127.0.0.1", work.imap) as imap:
        imap.login(address, PASSWORD)
        imap.select("INBOX")
        while not (uids := _found(imap, token)):
            if time.perf_counter() > began_s + GIVE_UP_S:
                raise TimeoutError(f"the mail {token} did not come")
            time.sleep(LOOK_EVERY_S)
        took_s = time.perf_counter() - began_s
        imap.uid("FETCH", uids, "(BODY.PEEK[])")
        imap.uid("STORE", uids, "+FLAGS", r"(\Deleted)")
        imap.uid("EXPUNGE", uids)
    return took_s


def _found(imap: imaplib.IMAP4, token: str) -> str:
    imap.noop()
    uids: list[bytes] = imap.uid("SEARCH", "HEADER", TOKEN_HEADER, token)[1]
    return uids[0].decode()


def main() -> None:
    work = Work.load()
    for number in range(work.trips):
        round_trip(work, number)


if __name__ == "__main__":
    main()
