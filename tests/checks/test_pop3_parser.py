"""Answers of POP3 servers, whole and cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.wire.pop3_parser import Answer, AnswerParser, Malformed, Status

ANSWERS = [
    (b"+OK\r\n", False, Answer(Status.OK, "")),
    (b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n", False,
     Answer(Status.OK, "POP3 server ready <1896.697170952@dbc.mtview.ca.us>")),
    (b"+OK 2 320\n", False, Answer(Status.OK, "2 320")),
    (b"-ERR [IN-USE] Do you have another POP session running?\r\n", False,
     Answer(Status.ERR, "[IN-USE] Do you have another POP session running?")),
    (b"-err no\r\n", True, Answer(Status.ERR, "no")),
    (b"+ \r\n", False, Answer(Status.MORE, "")),
    (b"+\r\n", False, Answer(Status.MORE, "")),
    (b"+OK caf\xe9\r\n", False, Answer(Status.OK, "caf\\xe9")),
    (b"+OK\r\n.\r\n", True, Answer(Status.OK, "", b"")),
    (b"+OK\r\n1 whqtswO00WBw418f9t5JxYwZ\r\n2 QhdPYR:00WBw1Ph7x7\r\n.\r\n", True,
     Answer(Status.OK, "", b"1 whqtswO00WBw418f9t5JxYwZ\r\n2 QhdPYR:00WBw1Ph7x7\r\n")),
    (b"+OK 120 octets\r\nSubject: a\r\n\r\n..\r\n...\r\n..a\r\n.\r\n", True,
     Answer(Status.OK, "120 octets", b"Subject: a\r\n\r\n.\r\n..\r\n.a\r\n")),
    (b"+OK\nbare\nlines\n.\n", True, Answer(Status.OK, "", b"bare\nlines\n")),
    (b"+OK\r\na\r\n.\r\r\n.\r\n", True, Answer(Status.OK, "", b"a\r\n\r\r\n")),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "multiline", "expected"), ANSWERS)
def test_an_answer_is_the_same_wherever_it_is_cut(wire: bytes, multiline: bool, expected: Answer) -> None:
    for cut in range(1, len(wire) + 1):
        parser = AnswerParser()
        parser.feed(wire[:cut])
        if cut < len(wire):
            assert parser.take(multiline=multiline) is None
            parser.feed(wire[cut:])
        assert parser.take(multiline=multiline) == expected
        assert parser.held == b""


@pytest.mark.parametrize(("wire", "multiline", "expected"), ANSWERS)
def test_an_answer_comes_byte_by_byte_with_the_next_one_behind(wire: bytes, multiline: bool, expected: Answer) -> None:
    parser = AnswerParser()
    for byte in wire[:-1]:
        parser.feed(bytes([byte]))
        assert parser.take(multiline=multiline) is None
    parser.feed(wire[-1:] + b"+OK next\r\n")
    assert parser.take(multiline=multiline) == expected
    assert parser.held == b"+OK next\r\n"
    assert parser.take(multiline=False) == Answer(Status.OK, "next")


@pytest.mark.parametrize("line", [b"* OK IMAP4rev1\r\n", b"220 mail ESMTP\r\n", b"\r\n", b"+OKAY\r\n", b"\xff+OK\r\n"])
def test_what_is_no_answer_is_said_to_be_none(line: bytes) -> None:
    parser = AnswerParser()
    parser.feed(line)
    with pytest.raises(Malformed, match=r"neither \+OK nor -ERR"):
        parser.take(multiline=False)


def test_a_line_without_end_is_given_up() -> None:
    parser = AnswerParser(longest_line=10)
    parser.feed(b"+OK 456789")
    assert parser.take(multiline=False) is None
    parser.feed(b"0")
    with pytest.raises(Malformed, match="more than 10 bytes"):
        parser.take(multiline=False)


def test_a_body_without_end_is_given_up() -> None:
    parser = AnswerParser(largest_body=10)
    parser.feed(b"+OK\r\n" + b"12345\r\n" * 2)
    with pytest.raises(Malformed, match="more than 10 bytes"):
        parser.take(multiline=True)


def stuffed(body: bytes) -> bytes:
    """A body as RFC 1939 §3 has a server send it."""
    lines = body.split(b"\n")[:-1]
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\n" for line in lines) + b".\r\n"


@given(lines=st.lists(st.sampled_from([b"", b".", b"..", b".a", b"a", b"a.", b"\xff"])), piece=st.integers(1, 9))
def test_every_body_survives_its_dots_and_every_cut(lines: list[bytes], piece: int) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    wire = b"+OK\r\n" + stuffed(body)
    parser = AnswerParser()
    answers: list[Answer] = []
    for start in range(0, len(wire), piece):
        parser.feed(wire[start : start + piece])
        answer = parser.take(multiline=True)
        answers += [answer] if answer else []
    assert [answer.body for answer in answers] == [body]


@given(data=st.binary(), piece=st.integers(1, 20), multiline=st.booleans())
def test_any_bytes_end_in_answers_or_malformed_and_cuts_change_nothing(
    data: bytes, piece: int, multiline: bool
) -> None:
    data = data.replace(b"\xff", b"+OK \r\n")

    def outcome(piece: int) -> list[Answer | str]:
        parser = AnswerParser()
        found: list[Answer | str] = []
        try:
            for start in range(0, len(data), piece):
                parser.feed(data[start : start + piece])
                while answer := parser.take(multiline=multiline):
                    found.append(answer)
        except Malformed as malformed:
            found.append(str(malformed))
        return found

    assert outcome(piece) == outcome(len(data) + 1)
