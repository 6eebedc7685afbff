"""Trips from YAML: the ways to look, to delete and to name a folder, and that the mail of others stays as it was."""

import imaplib
import ssl
import uuid
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.realservers.running import password, quoted, run_trips
from tests.realservers.servers import Account, RealServers, StoredMail

MAC = "0" * 64


def trip(
    name: str, to: str, account: Account, receive: str, *, at: str = "in", subject: str = "", more: str = ""
) -> str:
    """A trip to an address, watched for in the account's mailbox."""
    send = f"{{via: out, from: a@example.org, to: {to}{f', subject: {subject}' if subject else ''}}}"
    leg = f"{{at: {at}, user: {account.address}, password: {password(account)}{receive}}}"
    return f"{name}: {{send: {send}, receive: {leg}{more}}}"


@contextmanager
def imap(servers: RealServers, account: Account) -> Generator[imaplib.IMAP4]:
    """The owner's own client."""
    trust = ssl.create_default_context(cafile=servers.ca)
    with imaplib.IMAP4_SSL(servers.host, servers.ports.imaps, ssl_context=trust) as client:
        client.login(account.address, account.password)
        yield client


# Ways to look and to delete


def test_each_way_to_look_finds_the_mail_and_delete_decides_whether_it_stays(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    account, folder = real_servers.users[17], "Trash"
    ways = {
        "new": "",
        "server": ", search: server",
        "all": ", search: all",
        "no push": ", push: false",
        "server, no push": ", search: server, push: false",
        "kept": ", delete: false",
        "moved": f", delete: {{move_to: {folder}}}",
    }
    pop3 = {"by pop3": "", "all by pop3": ", search: all", "kept by pop3": ", delete: false"}
    run = run_trips(
        pytester,
        real_servers,
        [
            *(trip(f'"{name}"', account.address, account, receive) for name, receive in ways.items()),
            *(trip(name, account.address, account, receive, at="maildrop") for name, receive in pop3.items()),
        ],
    )
    assert run.ends() == dict.fromkeys([*ways, *pop3], "delivered")
    assert [name for name in run.records if run.messages(name, account)] == ["kept", "kept by pop3"]
    assert [name for name in run.records if run.messages(name, account, folder)] == ["moved"]
    assert not real_servers.arrived(account, run.records["kept"].token).flags
    for name, record in run.records.items():
        said = [line.text for line in record.transcript if line.direction == ">"]
        assert bool([line for line in said if "SEARCH HEADER" in line]) >= ("server" in name)
        assert not ("no push" in name and [line for line in said if line.endswith("IDLE")])


# Folders


def test_a_folder_with_an_odd_name_opens_takes_what_is_moved_there_and_is_watched(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    probe, folder = real_servers.probe, real_servers.odd_folder
    watched = f"filtered-{uuid.uuid4().hex}"
    login = f'at: in, user: {probe.address}, password: "${{env:MAILTRIP_REAL_PASSWORD}}"'
    send = f"via: out, from: a@example.org, to: {probe.address}"

    def owners_filter() -> None:
        """A rule of the owner's: the mail with this subject belongs into the folder."""
        real_servers.put_mail(probe, real_servers.arrived(probe, watched).raw, folder)

    with ThreadPoolExecutor(1) as owner:
        rule = owner.submit(owners_filter)
        run = run_trips(
            pytester,
            real_servers,
            [
                f"opened: {{receive: {{{login}, mailbox: {quoted(folder)}}}}}",
                f"moved: {{send: {{{send}}}, receive: {{{login}, delete: {{move_to: {quoted(folder)}}}}}}}",
                f"watched: {{send: {{{send}, subject: {watched}}}, receive: {{{login}, mailbox: {quoted(folder)}}}}}",
                f"missing: {{receive: {{{login}, mailbox: {quoted(folder + '?')}}}}}",
            ],
        )
        rule.result()
    assert run.ends() == {"opened": "connected", "moved": "delivered", "watched": "delivered", "missing": "refused"}
    assert len(run.messages("moved", probe, folder)) == 1
    assert not run.messages("moved", probe)
    assert not run.messages("watched", probe, folder)
    assert len(run.messages("watched", probe)) == 1  # the rule copied it, and this copy is in nobody's charge
    assert run.records["missing"].alertsite == 3


# The mail of others


def foreign_mails() -> Iterator[tuple[str, bytes]]:
    """Mails that are not ours, however much they look like it, each with the flags that its owner set."""
    token = str(uuid.uuid4()).upper()
    subject = f"mailtrip roundtrip: {{{token}}}"
    stamp = f"X-Mailtrip: {token}; expires=1; mac={MAC}\r\n"
    plain = "From: friend@example.org\r\nSubject: Hello\r\n"
    for flags in ("", r"\Seen", r"\Flagged \Answered", r"\Deleted", r"\Seen \Deleted"):
        yield flags, f"{plain}\r\nBytes as they are:\ttab, trailing blank \r\n\x1b\r\n".encode()
    yield "", f"Subject: Re: {subject}\r\nIn-Reply-To: <{token.lower()}@example.org>\r\n{stamp}\r\nA reply\r\n".encode()
    yield "", f"Subject: {subject}\r\nMessage-ID: <{token.lower()}@example.org>\r\n{stamp}\r\nForged\r\n".encode()
    yield r"\Deleted", f"Subject: {subject}\r\nMessage-ID: <{token.lower()}@example.org>\r\n\r\nNo header\r\n".encode()


def lay_out(servers: RealServers, account: Account) -> list[StoredMail]:
    """Puts foreign mails into a mailbox, most of them seen by their owner and one not yet; what lies there then."""
    for flags, raw in foreign_mails():
        name = servers.put_mail(account, raw)
        with imap(servers, account) as client:
            client.select()
            _, (uids,) = client.uid("SEARCH", "ALL")
            if flags:
                client.uid("STORE", uids.split()[-1].decode(), "+FLAGS", f"({flags})")
            client.unselect()
        (stored,) = [mail for mail in servers.maildir_messages(account) if mail.name == name]
        assert len(stored.flags) == flags.count("\\")
    servers.put_mail(account, b"Subject: unseen by anybody\r\n\r\nstill recent\r\n")
    return servers.maildir_messages(account)


def is_the_same_but_for_recent(before: StoredMail, after: StoredMail) -> bool:
    return (before.name, before.flags, before.raw) == (after.name, after.flags, after.raw)


@pytest.mark.parametrize(("at", "user"), [("in", 15), ("maildrop", 16)], ids=["imap", "pop3"])
def test_the_mail_of_others_is_left_as_it_was_by_trips_that_end_well_and_by_those_that_do_not(
    pytester: pytest.Pytester, real_servers: RealServers, at: str, user: int
) -> None:
    account, nowhere = real_servers.users[user], real_servers.special.blackhole
    before = lay_out(real_servers, account)
    soon = ", timeout: 1s"
    ways = {"new": "", "all": ", search: all", "dedicated": ", mailbox_is_dedicated: true, match: subject, search: all"}
    if at == "in":
        ways |= {"server": ", search: server", "moved": ", delete: {move_to: Junk}"}
    run = run_trips(
        pytester,
        real_servers,
        [
            *(trip(f"{name} delivered", account.address, account, way, at=at) for name, way in ways.items()),
            *(trip(f"{name} lost", nowhere, account, way, at=at, more=soon) for name, way in ways.items()),
            trip("refused", real_servers.special.reject, account, "", at=at),
            f"connected: {{receive: {{at: {at}, user: {account.address}, password: {password(account)}}}}}",
        ],
    )
    for name, end in run.ends().items():
        assert end == {"refused": "rejected", "connected": "connected"}.get(name, name.split()[-1])
    after = real_servers.maildir_messages(account)
    assert [mail.name for mail in after] == [mail.name for mail in before]
    assert all(is_the_same_but_for_recent(*pair) for pair in zip(before, after, strict=True))
    with imap(real_servers, account) as client:
        client.select(readonly=True)
        assert len(client.uid("SEARCH", "DELETED")[1][0].split()) == 3


def test_a_mailbox_that_is_only_looked_at_keeps_its_recent_mail(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    account = real_servers.users[14]
    name = real_servers.put_mail(account, b"Subject: hello\r\n\r\nhello\r\n")
    connect = f"{{at: in, user: {account.address}, password: {password(account)}}}"
    lost = trip("lost", real_servers.special.blackhole, account, "", more=", timeout: 500ms")
    for trips in ([f"connected: {{receive: {connect}}}"], [lost]):
        run_trips(pytester, real_servers, trips)
        (mail,) = [mail for mail in real_servers.maildir_messages(account) if mail.name == name]
        pytester.path.joinpath("out.jsonl").unlink()
        assert (mail.flags, mail.recent) == ("", True), trips
