"""The mail that is sent is the one that its author described, bears our token, and carries nothing else."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, message_from_string
from email.message import EmailMessage
from email.policy import SMTPUTF8, default
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailtrip_checks.headers import decoded, fields
from mailtrip_checks.identity import Kind, Sighting, new_token, sight
from mailtrip_checks.message import SUBJECT, compose
from mailtrip_checks.trips import Attachment, Endpoint, Protocol, Security, Send

KEY = b"the key of this installation"
TOKEN = "0123ABCD-4567-89AB-CDEF-0123456789AB"
WALL_S = 1_800_000_000.5
VIA = Endpoint("out", Protocol.SMTP, "mail.example.org", 25, Security.NONE)
SEND = Send(VIA, "probe@example.org", ("you@example.com",), "probe@example.org")


def composed(send: Send = SEND) -> bytes:
    return compose(send, TOKEN, KEY, wall_s=WALL_S, expires_after_s=300)


def parsed(mail: bytes) -> EmailMessage:
    message = message_from_bytes(mail, policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def lines(mail: bytes) -> list[bytes]:
    """The lines of a mail whose line ends are all CRLF."""
    found = mail.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in found)
    assert found[-1] == b""
    return found


def header_lines(mail: bytes) -> list[bytes]:
    return lines(mail)[: lines(mail).index(b"")]


def test_the_smallest_mail_has_what_a_mail_needs() -> None:
    message = parsed(composed())
    assert message["From"] == "probe@example.org"
    assert message["To"] == "you@example.com"
    assert message["Subject"] == f"{SUBJECT} {{{TOKEN}}}"
    assert message["Message-ID"] == f"<{TOKEN.lower()}@example.org>"
    assert message["Date"].datetime == datetime.fromtimestamp(int(WALL_S), UTC)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["MIME-Version"] == "1.0"
    assert "pytest-mailtrip" in message.get_content()
    assert len(message.keys()) == len({name.lower() for name in message})


def test_what_was_composed_is_ours_and_expires_an_hour_after_its_timeouts() -> None:
    assert sight(composed(), KEY) == Sighting(Kind.OURS, TOKEN, 1_800_000_000 + 300 + 3600)
    stays = compose(SEND, TOKEN, KEY, wall_s=WALL_S, expires_after_s=None)
    assert sight(stays, KEY) == Sighting(Kind.OURS, TOKEN, None)


subjects = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(subjects)
@example("Ticket 42")
@example("Grüße aus Köln " * 20)
@example("two  blanks   and\ttabs")
@example("=?utf-8?q?no_word?=")
@example("long " * 400)
@example("x" * 5_000)
@example("a; b, c" * 50)
@example("From: me\r\nBcc: everybody@example.com")
@example("a\n\nbody")
@example("a\rX-Mailtrip: forged")
@example("{" + new_token() + "}")
@example("x\u2028y\x85z\x0bw")
@example(" ")
def test_any_subject_comes_before_the_token_in_lines_that_any_server_takes(subject: str) -> None:
    mail = composed(replace(SEND, subject=subject))
    assert sight(mail, KEY) == Sighting(Kind.OURS, TOKEN, 1_800_003_900)
    assert [name for name, _ in fields(mail)] == [name for name, _ in fields(composed())]
    [value] = [value for name, value in fields(mail) if name == "subject"]
    assert value.endswith(f"{SUBJECT} {{{TOKEN}}}")
    assert max(map(len, header_lines(mail))) <= 998
    if all(len(word) < 60 for word in subject.split()) or not subject.isascii():
        beside = [line for line in header_lines(mail) if not line.startswith(b"X-Mailtrip")]
        assert max(map(len, beside)) <= 78
    assert all(line.isascii() and line.strip() for line in header_lines(mail))
    shown = parsed(mail)["Subject"]
    assert "".join(shown.split()).endswith("".join(f"{SUBJECT} {{{TOKEN}}}".split()))


words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=15)


@given(st.lists(words, min_size=1, max_size=30))
def test_the_authors_text_is_read_back_as_it_was_written(words: list[str]) -> None:
    text = " ".join(words)
    [value] = [value for name, value in fields(composed(replace(SEND, subject=text))) if name == "subject"]
    assert decoded(value) == f"{text} {SUBJECT} {{{TOKEN}}}"


def test_text_html_and_attachments_come_back_whole(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(bytes(range(256)))
    send = replace(
        SEND,
        text="Guten Tag\nGrüße\n",
        html="<p>Grüße</p>\n",
        attachments=(Attachment("Übersicht.pdf", tmp_path / "scan.pdf"), Attachment("big.bin", None, 100_000)),
    )
    mail = composed(send)
    assert max(map(len, lines(mail))) <= 998
    message = parsed(mail)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content() == "Guten Tag\r\nGrüße\r\n"
    assert html.get_content() == "<p>Grüße</p>\r\n"
    scan, big = message.iter_attachments()
    assert (scan.get_filename(), scan.get_content_type()) == ("Übersicht.pdf", "application/pdf")
    assert scan.get_content() == bytes(range(256))
    assert (big.get_filename(), len(big.get_content())) == ("big.bin", 100_000)


@pytest.mark.parametrize("size_bytes", [0, 1, 69, 70, 71, 12_345])
def test_a_filler_has_exactly_its_size(size_bytes: int) -> None:
    [filler] = parsed(composed(replace(SEND, attachments=(Attachment("f.bin", None, size_bytes),)))).iter_attachments()
    assert len(filler.get_content()) == size_bytes


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.pdf", "application/pdf"),
        ("a.txt", "text/plain"),
        ("a.eml", "application/octet-stream"),
        ("a.tar.gz", "application/octet-stream"),
        ("a.mht", "application/octet-stream"),
        ("no-ending", "application/octet-stream"),
        ("a\r\nBcc: b.pdf", "application/pdf"),
    ],
)
def test_an_attachments_type_follows_its_name_where_it_can_be_base64(name: str, content_type: str) -> None:
    mail = composed(replace(SEND, attachments=(Attachment(name, None, 100),)))
    lines(mail)
    [attachment] = parsed(mail).iter_attachments()
    assert attachment.get_content_type() == content_type
    assert attachment["Content-Transfer-Encoding"] == "base64"
    assert attachment.keys() == ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "MIME-Version"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("x" * 2_000)
@example("bare CR\r, bare LF\n, CRLF\r\n and none")
@example(".\n..\n.\r\n")
@example("From me\nto you")
@example("")
def test_any_text_goes_as_lines_of_seven_bits_that_end_in_crlf(text: str) -> None:
    mail = composed(replace(SEND, text=text, html=text))
    assert mail.isascii()
    assert max(map(len, lines(mail))) <= 998
    body = parsed(mail).get_body(("plain",))
    assert body is not None
    kept = body.get_content().replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    assert kept == text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def test_a_header_of_the_author_is_added_replaces_ours_or_removes_it() -> None:
    send = replace(SEND, headers=(("X-A", "b"), ("auto-submitted", None), ("X-Ü".replace("Ü", "U"), "Grüße")))
    message = parsed(composed(send))
    assert (message["X-A"], message["X-U"]) == ("b", "Grüße")
    assert message["Auto-Submitted"] is None
    replaced = parsed(composed(replace(SEND, headers=(("Auto-Submitted", "no"), ("Precedence", "bulk")))))
    assert replaced.get_all("Auto-Submitted") == ["no"]
    assert replaced["Precedence"] == "bulk"


def test_the_date_is_the_authors_where_he_gives_one() -> None:
    date = "Mon, 01 Jan 2001 00:00:00 +0100"
    assert parsed(composed(replace(SEND, headers=(("Date", date),)))).get_all("Date") == [date]
    assert parsed(composed(replace(SEND, headers=(("DATE", None),)))).get_all("Date") is None


@pytest.mark.parametrize(
    "name", ["X-Mailtrip", "x-mailtrip", "Message-ID", "Subject", "From", "TO", "X A", "X:A", "X\r\nA", "", "Ä"]
)
def test_a_name_that_would_break_the_mail_or_hide_it_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be set"):
        composed(replace(SEND, headers=((name, "value"),)))


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("a\r\nBcc: everybody@example.com")
@example("a\r\n\r\nbody")
@example("\n")
@example("a\x85b\u2028c\x1cd")
@example("y" * 3_000)
def test_no_value_of_a_header_begins_another(value: str) -> None:
    plain = [name for name, _ in fields(composed())]
    mail = composed(replace(SEND, headers=(("X-A", value),)))
    assert sorted(name for name, _ in fields(mail)) == sorted([*plain, "x-a"])
    assert max(map(len, header_lines(mail))) <= 998
    assert sight(mail, KEY) == Sighting(Kind.OURS, TOKEN, 1_800_003_900)


@pytest.mark.parametrize("harm", ["a@b\r\nBcc: c@d", "a@b\nX-Mailtrip: forged", "a@b>\r\n\r\nbody", "a@b\u2028c"])
def test_no_address_begins_another_field(harm: str) -> None:
    plain = [name for name, _ in fields(composed())]
    mail = composed(replace(SEND, sender=harm, header_from=harm, recipients=(harm, harm)))
    assert [name for name, _ in fields(mail)] == plain


@pytest.mark.parametrize("sender", ["", "probe@[192.0.2.1]", "probe@exämple.org", "a@b>c", "a@"])
def test_a_sender_without_an_ascii_domain_gets_a_message_id_all_the_same(sender: str) -> None:
    assert parsed(composed(replace(SEND, sender=sender)))["Message-ID"] == f"<{TOKEN.lower()}@mailtrip.invalid>"


@pytest.mark.parametrize(
    "addresses",
    [
        ("a@example.com", "b@example.com"),
        ('"a b"@example.com', '"a\\"b, c"@example.com'),
        ("a+b!#$%&'*/=?^_`{|}~@example.com",),
        ("a@[192.0.2.1]", "a@[IPv6:2001:db8::1]"),
        ("x" * 64 + "@" + ".".join(["y" * 60] * 4) + ".example",),
        tuple(f"user-{number}@example.com" for number in range(200)),
        ("jürgen@exämple.org", "用户@例子.公司"),
    ],
    ids=["two", "quoted", "special", "literal", "long", "many", "international"],
)
def test_addresses_stand_in_the_header_as_in_the_envelope(addresses: tuple[str, ...]) -> None:
    mail = composed(replace(SEND, header_from=addresses[0], recipients=addresses))
    assert max(map(len, header_lines(mail))) <= 998
    assert dict(fields(mail))["from"] == addresses[0]
    message = message_from_string(mail.decode(), policy=SMTPUTF8)
    assert [address.addr_spec for address in message["To"].addresses] == list(addresses)


def test_only_international_addresses_need_more_than_ascii() -> None:
    assert composed(replace(SEND, subject="Grüße", text="Grüße", headers=(("X-A", "Grüße"),))).isascii()
    assert not composed(replace(SEND, header_from="jürgen@exämple.org")).isascii()


def test_a_thousand_mails_take_less_than_a_hundredth_of_a_second_each() -> None:
    began_at_s = time.process_time()
    for number in range(1_000):
        send = replace(SEND, recipients=(f"user-{number}@example.com",))
        compose(send, new_token(), KEY, wall_s=WALL_S, expires_after_s=1)
    assert time.process_time() - began_at_s < 1


def test_characters_that_utf_8_does_not_have_are_replaced() -> None:
    send = replace(SEND, subject="a\ud800b", text="c\udcffd", html="e\udcfff", headers=(("X-A", "g\udcffh"),))
    mail = composed(send)
    assert parsed(mail)["X-A"] == "g h"
    assert b"c?d" in mail
    assert b"e?f" in mail
