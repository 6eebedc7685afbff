"""PRTG's step 2 and what it says of mailboxes, as the IMAP and POP3 servers see them."""

from pathlib import Path

import pytest

from mailtrip_checks.definitions import DefinitionError
from mailtrip_checks.trips import Channel
from mailtrip_fixtures import MailServers
from mailtrip_fixtures.services import PortName
from tests.parity.conftest import PASSWORD, Desk
from tests.parity.flight import fly, read

SEND = "send: {via: out, from: a@example.org, to: u0@example.test}"


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        ("none", []),
        ("password", ["USER u0@example.test", "PASS ********"]),
        ("apop", ["APOP u0@example.test ********"]),
    ],
)
def test_pop3_logs_in_as_it_is_told_and_in_no_other_way(desk: Desk, auth: str, said: list[str]) -> None:
    record = desk.one(f"{{receive: {{at: maildrop, user: u0@example.test, auth: {auth}}}}}")
    assert record.end == "connected"
    heard = desk.servers.commands("pop3")
    assert [line for line in heard if line.startswith(("USER", "PASS", "APOP", "AUTH"))] == said
    assert heard[-1] == "QUIT"


def test_a_pop3_server_without_apop_is_named_as_such_and_gets_no_password(tmp_path: Path) -> None:
    with MailServers(tls="none", apop=False) as lacking:
        at = f"{{protocol: pop3, host: 127.0.0.1, port: {lacking.ports.pop3}, security: none, password: p, auth: apop}}"
        record = fly(read(tmp_path, f"trips: {{a: {{receive: {{at: {at}, user: u@example.test}}}}}}\n"))["a"]
        assert record.end == "login-failed"
        assert "the server has no APOP" in record.what
        assert not [line for line in lacking.commands("pop3") if line.startswith(("USER", "PASS", "APOP", "AUTH"))]


def test_the_connection_interval_bounds_the_gap_between_two_looks(desk: Desk) -> None:
    desk.servers.delivery_delay_s = 1.0
    often, rarely = (
        f"{{send: {{via: out, from: a@example.org, to: {user}@example.test}},"
        f" receive: {{at: maildrop, interval: {interval}}}}}"
        for user, interval in (("u0", "100ms"), ("u1", "700ms"))
    )
    found = desk.fly(f"  often: {often}\n  rarely: {rarely}\n")
    assert {record.end for record in found.values()} == {"delivered"}
    logins = {user: len(desk.heard(f"{user}@example.test", "pop3")) for user in ("u0", "u1")}
    assert logins["u0"] > logins["u1"] >= 2


def test_a_mail_that_is_not_there_within_the_maximum_trip_time_is_lost(desk: Desk) -> None:
    desk.servers.delivery_delay_s = 60
    record = desk.one(f"{{timeout: 300ms, {SEND}, receive: {{at: in}}}}")
    assert (record.end, record.alertsite, record.passed) == ("lost", 2, False)
    assert record.left_behind
    assert len(desk.servers.ledger.accepted) == 1


def test_the_folder_that_is_named_is_the_one_that_is_opened(desk: Desk) -> None:
    assert desk.one("{receive: {at: in, user: u0@example.test, mailbox: Trash}}").end == "connected"
    assert [line.split()[1:] for line in desk.heard("EXAMINE", "imap")] == [["EXAMINE", '"Trash"']]


def test_a_mailbox_named_like_the_sender_is_refused(desk: Desk) -> None:
    with pytest.raises(DefinitionError, match=r"2:\d+: receive\.mailbox: is the sender's address"):
        desk.one(f"{{{SEND}, receive: {{at: in, mailbox: A@example.org}}}}")


