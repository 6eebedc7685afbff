"""The mail that a trip sends."""

from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from functools import lru_cache
from mimetypes import guess_type

from mailtrip_checks.identity import HEADER, stamp
from mailtrip_checks.trips import Attachment, Send

SUBJECT = "mailtrip roundtrip:"
_LIFE_PAST_TIMEOUT_S = 3600
_OUR_OWN = ("message-id", "subject", "date", HEADER.lower())
_FILLER = b"pytest-mailtrip. " * 4 + b"\r\n"


def compose(send: Send, token: str, key: bytes, *, wall_s: float, expires_after_s: float | None) -> bytes:
    """The message with CRLF line ends. `wall_s` is the Unix time now.

    An hour after `expires_after_s` seconds the next run may remove it; with None no run may. Building an EmailMessage
    costs a millisecond, so all that does not change from one mail to the next is built once.
    """
    expires = None if expires_after_s is None else int(wall_s + expires_after_s + _LIFE_PAST_TIMEOUT_S)
    domain = send.sender.rpartition("@")[2] or "mailtrip.invalid"
    subject, rest = _template(send)
    head = (
        f"{HEADER}: {stamp(token, expires, key)}\r\n"
        f"Message-ID: <{token.lower()}@{domain}>\r\n"
        f"Date: {format_datetime(datetime.fromtimestamp(wall_s, UTC))}\r\n"
        f"Subject: {subject}{SUBJECT} {{{token}}}\r\n"
    )
    return head.encode() + rest


@lru_cache(maxsize=1024)
def _template(send: Send) -> tuple[str, bytes]:
    """The encoded text before the token, and the message without the fields that differ from mail to mail."""
    international = not all(address.isascii() for address in (send.sender, send.header_from, *send.recipients))
    message = EmailMessage(policy=SMTPUTF8 if international else SMTP)
    message["From"] = send.header_from
    message["To"] = ", ".join(send.recipients)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5.2: no vacation note answers it
    message.set_content(
        send.text if send.text is not None else "A round trip of pytest-mailtrip. Nobody needs to read it.\n"
    )
    if send.html is not None:
        message.add_alternative(send.html, subtype="html")
    for attachment in send.attachments:
        _attach(message, attachment)
    for name, value in send.headers:
        if name.lower() not in _OUR_OWN:
            del message[name]
            if value is not None:
                message[name] = value
    return _subject_text(send.subject), message.as_bytes()


def _subject_text(text: str) -> str:
    if not text:
        return ""
    return (
        f"{text} " if text.isascii() else Header(text, "utf-8", header_name="Subject").encode(linesep="\r\n") + "\r\n "
    )


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    if attachment.path is not None:
        content = attachment.path.read_bytes()
    else:
        content = (_FILLER * (attachment.size_bytes // len(_FILLER) + 1))[: attachment.size_bytes]
    maintype, _, subtype = (guess_type(attachment.name)[0] or "application/octet-stream").partition("/")
    message.add_attachment(content, maintype=maintype, subtype=subtype, filename=attachment.name)
