"""What is not proved ours is never touched."""

import base64
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks import identity
from mailtrip_checks.identity import Kind, Sighting, counts_as_arrival, installation_key, may_delete, new_token, sight
from mailtrip_checks.trips import Match

KEY = b"the key of this installation"
TOKEN = "0123ABCD-4567-89AB-CDEF-0123456789AB"
OTHER = "FFFFFFFF-4567-89AB-CDEF-0123456789AB"
STAMP = identity.stamp(TOKEN, 1_800_003_600, KEY)
SUBJECT = f"mailtrip roundtrip: {{{TOKEN}}}"
MESSAGE_ID = f"<{TOKEN.lower()}@example.org>"
OURS = Sighting(Kind.OURS, TOKEN, 1_800_003_600)


def header(
    *lines: str, stamp: str | None = STAMP, subject: str | None = SUBJECT, message_id: str | None = MESSAGE_ID
) -> bytes:
    """The header of a mail of ours, with one thing changed."""
    given = {"X-Mailtrip": stamp, "Message-ID": message_id, "Subject": subject}
    all_lines = (*(f"{name}: {value}" for name, value in given.items() if value is not None), *lines)
    return "".join(f"{line}\r\n" for line in (*all_lines, "")).encode("utf-8", "surrogateescape")


def is_ours(mail: bytes) -> bool:
    sighting = sight(mail, KEY)
    return sighting is not None and sighting.kind is Kind.OURS


# What is ours.


def test_a_mail_with_our_header_and_token_is_ours() -> None:
    assert sight(header(), KEY) == OURS


def test_a_mail_that_no_later_run_may_remove_never_expires() -> None:
    assert sight(header(stamp=identity.stamp(TOKEN, None, KEY)), KEY) == Sighting(Kind.OURS, TOKEN, None)


@pytest.mark.parametrize(
    "mail",
    [
        header(subject=None),
        header(subject="rewritten by a gateway"),
        header(message_id=None),
        header(message_id="<1234@gateway.example>"),
        header(message_id=MESSAGE_ID.upper()),
        header(subject=SUBJECT.lower()),
        header("Received: from a by b", "Return-Path: <>", "DKIM-Signature: v=1"),
        header("Content-Type: multipart/mixed; boundary=report"),
        header("In-Reply-To: <another@example.org>", "References: <a@b> <c@d>"),
        header(stamp=None, subject=None).replace(b"\r\n\r\n", b"\r\n") + f"x-mailtrip:{STAMP}\r\n\r\n".encode(),
        header(stamp=STAMP.replace("; ", ";\r\n ")),
        header(stamp=STAMP.replace("; ", ";\r\n\t")),
        header().replace(b"\r\n", b"\n"),
        header(subject="=?utf-8?b?" + base64.b64encode(SUBJECT.encode()).decode() + "?=", message_id=None),
    ],
    ids=[
        "no subject",
        "another subject",
        "no Message-ID",
        "another Message-ID",
        "upper-case Message-ID",
        "lower-case subject",
        "trace fields",
        "another multipart",
        "answers another mail",
        "lower-case field name",
        "folded",
        "folded with tabs",
        "bare LF",
        "encoded subject",
    ],
)
def test_what_an_honest_path_does_to_our_mail_leaves_it_ours(mail: bytes) -> None:
    assert sight(mail, KEY) == OURS


@pytest.mark.parametrize("split", range(1, len(SUBJECT), 7))
def test_encoded_words_that_split_the_token_are_joined_again(split: int) -> None:
    words = (base64.b64encode(part.encode()).decode() for part in (SUBJECT[:split], SUBJECT[split:]))
    subject = "\r\n ".join(f"=?utf-8?B?{word}?=" for word in words)
    assert sight(header(subject=subject, message_id=None), KEY) == OURS


# What is not.


