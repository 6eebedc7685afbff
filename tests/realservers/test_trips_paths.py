"""Trips from YAML: the ways that mail takes behind the 250, and where it ends, as Postfix and the mailboxes tell."""

import pytest

from tests.realservers.running import password, run_trips
from tests.realservers.servers import DOMAIN, Account, RealServers


def round_trip(name: str, to: str, account: Account, *, send: str = "", receive: str = "", more: str = "") -> str:
    """A trip to an address, watched for in the account's mailbox."""
    leg = f"{{at: in, user: {account.address}, password: {password(account)}{receive}}}"
    return f"{name}: {{send: {{via: out, from: a@example.org, to: {to}{send}}}, receive: {leg}{more}}}"


def test_mail_is_found_where_aliases_details_and_lists_lead_it(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    users, special = real_servers.users, real_servers.special
    run = run_trips(
        pytester,
        real_servers,
        [
            round_trip("forward", special.forward, users[1]),
            round_trip("detail", f"u0000+detail@{DOMAIN}", users[0]),
            round_trip("list", special.list, users[2]),
            round_trip("two", f"[{users[5].address}, {users[1].address}]", users[1]),
        ],
    )
    assert set(run.ends().values()) == {"delivered"}
    assert f"orig_to=<{special.forward}>" in run.received("forward")["lmtp"]
    assert not run.messages("forward", users[1])
    assert not run.messages("detail", users[0])
    assert not run.messages("list", users[2])
    # The copies of others are theirs: they are seen by nobody, and stay.
    for name, account in (("list", users[3]), ("list", users[4]), ("two", users[5])):
        copy = real_servers.arrived(account, run.records[name].token)
        assert (copy.flags, copy.recent) == ("", True)


def test_each_refusal_ends_by_its_name_and_nothing_arrives(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    user, special = real_servers.users[0], real_servers.special

    def to(address: str, more: str) -> str:
        return f"{{send: {{via: out, from: a@example.org, to: {address}}}, expect: {{{more}}}}}"

    relay = f"send: {{via: out, from: a@example.org, to: {special.elsewhere}, until: rcpt}}"
    submission = f"{{host: localhost, port: {real_servers.ports.submission_plain}, security: none}}"
    no_login = f"{{via: {submission}, from: a@example.org, to: {user.address}}}"
    run = run_trips(
        pytester,
        real_servers,
        [
            f"reject: {to(special.reject, 'outcome: rejected, reply: 550')}",
            f"unknown: {to(special.unknown, 'outcome: rejected, reply: 5.1.1')}",
            f"wrong reply: {to(special.unknown, 'outcome: rejected, reply: 554')}",
            f"defer: {to(special.defer, 'outcome: rejected')}",
            f"one of two: {to(f'[{user.address}, {special.reject}]', 'outcome: rejected, reply: /No such user/')}",
            f"relay: {{{relay}, expect: {{outcome: rejected, reply: 5.7.1}}}}",
            f"open: {{send: {{via: out, from: a@example.org, to: {user.address}, until: rcpt}}}}",
            f"no login: {{send: {no_login}, expect: {{outcome: rejected, reply: 554}}}}",
        ],
    )
    assert {name: (record.end.value, record.passed, record.alertsite) for name, record in run.records.items()} == {
        "reject": ("rejected", True, 0),
        "unknown": ("rejected", True, 0),
        "wrong reply": ("rejected", False, 3),
        "defer": ("deferred", False, 3),
        "one of two": ("rejected", True, 0),
        "relay": ("rejected", True, 0),
        "open": ("accepted", True, 0),
        "no login": ("rejected", True, 0),
    }
    assert run.records["reject"].replies[-1].text.startswith("550 5.1.1")
    assert run.records["defer"].replies[-1].text.startswith("451 4.3.0")
    assert run.postfix.lines("NOQUEUE: reject: RCPT", special.elsewhere, "Relay access denied")
    assert not run.postfix.lines("message-id=")
    assert not [name for name in run.records if run.messages(name, user)]


def test_mail_that_vanishes_or_bounces_is_undelivered_and_the_report_stays(
    pytester: pytest.Pytester, real_servers: RealServers
) -> None:
    sender, special = real_servers.users[18], real_servers.special
    expected = "timeout: 2s, expect: {outcome: undelivered}"
    bounced = f"via: out, from: {sender.address}, to: {special.bounce}"
    dedicated = "mailbox_is_dedicated: true, match: subject"
    watch = f"at: in, user: {sender.address}, password: {password(sender)}"
    pop3 = f"at: maildrop, user: {sender.address}, password: {password(sender)}"
    run = run_trips(
        pytester,
        real_servers,
        [
            round_trip("blackhole", special.blackhole, sender, more=f", {expected}"),
            round_trip("hoped for", special.blackhole, sender, more=", timeout: 2s"),
            f"bounce: {{send: {{{bounced}}}, receive: {{{watch}}}, {expected}}}",
            f"bounce in all: {{send: {{{bounced}}}, receive: {{{watch}, search: all, {dedicated}}}, {expected}}}",
            f"bounce by search: {{send: {{{bounced}}}, receive: {{{watch}, search: server}}, {expected}}}",
            f"bounce by pop3: {{send: {{{bounced}}}, receive: {{{pop3}, {dedicated}}}, {expected}}}",
        ],
    )
    assert set(run.ends().values()) == {"lost"}
    assert {name for name, record in run.records.items() if not record.passed} == {"hoped for"}
    assert run.records["hoped for"].alertsite == 2
    for name, record in run.records.items():
        assert record.accepted_s
        assert record.bracket is None
        assert record.left_behind
        if name in ("blackhole", "hoped for"):
            assert "relay=none" in run.received(name)["discard"]
        else:
            report = real_servers.arrived(sender, record.token)
            assert b"Content-Type: multipart/report" in report.raw
            assert report.flags == ""
