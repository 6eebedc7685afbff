"""A header block is read as RFC 5322 has it, and nothing outside it passes for a field."""

import time
from email.header import Header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.headers import LONGEST_DECODED, decoded, fields


def test_names_are_lower_case_and_values_are_stripped_and_in_order() -> None:
    assert fields(b"Subject:  a \r\nX-A:\r\nSUBJECT : b\r\n\r\nbody: no\r\n") == [
        ("subject", "a"),
        ("x-a", ""),
        ("subject", "b"),
    ]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
def test_folded_lines_are_one_value(end: bytes) -> None:
    mail = end.join([b"X-A: one", b" two", b"\tthree", b"X-B:", b" four", b"", b"X-C: body", b""])
    assert fields(mail) == [("x-a", "one two\tthree"), ("x-b", "four")]


@pytest.mark.parametrize(
    ("mail", "why"),
    [
        (b"\r\nX-A: body", "the header is empty"),
        (b"\nX-A: body", "the header is empty"),
        (b"\r\n\r\nX-A: body", "the header is empty"),
        (b" X-A: folded onto nothing\r\n", "a fold needs a field before it"),
        (b"text without a colon\r\nX-A: behind it\r\n\r\n", "text in place of the empty line ends the header"),
        (b"\r\rX-A: bare CR\r\n\r\n", "a bare CR ends no line"),
        (b": no name\r\nX-A: b", "a field has a name"),
        (b"\0X-A: b\r\n", "a name is printable"),
        (b"X\xc3\x84: b\r\n", "a name is ASCII"),
        (b"", "there is nothing"),
    ],
)
def test_what_is_no_field_is_none(mail: bytes, why: str) -> None:
    assert fields(mail) == [], why


def test_a_bare_cr_stays_in_the_value_that_holds_it() -> None:
    assert fields(b"X-A: one\rX-B: two\r\n\r\n") == [("x-a", "one\rX-B: two")]


def test_a_header_block_without_an_end_is_read_to_its_end() -> None:
    assert fields(b"X-A: one\r\nX-B: tw") == [("x-a", "one"), ("x-b", "tw")]


def test_bytes_that_are_no_utf_8_are_kept() -> None:
    [(_, value)] = fields(b"X-A: caf\xe9 \xc3\xa9")
    assert value.encode("utf-8", "surrogateescape") == b"caf\xe9 \xc3\xa9"


names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1, max_size=20)
values = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), max_size=40)


@given(st.lists(st.tuples(names, values)), st.sampled_from(["\r\n", "\n"]), st.binary())
def test_what_was_written_is_read(written: list[tuple[str, str]], end: str, body: bytes) -> None:
    block = "".join(f"{name}: {value}{end}" for name, value in written) + end
    assert fields(block.encode() + body) == [(name.lower(), value) for name, value in written]


@given(st.binary())
def test_any_bytes_are_read_without_an_error(mail: bytes) -> None:
    for _, value in fields(mail):
        decoded(value)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=80))
def test_encoded_words_give_the_text_back(text: str) -> None:
    text = text.strip()
    encoded = Header(f"é{text}", "utf-8").encode(linesep="\r\n")
    [(_, value)] = fields(f"Subject: {encoded}\r\n\r\n".encode())
    assert decoded(value) == f"é{text}"


@pytest.mark.parametrize(
    "value",
    [
        "=?utf-8?b?a?=",
        "=?utf-8?q?=C3?=",
        "=?no-such-charset?q?a?=",
        "=?\N{LATIN SMALL LETTER U WITH DIAERESIS}?q?a?=",
        "=?idna?q?xn--a?=",
        "=?unicode_escape?q?=5Cd?=",
        "=?hex?q?61?=",
        "=? half",
    ],
)
def test_an_encoded_word_that_cannot_be_read_stays_as_it_is(value: str) -> None:
    assert decoded(value) == value


charsets = st.sampled_from(["utf-8", "utf-7", "utf-16", "iso-2022-jp", "unicode_escape", "idna", "punycode", "hex", ""])


@given(charsets, st.sampled_from("qQbBx"), st.text())
def test_no_encoded_word_is_an_error(charset: str, encoding: str, text: str) -> None:
    decoded(f"=?{charset}?{encoding}?{text}?=")


def test_a_value_without_encoded_words_is_itself() -> None:
    assert decoded("plain \udcff text") == "plain \udcff text"


def test_a_header_of_megabytes_takes_no_time() -> None:
    began_at_s = time.process_time()
    assert len(fields(b"X-A: " + b"b" * 5_000_000)) == 1
    assert len(fields(b"X-A: b\r\n" * 100_000)) == 100_000
    assert len(fields(b"X-A:" + b"\r\n b" * 500_000)) == 1
    harm = "=?x?q?" * 100_000
    assert decoded(harm) == harm
    decoded(harm[:LONGEST_DECODED])
    assert time.process_time() - began_at_s < 4