@pytest.mark.parametrize(
    "stamp",
    [
        identity.stamp(TOKEN, 1_800_003_600, b"another key"),
        identity.stamp(TOKEN, 1_800_003_600, b""),
        identity.stamp(OTHER, 1_800_003_600, KEY),
        STAMP[:-1] + ("0" if STAMP[-1] != "0" else "1"),
        STAMP.replace("1800003600", "0000000000"),
        STAMP.replace("1800003600", "never"),
        STAMP.replace(TOKEN, OTHER),
        STAMP.lower(),
        STAMP.upper(),
        STAMP[:-1],
        STAMP + "0",
        STAMP + "; more=1",
        f"{STAMP}, {STAMP}",
        f"> {STAMP}",
        f"{STAMP}\0",
        f"\0{STAMP}",
        STAMP.replace("; mac", ";\0mac"),
        re.sub("mac=.*", "mac=", STAMP),
        TOKEN,
        "",
    ],
)
def test_a_header_that_is_not_exactly_the_one_we_wrote_proves_nothing(stamp: str) -> None:
    assert not is_ours(header(stamp=stamp))


@pytest.mark.parametrize(
    "mail",
    [
        header(f"X-Mailtrip: {STAMP}"),
        header("X-Mailtrip: "),
        header(f"x-mailtrip: {identity.stamp(OTHER, None, KEY)}"),
        header("X-MAILTRIP : x"),
        header(message_id=None, subject=None),
        header(message_id=f"<{OTHER}@example.org>", subject=f"mailtrip roundtrip: {{{OTHER}}}"),
        header(message_id=None, subject="hello"),
    ],
    ids=[
        "twice",
        "twice, one empty",
        "twice, one other",
        "twice, blank before the colon",
        "no token",
        "other token",
        "none",
    ],
)
def test_our_header_must_be_alone_and_its_token_elsewhere_too(mail: bytes) -> None:
    assert not is_ours(mail)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/report",
        "multipart/report; report-type=delivery-status; boundary=x",
        "Multipart/REPORT;report-type=disposition-notification",
        "\r\n multipart/report;\r\n\treport-type=delivery-status",
        "multipart/report\r\n ; boundary=x",
        "(a bounce) multipart/report",
        "multipart (of) / (a) report; boundary=x",
        '"multipart/report"; boundary=x',
    ],
)
def test_a_bounce_is_a_report_even_with_our_header(content_type: str) -> None:
    assert sight(header(f"Content-Type: {content_type}"), KEY) == Sighting(Kind.REPORT, TOKEN)
    assert sight(header(f"Content-Type: {content_type}", "Content-Type: text/plain"), KEY) == Sighting(
        Kind.REPORT, TOKEN
    )


@pytest.mark.parametrize("name", ["In-Reply-To", "References"])
def test_a_reply_that_copies_all_our_fields_is_still_a_reply(name: str) -> None:
    reply = header(f"{name}: <old@example.org> {MESSAGE_ID}", subject=f"Re: {SUBJECT}", message_id="<new@example.com>")
    assert sight(reply, KEY) == Sighting(Kind.ECHO, TOKEN)
    assert not is_ours(header(f"{name}: {MESSAGE_ID}"))


BODY = header().decode()
FOREIGN = "From: somebody@example.com\r\nSubject: hello"


@pytest.mark.parametrize(
    "mail",
    [
        f"{FOREIGN}\r\n\r\n{BODY}",
        f"\r\n{BODY}",
        f"\n{BODY}",
        f"{FOREIGN}\n\n{BODY}",
        f"{FOREIGN}\r\n\n{BODY}",
        f"{FOREIGN}\r\nsomebody wrote this where an empty line should be\r\n{BODY}",
        f"Subject: Re: {SUBJECT}\r\nsomebody wrote:\r\n> {STAMP}\r\nX-Mailtrip: {STAMP}\r\n\r\n",
        f"Content-Type: message/rfc822\r\n{FOREIGN}\r\n\r\n{BODY}",
        f"Content-Type: multipart/digest; boundary=x\r\n{FOREIGN}\r\n\r\n--x\r\n\r\n{BODY}\r\n--x--\r\n",
        f"{FOREIGN}\rX-Mailtrip: {STAMP}\rMessage-ID: {MESSAGE_ID}\r\n\r\n",
        f"Subject: {SUBJECT}\rX-Mailtrip: {STAMP}\r\n\r\n",
        f"Subject: {SUBJECT}\x0bX-Mailtrip: {STAMP}\x0c\r\n\r\n",
        f"Subject: {SUBJECT}\x85X-Mailtrip: {STAMP}\u2028X-Mailtrip: {STAMP}\r\n\r\n",
        f"Subject: {SUBJECT}\0\r\n\0X-Mailtrip: {STAMP}\r\n\r\n",
        f"Subject: {SUBJECT}\r\n X-Mailtrip: {STAMP}\r\n\r\n",
        f"Subject: {SUBJECT}\r\nX-Quoted: X-Mailtrip: {STAMP}\r\n\r\n",
        f"Subject: =?utf-8?q?{SUBJECT.replace(' ', '_')}=0D=0AX-Mailtrip:_{STAMP.replace(' ', '_')}?=\r\n\r\n",
        f"Subject: {SUBJECT}\r\n\r\r\nX-Mailtrip: {STAMP}\r\n\r\n",
    ],
)
def test_our_header_anywhere_but_in_the_top_header_proves_nothing(mail: str) -> None:
    assert not is_ours(mail.encode())


