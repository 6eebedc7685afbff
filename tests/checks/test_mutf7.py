"""Folder names on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.wire import mutf7


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX", b"INBOX"),
        ("Gel\u00f6schte Elemente", b"Gel&APY-schte Elemente"),
        ("Tom & Jerry", b"Tom &- Jerry"),
        ("&", b"&-"),
        ("&AOQ-", b"&-AOQ-"),
        ('a "quoted" \\ name', b'a "quoted" \\ name'),
        # RFC 3501 §5.1.3's own example.
        ("~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("\U0001f4ec", b"&2D3c7A-"),
        ("tab\tand\x7f", b"tab&AAk-and&AH8-"),
        ("lone \ud800", b"lone &2AA-"),
        ("", b""),
    ],
)
def test_a_folder_name_travels_as_the_rfc_writes_it_and_comes_back(name: str, wire: bytes) -> None:
    assert mutf7.encode(name) == wire
    assert mutf7.decode(wire) == name


@given(st.text(st.characters(exclude_categories=())))
def test_every_name_comes_back_and_travels_in_printable_ascii(name: str) -> None:
    wire = mutf7.encode(name)
    assert all(0x20 <= octet <= 0x7E for octet in wire)
    # Two lone surrogates that meet are one character; UTF-16 knows no other way to write it.
    assert mutf7.decode(wire) == name.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")


@pytest.mark.parametrize("wire", [b"a&AOQ", b"&A-", b"&!!!!-", b"\xff", b"&AOQ-&", b"&AOQA-"])
def test_what_no_encoder_writes_is_a_value_error(wire: bytes) -> None:
    with pytest.raises(ValueError):
        mutf7.decode(wire)
