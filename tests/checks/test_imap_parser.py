"""The bytes of real servers, whole and cut at every place."""

import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.wire import imap_parser
from mailtrip_checks.wire.imap_command import astring
from mailtrip_checks.wire.imap_parser import (
    Condition,
    Continuation,
    Data,
    Fetched,
    Garbled,
    Parser,
    Response,
    Status,
    Value,
    fetched,
)

DOVECOT = (
    b"* OK [CAPABILITY IMAP4rev1 SASL-IR ID ENABLE IDLE LITERAL+ STARTTLS AUTH=PLAIN] Dovecot ready.\r\n"
    b"a1 OK [CAPABILITY IMAP4rev1 SASL-IR IDLE UIDPLUS MOVE UNSELECT] Logged in\r\n"
    b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n"
    b"* OK [PERMANENTFLAGS (\\Answered \\Deleted \\*)] Flags permitted.\r\n"
    b"* 3 EXISTS\r\n"
    b"* 0 RECENT\r\n"
    b"* OK [UIDVALIDITY 1447090563] UIDs valid\r\n"
    b"* OK [UIDNEXT 4] Predicted next UID\r\n"
    b"a2 OK [READ-WRITE] Select completed (0.001 + 0.000 secs).\r\n"
    b"* 3 FETCH (UID 9 BODY[HEADER.FIELDS (X-MAILTRIP SUBJECT)] {26}\r\n"
    b"Subject: hello\r\nX: y (\r\n\r\n)\r\n"
    b"a3 OK Fetch completed.\r\n"
    b"+ idling\r\n"
)
EXCHANGE = (
    b"* OK The Microsoft Exchange IMAP4 service is ready. [QQBNADYA]\r\n"
    b"* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE "
    b"LITERAL+\r\n"
    b"a1 OK CAPABILITY completed.\r\n"
    b"+\r\n"
    b"* 2 FETCH (BODY[HEADER.FIELDS (X-Mailtrip)] {4}\r\n\r\n\r\n FLAGS (\\Seen \\Recent) UID 17)\r\n"
    b"a2 BAD Command Argument Error. 11\r\n"
    b"* BYE Connection is closed. 13\r\n"
)
GMAIL = (
    b"* OK Gimap ready for requests from 192.0.2.1 x13mb1\r\n"
    b"a1 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n"
    b'* LIST (\\HasNoChildren \\Junk) "/" "[Gmail]/Spam"\r\n'
    b"* SEARCH 2 84 882\r\n"
    b"* SEARCH\r\n"
    b'* 5 FETCH (X-GM-LABELS ("\\\\Inbox" "a \\"b\\"") UID 5 BODY[] NIL)\r\n'
)
COURIER = (
    b"* OK [CAPABILITY IMAP4rev1 UIDPLUS THREAD=REFERENCES IDLE] Courier-IMAP ready. See COPYING.\r\n"
    b'* 1 FETCH (UID 4 BODY[HEADER.FIELDS ("X-Mailtrip" "Message-ID")] {2}\n\r\n)\n'
    b"* 12 EXPUNGE\n"
    b"a7 OK FETCH completed.\n"
    b"* BYE Courier-IMAP server shutting down\r\n"
    b"a8 OK LOGOUT completed\r\n"
)
CYRUS = (
    b"* OK [CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE STARTTLS LOGINDISABLED] Cyrus IMAP 3.6 server ready\r\n"
    b"* OK [UIDNEXT 4] \r\n"
    b"* FLAGS (\\Answered $Forwarded [odd])\r\n"
    b"* OK [PERMANENTFLAGS (\\Seen a]b \\*)] Ok\r\n"
    b"* VANISHED (EARLIER) 41,43:116\r\n"
    b"* 4 FETCH (FLAGS (\\Recent))\r\n"
    b'* 4 FETCH (INTERNALDATE "17-Jul-1996 02:44:25 -0700" BODY[]<0> "ab" UID 8 RFC822.SIZE 4286)\r\n'
    b"a9 OK [COPYUID 38505 304,319:320 3956:3958] Completed\r\n"
    b"* OK a text that ends in {5}\r\n"
    b"\r\n"
)
EXCHANGES = {"dovecot": DOVECOT, "exchange": EXCHANGE, "gmail": GMAIL, "courier": COURIER, "cyrus": CYRUS}


