"""The way of a mail server: the recipient domain's MX records, tried in order (RFC 5321 §5.1)."""

import asyncio
import importlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from mailtrip_checks.errors import TimedOut, TripError, Unreachable, Unresolved
from mailtrip_checks.trips import Endpoint
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.smtp import SmtpSession
from mailtrip_checks.wire.transcript import Stages, Transcript

if TYPE_CHECKING:
    from mailtrip_checks.dns_lookup import Lookup

DNS_LIFETIME_S = 5.0  # of one question
HOST_PATIENCE_S = 10.0  # to greet us, while another host of the domain is left to try
_INSTALL = "Install dnspython: python -m pip install 'pytest-mailtrip[mx]'; or name a server under `via`."
_TAKES_NO_MAIL = "Check the recipient's spelling; if a server takes its mail all the same, name it under `via`."


class MailExchangers:
    """Opens sessions with endpoints whose `mx` is true. `rng` decides between equal preferences."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    async def open(
        self,
        endpoint: Endpoint,
        network: Network,
        *,
        helo: str | None,
        stages: Stages,
        transcript: Transcript,
        warn: Callable[[str], None],
    ) -> SmtpSession:
        """As `SmtpSession.open`, with the first host that greets us; `endpoint.host` is the recipient's domain.

        Stage `mx` before the others. Only a host that cannot be found, reached or heard is passed over: one that
        refuses us has answered. Raises also Unresolved for a domain that does not exist or has a null MX (RFC 7505).
        """
        with stages.of("mx"):
            literal = _address_literal(endpoint.host)
            lookup = None if literal else await _lookup(endpoint)
            hosts = [literal] if lookup is None else await self._hosts(lookup, endpoint.host, transcript)
        failures: list[TripError] = []
        for left, host in reversed(list(enumerate(reversed(hosts)))):
            try:
                there = await _located(endpoint, host, lookup, stages)
                bound = within(network.clock, HOST_PATIENCE_S, f"the greeting of {host}") if left else nullcontext()
                async with bound:
                    return await SmtpSession.open(
                        there, network, helo=helo, stages=stages, transcript=transcript, warn=warn
                    )
            except (Unresolved, Unreachable, TimedOut) as error:
                transcript.note(error.what)
                failures.append(error)
        raise _none_answers(endpoint.host, failures)

    async def _hosts(self, lookup: "Lookup", domain: str, transcript: Transcript) -> list[str]:
        """The hosts in the order in which to try them; the domain itself where it has no MX record."""
        records = await lookup.mail_exchangers(domain)
        if not records:
            transcript.note(f"{domain} has no MX record: its own address is used")
            return [domain]
        transcript.note(f"MX of {domain}: " + ", ".join(f"{order} {host or '.'}" for order, host in sorted(records)))
        named = sorted(record for record in records if record[1])
        if not named:
            what = f"{domain} says that it takes no mail: its MX record is null (RFC 7505)"
            raise Unresolved(what, advice=_TAKES_NO_MAIL)
        self._rng.shuffle(named)
        return [host for _, host in sorted(named, key=lambda record: record[0])]


async def _lookup(endpoint: Endpoint) -> "Lookup":
    try:
        # In a thread: the import takes longer than other trips should have to wait.
        await asyncio.to_thread(importlib.import_module, "dns.asyncresolver")
    except ModuleNotFoundError as error:
        raise Unresolved("MX records cannot be looked up: dnspython is not installed", advice=_INSTALL) from error
    from mailtrip_checks.dns_lookup import Lookup

    return Lookup(endpoint.dns, DNS_LIFETIME_S)


async def _located(endpoint: Endpoint, host: str, lookup: "Lookup | None", stages: Stages) -> Endpoint:
    """The endpoint of one host, with its addresses: those that the same resolver knows."""
    if lookup is None:
        return replace(endpoint, host=host)
    with stages.of("resolve"):
        return replace(endpoint, host=host, addresses=tuple(await lookup.addresses(host, endpoint.family)))


def _address_literal(domain: str) -> str:
    """The address in `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3); "" for a name."""
    if not (domain.startswith("[") and domain.endswith("]")):
        return ""
    inner = domain[1:-1]
    return inner[5:] if inner.lower().startswith("ipv6:") else inner


def _none_answers(domain: str, failures: list[TripError]) -> TripError:
    """What to raise where every host failed: the one kind of failure that there was, else Unreachable."""
    if len(failures) == 1:
        return failures[0]
    what = f"no mail server of {domain} can be reached ({'; '.join(one.what for one in failures)})"
    kinds = {type(one) for one in failures}
    error = kinds.pop()(what) if len(kinds) == 1 else Unreachable(what)
    error.leg, error.stage = failures[-1].leg, failures[-1].stage
    return error