def test_a_mail_that_quotes_our_subject_is_an_echo() -> None:
    for subject in (f"Re: {SUBJECT}", f"AW: Fwd: {SUBJECT}", SUBJECT):
        assert sight(header(stamp=None, message_id="<new@example.com>", subject=subject), KEY) == Sighting(
            Kind.ECHO, TOKEN
        )


def test_our_subject_and_message_id_without_our_header_came_through_a_gateway() -> None:
    assert sight(header(stamp=None), KEY) == Sighting(Kind.STRIPPED, TOKEN)


def test_a_forged_header_does_not_count_as_one_that_a_gateway_removed() -> None:
    assert sight(header(stamp="forged"), KEY) == Sighting(Kind.ECHO, TOKEN)


def test_a_digest_with_two_tokens_speaks_for_none() -> None:
    subject = f"{{{TOKEN}}} {{{OTHER}}}"
    assert sight(header(stamp=None, message_id=None, subject=subject), KEY) is None
    both = header(stamp=None, message_id=f"<{TOKEN}@{OTHER}>", subject=subject)
    assert sight(both, KEY) is None


def test_a_mail_without_a_token_has_nothing_to_do_with_us() -> None:
    assert sight(FOREIGN.encode(), KEY) is None
    assert sight(b"", KEY) is None
    assert sight(header("Content-Type: multipart/report", stamp=None, subject=None, message_id=None), KEY) is None


def test_bytes_that_are_no_text_hide_nothing_and_break_nothing() -> None:
    eight_bit = header().replace(b"Subject: ", b"X-Raw: \xff\xfe\x80\r\nSubject: caf\xe9 ")
    assert sight(eight_bit, KEY) == OURS
    assert not is_ours(header(stamp=f"\udcff{STAMP}"))


def test_a_header_of_megabytes_is_sighted_in_no_time() -> None:
    began_at_s = time.process_time()
    assert sight(header().replace(b"\r\n\r\n", b"\r\nX-Long: " + b"a" * 5_000_000), KEY) == OURS
    sight(b"Subject: " + b"=?x?q?" * 300_000, KEY)
    sight(b"Content-Type: " + b"(" * 2_000_000, KEY)
    sight(b"Subject: " + b"0123ABCD-" * 300_000, KEY)
    assert time.process_time() - began_at_s < 4


@given(st.binary())
def test_no_bytes_are_an_error_or_ours(mail: bytes) -> None:
    assert not is_ours(mail)


marks = [b"\r\n", b"\n", b"\r", b" ", b"\0", b": ", b"; ", b"Re: ", b"=?utf-8?q?", b"?="]
names = [b"X-Mailtrip: ", b"Subject: ", b"Message-ID: "]
tokens = [text.encode() for text in (TOKEN, OTHER, SUBJECT, MESSAGE_ID)]
forged = [
    identity.stamp(TOKEN, None, b"another key").encode(),
    STAMP[:-1].encode(),
    b"expires=never",
    b"mac=" + b"0" * 64,
]
pieces = st.sampled_from(marks + names + tokens + forged)


@given(st.lists(pieces, max_size=30))
def test_no_arrangement_of_our_parts_is_ours_without_the_right_mac(parts: list[bytes]) -> None:
    assert not is_ours(b"".join(parts))


@given(st.lists(pieces, max_size=6), st.binary(max_size=20))
def test_nothing_before_or_behind_the_header_line_moves_it_into_another_mail(parts: list[bytes], noise: bytes) -> None:
    """Whatever stands behind the empty line of a foreign mail is its body."""
    body = b"".join(parts) + f"X-Mailtrip: {STAMP}\r\nSubject: {SUBJECT}\r\n".encode()
    assert not is_ours(FOREIGN.encode() + b"\r\n\r\n" + noise + body)