def parse(*pieces: bytes) -> list[Response]:
    parser = Parser()
    return [response for piece in pieces for response in parser.feed(piece, 0.0)]


def only(wire: bytes) -> Response:
    (response,) = parse(wire)
    return response


def values(rest: bytes) -> tuple[Value, ...]:
    response = only(b"* X " + rest + b"\r\n")
    assert isinstance(response, Data)
    return response.values()


def fetches(responses: Iterable[Response]) -> list[Fetched]:
    return [fetched(data) for data in responses if isinstance(data, Data) and data.name == "FETCH"]


@pytest.mark.parametrize("server", EXCHANGES)
def test_an_exchange_reads_the_same_wherever_it_is_cut(server: str) -> None:
    wire = EXCHANGES[server]
    whole = parse(wire)
    assert not [response for response in whole if isinstance(response, Garbled)]
    for cut in range(len(wire) + 1):
        assert parse(wire[:cut], wire[cut:]) == whole
    assert parse(*(wire[i : i + 1] for i in range(len(wire)))) == whole


@pytest.mark.parametrize("wire", [GMAIL, CYRUS])
def test_an_exchange_reads_the_same_with_bare_line_feeds(wire: bytes) -> None:
    assert parse(wire.replace(b"\r\n", b"\n")) == parse(wire)


def test_dovecots_login_and_select_are_read() -> None:
    greeting, login, flags, permanent, exists, _, validity, uidnext, select, _, _, idling = parse(DOVECOT)
    assert isinstance(greeting, Status)
    assert (greeting.tag, greeting.condition, greeting.code) == (None, Condition.OK, "CAPABILITY")
    assert "AUTH=PLAIN" in greeting.arguments.split()
    assert greeting.text == "Dovecot ready."
    assert isinstance(login, Status)
    assert (login.tag, login.text) == ("a1", "Logged in")
    assert isinstance(flags, Data)
    assert flags.values() == ((b"\\Answered", b"\\Flagged", b"\\Deleted", b"\\Seen", b"\\Draft"),)
    assert isinstance(permanent, Status)
    assert (permanent.code, permanent.arguments) == ("PERMANENTFLAGS", "(\\Answered \\Deleted \\*)")
    assert isinstance(exists, Data)
    assert (exists.number, exists.name) == (3, "EXISTS")
    assert isinstance(validity, Status)
    assert validity.arguments == "1447090563"
    assert isinstance(uidnext, Status)
    assert (uidnext.code, uidnext.arguments) == ("UIDNEXT", "4")
    assert isinstance(select, Status)
    assert select.code == "READ-WRITE"
    assert isinstance(idling, Continuation)
    assert idling.text == "idling"


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("dovecot", [Fetched(9, b"Subject: hello\r\nX: y (\r\n\r\n", None)]),
        ("exchange", [Fetched(17, b"\r\n\r\n", None)]),
        ("gmail", [Fetched(5, None, b"")]),
        ("courier", [Fetched(4, b"\r\n", None)]),
        ("cyrus", [Fetched(None, None, None), Fetched(8, None, None)]),
    ],
)
def test_fetch_gives_uid_and_content_in_whatever_order(server: str, expected: list[Fetched]) -> None:
    assert fetches(parse(EXCHANGES[server])) == expected


def test_a_flag_that_holds_a_bracket_does_not_end_the_response_code() -> None:
    status = parse(CYRUS)[3]
    assert isinstance(status, Status)
    assert (status.arguments, status.text) == ("(\\Seen a]b \\*)", "Ok")


