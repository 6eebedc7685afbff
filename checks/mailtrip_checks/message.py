"""The mail that a trip sends."""

import re
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache
from mimetypes import guess_type

from mailtrip_checks.identity import HEADER, stamp
from mailtrip_checks.trips import Attachment, Send

SUBJECT = "mailtrip roundtrip:"
_LIFE_PAST_TIMEOUT_S = 3600
_OUR_OWN = ("message-id", "subject", "from", "to", HEADER.lower())
_FILLER = b"pytest-mailtrip. " * 4 + b"\r\n"
_TEXT = "A round trip of pytest-mailtrip. Nobody needs to read it.\n"
_SEVEN_BIT = SMTP.clone(cte_type="7bit")  # no server on the way needs 8BITMIME, and none has to recode it
_WIDTH = 78  # RFC 5322 §2.1.1
_LONGEST_WORD = 900  # a line may have 998 characters, and plain text can only be folded at its blanks
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")
_FIELD_NAME = re.compile(r"[!-9;-~]+")
_DOMAIN = re.compile(r"[A-Za-z0-9.-]+")
_FOLD = "\r\n "


def compose(send: Send, token: str, key: bytes, *, wall_s: float, expires_after_s: float | None) -> bytes:
    """The message with CRLF line ends. `wall_s` is the Unix time now.

    An hour after `expires_after_s` seconds the next run may remove it; with None no run may. Building an EmailMessage
    costs a millisecond, so all that does not change from one mail to the next is built once.
    """
    expires = None if expires_after_s is None else int(wall_s + expires_after_s + _LIFE_PAST_TIMEOUT_S)
    date = f"Date: {format_datetime(datetime.fromtimestamp(wall_s, UTC))}\r\n"
    if any(name.lower() == "date" for name, _ in send.headers):
        date = ""
    head = (
        f"{HEADER}: {stamp(token, expires, key)}\r\n"
        f"Message-ID: {message_id(send, token)}\r\n"
        f"{date}"
        f"From: {_one_line(send.header_from)}\r\n"
        f"To: {f',{_FOLD}'.join(map(_one_line, send.recipients))}\r\n"
        f"Subject: {_subject(send.subject, f'{SUBJECT} {{{token}}}')}\r\n"
    )
    return head.encode() + _rest(send.headers, send.text, send.html, send.attachments)


def message_id(send: Send, token: str) -> str:
    """`<token@domain>`, in the domain of the envelope's sender."""
    domain = send.sender.rpartition("@")[2]
    return f"<{token.lower()}@{domain if _DOMAIN.fullmatch(domain) else 'mailtrip.invalid'}>"


def _one_line(text: str) -> str:
    """The text without what could end a header line, or begin another."""
    return _CONTROL.sub(" ", text).strip()


def _subject(text: str, ours: str) -> str:
    """The author's text and then our words, which stay plain so that a person can search for them."""
    text = _one_line(text)
    if not text:
        return ours
    plain = text.isascii() and "=?" not in text and max(map(len, text.split())) <= _LONGEST_WORD
    folded = Header(text, "us-ascii" if plain else "utf-8", header_name="Subject").encode(linesep="\r\n")
    last = folded.rpartition("\r\n")[2] if "\r\n" in folded else f"Subject: {folded}"
    return folded + (" " if len(last) + 1 + len(ours) <= _WIDTH else _FOLD) + ours


@lru_cache(maxsize=64)
def _rest(
    headers: tuple[tuple[str, str | None], ...], text: str | None, html: str | None, attachments: tuple[Attachment, ...]
) -> bytes:
    """The end of the header, and the body: what is the same in one mail and the next."""
    message = EmailMessage(policy=_SEVEN_BIT)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5.2: no vacation note answers it
    message.set_content(_TEXT if text is None else _encodable(text))
    if html is not None:
        message.add_alternative(_encodable(html), subtype="html")
    for attachment in attachments:
        _attach(message, attachment)
    for name, value in headers:
        if name.lower() in _OUR_OWN or not _FIELD_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be set among the headers of a mail")
        del message[name]
        if value is not None:
            message[name] = _one_line(value)
    return message.as_bytes()


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    if attachment.path is not None:
        content = attachment.path.read_bytes()
    else:
        content = (_FILLER * (attachment.size_bytes // len(_FILLER) + 1))[: attachment.size_bytes]
    name = _one_line(attachment.name)
    kind, coding = guess_type(name)
    maintype, _, subtype = (kind or "").partition("/")
    if coding or maintype in ("", "message", "multipart"):  # RFC 2046 §5.1, §5.2: those cannot be base64
        maintype, subtype = "application", "octet-stream"
    message.add_attachment(content, maintype=maintype, subtype=subtype, filename=name)
