"""What PRTG advises against or cannot do: more than 200 at once, IPv6, a mailbox that many share."""

import pytest

from tests.parity.conftest import Desk

SEND = "send: {via: out, from: a@example.org, to: u%d@example.test}"


def test_more_than_200_trips_fly_in_one_run(desk: Desk) -> None:
    found = desk.fly("".join(f"  t{n}: {{{SEND % (n % 4)}, receive: {{at: in}}}}\n" for n in range(250)))
    assert {record.end for record in found.values()} == {"delivered"}
    assert len(found) == len(desk.servers.ledger.deleted) == 250
    assert len(desk.heard("LOGIN", "imap")) == 4


@pytest.mark.parametrize("at", ["in", "maildrop"])
def test_several_trips_share_a_mailbox_and_each_finds_its_own(desk: Desk, at: str) -> None:
    found = desk.fly("".join(f"  t{n}: {{{SEND % 0}, receive: {{at: {at}}}}}\n" for n in range(5)))
    assert {record.end for record in found.values()} == {"delivered"}
    assert len({record.token for record in found.values()}) == len(desk.servers.ledger.deleted) == 5


def test_ipv6_is_spoken_where_the_family_says_so(desk: Desk) -> None:
    if "::1" not in desk.servers.addresses:
        pytest.skip("this machine has no ::1")
    ports = desk.servers.ports
    where = "host: '::1', family: ipv6, security: none"
    record = desk.one(
        f"{{send: {{via: {{{where}, port: {ports.smtp}}}, from: a@example.org, to: u0@example.test}},"
        f" receive: {{at: {{protocol: imap, {where}, port: {ports.imap}}}, password: secret word}}}}"
    )
    assert record.end == "delivered"
    assert all("[::1]" in host for host in record.hosts.values())
    (delivered,) = desk.servers.ledger.delivered
    assert b"([::1])" in delivered.message or b"([IPv6:::1])" in delivered.message


def test_a_family_that_the_host_lacks_is_not_replaced_by_the_other(desk: Desk) -> None:
    via = f"{{host: 127.0.0.1, family: ipv6, port: {desk.servers.ports.smtp}, security: none}}"
    record = desk.one(f"{{send: {{via: {via}, from: a@example.org, to: u0@example.test}}}}")
    assert (record.end, record.alertsite) == ("unresolved", 51)
    assert desk.servers.commands("smtp") == []