def test_a_text_that_ends_like_a_literal_is_only_text() -> None:
    status = parse(CYRUS)[-1]
    assert isinstance(status, Status)
    assert status.text == "a text that ends in {5}"
    assert only(b"a1 NO see {12}\r\n") == Status("a1", Condition.NO, "", "", "see {12}", "a1 NO see {12}", 0.0)


def test_a_search_gives_its_words() -> None:
    found, nothing = (data for data in parse(GMAIL) if isinstance(data, Data) and data.name == "SEARCH")
    assert found.words() == ["2", "84", "882"]
    assert nothing.words() == []


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"(a (b (c NIL)) ())", ((b"a", (b"b", (b"c", None)), ()),)),
        (b'"a \\"b\\" \\\\" nil "NIL"', (b'a "b" \\', None, b"NIL")),
        (b"{3}\r\na\r\nb{3+}\r\nNIL ~{2}\r\n\0\xff", (b"a\r\n", b"b", b"NIL", b"\0\xff")),
        (b"({0}\r\n)", ((b"",),)),
        (b'BODY[HEADER.FIELDS ("a]" b)]<5> x', (b'BODY[HEADER.FIELDS ("a]" b)]<5>', b"x")),
        (b"BODY[ x", (b"BODY[", b"x")),
        (b"", ()),
    ],
)
def test_values_are_read_as_the_grammar_says(wire: bytes, expected: tuple[Value, ...]) -> None:
    assert values(wire) == expected


@pytest.mark.parametrize("wire", [b"(a", b"a)", b'"a', b"(" * 60 + b")" * 60, b'("a)'])
def test_brackets_or_quotes_that_do_not_match_are_a_value_error(wire: bytes) -> None:
    with pytest.raises(ValueError):
        values(wire)


def test_a_fetch_without_a_list_is_a_value_error() -> None:
    data = only(b"* 1 FETCH nothing\r\n")
    assert isinstance(data, Data)
    with pytest.raises(ValueError, match="without its list"):
        fetched(data)


@pytest.mark.parametrize("items", [b"((UID) 5)", b"(UID (5))", b"(UID x)", b"(UID)", b"(UID " + b"9" * 5000 + b")"])
def test_a_fetch_with_strange_items_gives_no_uid(items: bytes) -> None:
    assert fetches(parse(b"* 1 FETCH " + items + b"\r\n")) == [Fetched(None, None, None)]


@given(st.binary())
def test_every_string_comes_back_as_it_was_sent(value: bytes) -> None:
    if b"\0" in value:
        with pytest.raises(ValueError, match="NUL"):
            astring(value)
        return
    part = astring(value)
    wire = part if isinstance(part, bytes) else b"{%d}\r\n%b" % (len(part.octets), part.octets)
    assert values(b"(x " + wire + b")") == ((b"x", value),)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_no_bytes_make_the_parser_raise_or_depend_on_the_cut(wire: bytes, cut: int) -> None:
    whole = parse(b"* " + wire + b"\r\n")
    framed = b"* " + wire + b"\r\n"
    assert parse(framed[:cut], framed[cut:]) == whole
    for response in whole:
        if isinstance(response, Data):
            try:
                response.values()
            except ValueError as error:
                assert "that" in str(error)  # noqa: PT017  (a sentence of ours, no accident of int())


