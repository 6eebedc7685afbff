"""MX records from a DNS server on loopback, and the servers that they name."""

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random

import pytest

from mailtrip_checks import mx
from mailtrip_checks.clock import SystemClock
from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import Refused, TimedOut, TripError, Unreachable, Unresolved
from mailtrip_checks.mx import MailExchangers
from mailtrip_checks.trips import Endpoint, Family, Protocol, Security
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.smtp import SmtpSession
from mailtrip_checks.wire.transcript import Stages, Transcript
from tests.checks.dns_server import SILENT, DnsServer, dns_server

pytestmark = pytest.mark.asyncio

Play = Callable[..., AbstractAsyncContextManager[int]]

GREETED = "S: 220 mail.test ESMTP\nC: EHLO client.test\nS: 250 mail.test\n"
LEFT = f"{GREETED}C: QUIT\nS: 221 bye"
HERE, DEAD = "127.0.0.1", "127.0.0.9"  # at DEAD nobody listens


class Way:
    """One attempt, and what it left behind."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.network = Network(clock)
        self.stages = Stages(clock, Leg.SMTP)
        self.transcript = Transcript(clock, Leg.SMTP, self.network.masker)

    async def open(
        self, dns: DnsServer | None, port: int, domain: str = "a.test", family: Family = Family.ANY, seed: int = 1
    ) -> SmtpSession:
        server = (HERE, dns.port) if dns else None
        endpoint = Endpoint("mx", Protocol.SMTP, domain, port, Security.NONE, family=family, mx=True, dns=server)
        return await MailExchangers(Random(seed)).open(
            endpoint,
            self.network,
            helo="client.test",
            stages=self.stages,
            transcript=self.transcript,
            warn=lambda _: None,
        )

    async def host(self, dns: DnsServer | None, port: int, domain: str = "a.test") -> str:
        """The host that took us."""
        session = await self.open(dns, port, domain)
        await session.close()
        return session.host

    @property
    def names(self) -> list[str]:
        return [stage.name for stage in self.stages.taken]

    @property
    def notes(self) -> str:
        return "\n".join(line.text for line in self.transcript.since(0).lines())


@pytest.fixture
def way() -> Way:
    return Way()


async def test_the_lowest_preference_is_tried_first(way: Way, play: Play) -> None:
    zone = {"a.test MX": "20 two.test., 10 one.test.", "one.test A": HERE, "two.test A": DEAD}
    with dns_server(zone) as dns:
        async with play(LEFT) as port:
            assert await way.host(dns, port) == f"one.test:{port} [127.0.0.1]"
    assert way.names == ["mx", "resolve", "connect"]
    assert "MX of a.test: 10 one.test, 20 two.test" in way.notes
    assert not any(question.startswith("two.test") for question in dns.asked)


async def test_a_host_that_nobody_reaches_is_passed_over(way: Way, play: Play) -> None:
    zone = {"a.test MX": "10 one.test., 20 two.test.", "one.test A": DEAD, "two.test A": HERE}
    with dns_server(zone) as dns:
        async with play(LEFT) as port:
            assert await way.host(dns, port) == f"two.test:{port} [127.0.0.1]"
    assert "one.test" in way.notes
    assert "connection refused" in way.notes


async def test_of_a_hosts_addresses_the_next_is_tried(way: Way, play: Play) -> None:
    zone = {"a.test MX": "10 one.test.", "one.test A": f"{DEAD}, {HERE}"}
    with dns_server(zone) as dns:
        async with play(LEFT) as port:
            assert await way.host(dns, port) == f"one.test:{port} [127.0.0.1]"


async def test_a_host_without_an_address_is_passed_over(way: Way, play: Play) -> None:
    zone = {
        "a.test MX": "1 gone.test., 2 ill.test., 3 bare.test., 4 192.0.2.1., 5 good.test.",
        "ill.test A": "SERVFAIL",
        "ill.test AAAA": "SERVFAIL",
        "bare.test TXT": '"x"',
        "good.test A": HERE,
    }
    with dns_server(zone) as dns:
        async with play(LEFT) as port:
            assert await way.host(dns, port) == f"good.test:{port} [127.0.0.1]"
    for told in ("gone.test does not exist", "SERVFAIL", "no address for bare.test", "192.0.2.1 does not exist"):
        assert told in way.notes


async def test_a_host_that_keeps_silent_is_passed_over(way: Way, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mx, "HOST_PATIENCE_S", 0.05)
    zone = {"a.test MX": "10 one.test., 20 two.test.", "one.test A": HERE, "two.test A": HERE}
    with dns_server(zone) as dns:
        async with play("", LEFT) as port:
            assert await way.host(dns, port) == f"two.test:{port} [127.0.0.1]"
    assert "the greeting of one.test: no answer within 0.05 s" in way.notes


async def test_a_host_that_closes_before_it_greets_is_passed_over(way: Way, play: Play) -> None:
    zone = {"a.test MX": "10 one.test., 20 two.test.", "one.test A": HERE, "two.test A": HERE}
    with dns_server(zone) as dns:
        async with play("CLOSE", LEFT) as port:
            assert await way.host(dns, port) == f"two.test:{port} [127.0.0.1]"


async def test_a_host_that_refuses_us_has_answered(way: Way, play: Play) -> None:
    zone = {"a.test MX": "10 one.test., 20 two.test.", "one.test A": HERE, "two.test A": HERE}
    with dns_server(zone) as dns:
        async with play("S: 554 not you") as port:
            with pytest.raises(Refused):
                await way.open(dns, port)


async def test_equal_preferences_come_in_random_order(play: Play) -> None:
    hosts = [f"h{n}.test" for n in range(4)]
    zone = {"a.test MX": ", ".join(f"10 {host}." for host in hosts)} | {f"{host} A": HERE for host in hosts}
    seen: dict[int, str] = {}
    with dns_server(zone) as dns:
        for seed in (*range(8), 0):
            async with play(LEFT) as port:
                session = await Way().open(dns, port, seed=seed)
                await session.close()
            host = session.host.partition(":")[0]
            assert seen.setdefault(seed, host) == host  # the same with the same seed
    assert len(set(seen.values())) > 1


async def test_without_an_mx_record_the_domains_own_address_is_used(way: Way, play: Play) -> None:
    with dns_server({"a.test A": HERE}) as dns:
        async with play(LEFT) as port:
            assert await way.host(dns, port) == f"a.test:{port} [127.0.0.1]"
    assert "a.test has no MX record" in way.notes


async def test_a_cname_is_followed_from_the_domain_and_from_the_host(way: Way, play: Play) -> None:
    zone = {"a.test CNAME": "b.test", "b.test MX": "10 c.test.", "c.test CNAME": "d.test", "d.test A": HERE}
    with dns_server(zone) as dns:
        async with play(LEFT) as port:
            assert await way.host(dns, port) == f"c.test:{port} [127.0.0.1]"


async def test_an_address_literal_needs_no_dns(way: Way, play: Play) -> None:
    async with play(LEFT) as port:
        assert await way.host(None, port, "[127.0.0.1]") == f"127.0.0.1:{port} [127.0.0.1]"
    with pytest.raises(Unreachable, match=r"::ffff:127.0.0.1:\d+ cannot be reached"):
        await way.open(None, 1, "[IPv6:::ffff:127.0.0.1]")


@pytest.mark.parametrize(
    ("zone", "what"),
    [
        ({}, "a.test does not exist in the DNS"),
        ({"a.test MX": "SERVFAIL"}, r"the resolver 127\.0\.0\.1:\d+ could not answer \(MX of a.test: SERVFAIL\)"),
        ({"a.test MX": "REFUSED"}, r"could not answer \(MX of a.test: REFUSED\)"),
        ({"a.test MX": SILENT}, r"the resolver 127\.0\.0\.1:\d+ did not answer within 0\.2 s \(MX of a.test\)"),
        ({"a.test MX": "0 ."}, r"a\.test says that it takes no mail: its MX record is null \(RFC 7505\)"),
        ({"a.test TXT": '"x"'}, "no address for a.test"),
        ({"a.test MX": "10 b.test."}, "b.test does not exist"),
        (
            {"a.test MX": "10 b.test., 20 c.test."},
            r"no mail server of a.test can be reached \(b.test does not exist in the DNS; c.test does not",
        ),
    ],
)
async def test_a_domain_without_a_way_is_unresolved(
    way: Way, zone: dict[str, str], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mx, "DNS_LIFETIME_S", 0.2)
    with dns_server(zone) as dns, pytest.raises(Unresolved, match=what) as caught:
        await way.open(dns, 25)
    assert (caught.value.leg, caught.value.stage in {"mx", "resolve"}) == (Leg.SMTP, True)


async def test_a_null_mx_beside_others_is_passed_over(way: Way, play: Play) -> None:
    with dns_server({"a.test MX": "0 ., 10 one.test.", "one.test A": HERE}) as dns:
        async with play(LEFT) as port:
            assert await way.host(dns, port) == f"one.test:{port} [127.0.0.1]"


@pytest.mark.parametrize("domain", ["a..test", f"{'a' * 64}.test", "\ud800.test"])
async def test_what_is_no_domain_name_is_unresolved(way: Way, domain: str) -> None:
    with dns_server({}) as dns, pytest.raises(Unresolved, match="cannot be looked up"):
        await way.open(dns, 25, domain)
    assert dns.asked == []


async def test_hosts_that_fail_in_several_ways_are_unreachable(way: Way) -> None:
    zone = {"a.test MX": "10 one.test., 20 gone.test.", "one.test A": DEAD}
    with dns_server(zone) as dns, pytest.raises(Unreachable, match=r"connection refused.*; gone.test does not exist"):
        await way.open(dns, 25)


async def test_hosts_that_all_keep_silent_are_a_time_out(way: Way, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mx, "HOST_PATIENCE_S", 0.05)
    zone = {"a.test MX": "10 one.test., 20 two.test.", "one.test A": HERE, "two.test A": HERE}
    raised: list[TripError] = []
    with dns_server(zone) as dns:
        async with play("", "CLOSE") as port:
            with pytest.raises(Unreachable, match=r"the greeting of one.test: no answer.*two.test") as caught:
                await way.open(dns, port)
            raised.append(caught.value)
    assert not isinstance(raised[0], TimedOut)


@pytest.mark.parametrize(
    ("family", "kinds"), [(Family.IPV4, {"A"}), (Family.IPV6, {"AAAA"}), (Family.ANY, {"AAAA", "A"})]
)
async def test_only_addresses_of_the_family_are_asked_for(way: Way, family: Family, kinds: set[str]) -> None:
    zone = {"a.test MX": "10 one.test.", "one.test A": DEAD, "one.test AAAA": "::ffff:127.0.0.9"}
    with dns_server(zone) as dns, pytest.raises(Unreachable) as caught:
        await way.open(dns, 25, family=family)
    assert {question.partition(" ")[2] for question in dns.asked} - {"MX"} == kinds
    assert str(caught.value).count("refused") == len(kinds)


async def test_a_family_that_a_host_lacks_is_named(way: Way) -> None:
    with dns_server({"a.test A": HERE}) as dns, pytest.raises(Unresolved, match=r"no ipv6 address for a\.test"):
        await way.open(dns, 25, family=Family.IPV6)


async def test_without_dnspython_it_says_how_to_install_it(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "dns" or name.startswith("dns.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dns", None)
    with pytest.raises(Unresolved, match="dnspython is not installed") as caught:
        await way.open(None, 25)
    assert "pip install 'pytest-mailtrip[mx]'" in caught.value.advice


async def test_a_machine_without_a_resolver_says_so(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    import dns.resolver

    def none(self: object, _: str) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", none)
    with pytest.raises(Unresolved, match="this machine has no resolver"):
        await way.open(None, 25)