def test_an_account_may_write_to_itself_and_its_sent_copy_is_no_arrival(desk: Desk) -> None:
    account = desk.servers.account("u0@example.test")
    to_itself = "send: {via: out, from: u0@example.test, to: u0@example.test}"
    delivered = desk.one(f"{{{to_itself}, receive: {{at: in, delete: false}}}}")
    assert delivered.end == "delivered"
    (mail,) = desk.servers.ledger.delivered
    account.deliver(mail.message, "Sent")
    desk.servers.delivery_delay_s = 60
    lost = desk.one(f"{{timeout: 300ms, {to_itself}, receive: {{at: in}}}}")
    assert lost.end == "lost"
    assert [len(account.messages), len(account.messages_in("Sent"))] == [1, 1]
    assert not [line for line in desk.servers.commands("imap") if "Sent" in line]


@pytest.mark.parametrize(("search", "asks"), [("new", False), ("server", True), ("all", False)])
def test_the_mail_is_searched_for_by_the_server_or_here(desk: Desk, search: str, asks: bool) -> None:
    account = desk.servers.account("u0@example.test")
    for number in range(3):
        account.deliver(f"Subject: stranger {number}\r\n\r\n".encode())
    record = desk.one(f"{{{SEND}, receive: {{at: in, search: {search}}}}}")
    assert record.end == "delivered"
    lines = [line.partition(" ")[2] for line in desk.servers.commands("imap")]
    assert (f'UID SEARCH HEADER "Subject" "{record.token}"' in lines) == asks
    first = {"new": "4:*", "server": "4", "all": "1:*"}[search]
    looks = [line for line in lines if line.startswith("UID FETCH") and "X-Mailtrip" in line]
    assert looks[0].startswith(f"UID FETCH {first} ")
    assert len(account.messages) == 3


@pytest.mark.parametrize(
    ("at", "port", "said"),
    [("in", "imap", ["UID STORE 1 +FLAGS.SILENT (\\Deleted)", "UID EXPUNGE 1"]), ("maildrop", "pop3", ["DELE 1"])],
)
def test_the_mail_is_deleted_once_it_was_retrieved(desk: Desk, at: str, port: PortName, said: list[str]) -> None:
    assert desk.one(f"{{{SEND}, receive: {{at: {at}}}}}").end == "delivered"
    lines = [line.partition(" ")[2] if port == "imap" else line for line in desk.servers.commands(port)]
    assert [line for line in lines if line in said] == said
    assert len(desk.servers.ledger.deleted) == 1
    fetched = next(n for n, line in enumerate(lines) if "BODY.PEEK[]" in line or line.startswith("RETR"))
    assert lines.index(said[0]) > fetched


@pytest.mark.parametrize("password", [" with spaces ", "100%!*", "\"quo\\ted'", "pässwörd €", "{1}", "#:@/?&"])
def test_any_character_may_stand_in_a_password(desk: Desk, password: str) -> None:
    address = f"p{len(password)}@example.test"
    desk.servers.account(address, password)
    quoted = '"' + password.replace("\\", "\\\\").replace('"', '\\"') + '"'
    found = desk.fly(
        f"  imap: {{send: {{via: out, user: {address}, password: {quoted}, from: a@example.org, to: {address}}},"
        f" receive: {{at: in, password: {quoted}}}}}\n"
        f"  pop3: {{receive: {{at: maildrop, user: {address}, password: {quoted}}}}}\n"
        f"  apop: {{receive: {{at: maildrop, user: {address}, password: {quoted}, auth: apop}}}}\n"
    )
    assert {name: record.end for name, record in found.items()} == {
        "imap": "delivered",
        "pop3": "connected",
        "apop": "connected",
    }
    assert desk.heard("AUTH")
    assert desk.heard("APOP", "pop3")
    assert PASSWORD not in str(found)


def test_the_response_times_of_both_servers_and_their_sum_are_channels(desk: Desk) -> None:
    found = desk.fly(f"  imap: {{{SEND}, receive: {{at: in}}}}\n  pop3: {{{SEND}, receive: {{at: maildrop}}}}\n")
    for record in found.values():
        smtp, mailbox, responses = (
            record.channels[name] for name in (Channel.SMTP, Channel.MAILBOX, Channel.RESPONSES)
        )
        assert 0 < smtp < responses
        assert 0 < mailbox < responses
        assert responses == pytest.approx(smtp + mailbox, abs=2e-6)