@pytest.mark.parametrize(
    "wire", [b"220 mx.example ESMTP\r\n", b"+OK POP3 ready\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"*\r\n", b"* (\r\n"]
)
def test_what_is_no_imap_is_garbled_and_the_last_that_comes(wire: bytes) -> None:
    garbled, *more = parse(b"* 1 EXISTS\r\n" + wire + b"* 2 EXISTS\r\n")[1:]
    assert isinstance(garbled, Garbled)
    assert garbled.reason == "sent what is no IMAP"
    assert garbled.shown == wire.decode().strip()
    assert more == []


def test_an_endless_line_ends_the_dialogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_parser, "LONGEST_LINE", 100)
    assert isinstance(only(b"* OK " + b"x" * 94 + b"\r\n"), Status)
    parser = Parser()
    responses = [response for _ in range(20) for response in parser.feed(b"x" * 10, 0.0)]
    assert responses == [Garbled("sent a line of more than 100 bytes", "", 0.0)]


def test_lines_held_together_by_literals_count_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_parser, "LONGEST_LINE", 100)
    assert isinstance(parse(b"* X " + b"{0}\r\n" * 50)[-1], Garbled)


@pytest.mark.parametrize("size", [b"129", b"000129", b"9" * 5000])
def test_a_literal_above_the_maximum_is_not_awaited(size: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_parser, "LONGEST_LITERAL", 128)
    assert only(b"* 1 FETCH (BODY[] {" + size + b"}\r\nxyz") == Garbled(
        "announced more than 128 bytes in one answer", "", 0.0
    )


def test_many_literals_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_parser, "LONGEST_LITERAL", 8)
    assert isinstance(parse(b"* X {5}\r\n12345 {5}\r\n12345\r\n")[-1], Garbled)
    assert isinstance(only(b"* X {4}\r\n1234 {4}\r\n1234\r\n"), Data)


def test_a_response_bears_the_instant_of_the_bytes_that_completed_it() -> None:
    parser = Parser()
    assert parser.feed(b"* 1 EX", 1.0) == []
    assert parser.unfinished == "* 1 EX"
    first, second = parser.feed(b"ISTS\r\n* 2 EXISTS\r\n", 2.0)
    assert (first.at_s, second.at_s) == (2.0, 2.0)
    assert parser.unfinished == ""


def test_a_response_that_waits_for_its_literal_is_unfinished() -> None:
    parser = Parser()
    assert parser.feed(b"* 1 FETCH (BODY[] {0}\r\n", 0.0) == []
    assert parser.unfinished == "* 1 FETCH (BODY[] "


def test_a_transcript_shows_a_message_by_its_size() -> None:
    assert only(b"* 1 FETCH (BODY[] {5}\r\nhello UID 7)\r\n").shown == "* 1 FETCH (BODY[] {5 bytes} UID 7)"


def test_a_transcript_shows_of_a_header_nothing_but_its_size() -> None:
    """It may be a stranger's."""
    response = only(b"* 1 FETCH (BODY[HEADER] {8}\r\nA: b\r\n\r\n UID 7)\r\n")
    assert response.shown == "* 1 FETCH (BODY[HEADER] {8 bytes} UID 7)"


def test_a_large_message_and_many_headers_are_read_in_linear_time() -> None:
    header = b"* 1 FETCH (UID 7 BODY[HEADER.FIELDS (Subject)] {200}\r\n" + b"x" * 200 + b")\r\n"
    message = b"* 1 FETCH (BODY[] {16777216}\r\n" + b"\n" * 16_777_216 + b")\r\n"
    wire = message + header * 500
    parser = Parser()
    began = time.process_time()
    responses = [r for at in range(0, len(wire), 65_536) for r in parser.feed(wire[at : at + 65_536], 0.0)]
    found = fetches(responses)
    assert time.process_time() - began < 2.0  # it takes 0.05 s; a quadratic parser takes minutes
    assert len(found) == 501
    assert found[-1] == Fetched(7, b"x" * 200, None)


def test_a_hostile_line_is_refused_in_linear_time() -> None:
    began = time.process_time()
    for rest in (b"BODY[ " * 10_000, b"(" * 100_000, b'"' * 50_001, b'BODY["' * 10_000, b"{1" * 50_000):
        try:
            values(rest)
        except ValueError:
            continue
    assert time.process_time() - began < 5.0