# What follows from it.


@pytest.mark.parametrize(
    ("kind", "arrives", "arrives_by_subject", "deletable", "deletable_where_dedicated"),
    [
        (Kind.OURS, True, True, True, True),
        (Kind.STRIPPED, True, True, False, True),
        (Kind.ECHO, False, True, False, True),
        (Kind.REPORT, False, False, False, False),
    ],
)
def test_what_counts_and_what_may_be_deleted(
    kind: Kind, arrives: bool, arrives_by_subject: bool, deletable: bool, deletable_where_dedicated: bool
) -> None:
    sighting = Sighting(kind, TOKEN)
    assert counts_as_arrival(sighting, Match.HEADER) is arrives
    assert counts_as_arrival(sighting, Match.SUBJECT) is arrives_by_subject
    assert may_delete(sighting, dedicated=False) is deletable
    assert may_delete(sighting, dedicated=True) is deletable_where_dedicated


def test_tokens_are_guids_of_128_bits_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert all(re.fullmatch("[0-9A-F]{8}-([0-9A-F]{4}-){3}[0-9A-F]{12}", token) for token in tokens)
    assert len({token[14] for token in tokens}) == 16, "all bits are random, also those of a UUID's version"


# The key.


def test_the_environments_key_comes_first_and_writes_nothing(tmp_path: Path) -> None:
    environ = {"MAILTRIP_KEY": " shared \n", "XDG_STATE_HOME": str(tmp_path)}
    assert installation_key(environ) == (b"shared", False)
    assert list(tmp_path.iterdir()) == []


def test_a_new_installation_makes_a_key_that_only_its_user_can_read(tmp_path: Path) -> None:
    state = tmp_path / "state"
    environ = {"XDG_STATE_HOME": str(state), "MAILTRIP_KEY": "  "}
    umask = os.umask(0)
    try:
        key, is_new = installation_key(environ)
    finally:
        os.umask(umask)
    assert is_new
    assert re.fullmatch(b"[0-9a-f]{64}", key)
    assert [path.name for path in (state / "mailtrip").iterdir()] == ["key"]
    assert stat.S_IMODE((state / "mailtrip" / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "mailtrip").stat().st_mode) == 0o700
    assert installation_key(environ) == (key, False)


def test_without_a_state_folder_the_home_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    key, is_new = installation_key({})
    assert is_new
    assert (tmp_path / ".local/state/mailtrip/key").read_bytes() == key


def test_where_nobody_is_at_home_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(OSError, match="set MAILTRIP_KEY"):
        installation_key({})


@pytest.mark.parametrize("content", [b"", b" \n"])
def test_an_empty_key_file_is_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mailtrip" / "key"
    path.parent.mkdir()
    path.write_bytes(content)
    key, is_new = installation_key({"XDG_STATE_HOME": str(tmp_path)})
    assert is_new
    assert re.fullmatch(b"[0-9a-f]{64}", key)
    assert path.read_bytes() == key


def test_a_key_that_a_person_wrote_is_taken_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "mailtrip" / "key"
    path.parent.mkdir()
    path.write_bytes(b"written by hand\n")
    assert installation_key({"XDG_STATE_HOME": str(tmp_path)}) == (b"written by hand", False)


def test_a_state_folder_that_is_none_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        installation_key({"XDG_STATE_HOME": str(tmp_path / "file")})
    (tmp_path / "mailtrip" / "key").mkdir(parents=True)
    with pytest.raises(OSError):
        installation_key({"XDG_STATE_HOME": str(tmp_path)})


def test_processes_that_come_together_get_the_same_key_and_one_made_it(tmp_path: Path) -> None:
    (tmp_path / "mailtrip").mkdir()
    (tmp_path / "mailtrip" / "key").touch()
    code = "import os; from mailtrip_checks.identity import installation_key as key; print(*key(dict(os.environ)))"
    environ = {
        **os.environ,
        "MAILTRIP_KEY": "",
        "XDG_STATE_HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    runs = [subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE) for _ in range(4)]
    said = [run.communicate(timeout=30)[0].split() for run in runs]
    assert len({key for key, _ in said}) == 1
    assert sorted(is_new for _, is_new in said) == [b"False", b"False", b"False", b"True"]
    assert [path.name for path in (tmp_path / "mailtrip").iterdir()] == ["key"]
