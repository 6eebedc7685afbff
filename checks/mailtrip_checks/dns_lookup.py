"""DNS by dnspython. It is an extra, so only who looks up MX records imports this module."""

import asyncio
import re

import dns.asyncresolver
import dns.exception
import dns.rdata
import dns.resolver
from dns.rdtypes.ANY.MX import MX

from mailtrip_checks.errors import Unresolved
from mailtrip_checks.trips import Family

_TYPES = {Family.ANY: ("AAAA", "A"), Family.IPV4: ("A",), Family.IPV6: ("AAAA",)}


class Lookup:
    """A resolver: the one at `server` (address and port), else the system's; each question is given `lifetime_s`."""

    def __init__(self, server: tuple[str, int] | None, lifetime_s: float) -> None:
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=server is None)
        except dns.exception.DNSException as error:
            raise Unresolved(f"this machine has no resolver: {error}") from error
        self._who = "the system's resolver"
        if server is not None:
            address, port = server
            self._resolver.nameservers = [address]
            self._resolver.port = port
            self._who = f"the resolver {f'[{address}]' if ':' in address else address}:{port}"
        self._resolver.lifetime = lifetime_s

    async def mail_exchangers(self, domain: str) -> list[tuple[int, str]]:
        """Preference and host of each MX record, "" for the host `.`; empty where the domain has none."""
        answer = await self._ask(domain, "MX")
        return [
            (record.preference, record.exchange.to_text(omit_final_dot=True).removesuffix("."))
            for record in answer
            if isinstance(record, MX)
        ]

    async def addresses(self, host: str, family: Family) -> list[str]:
        """The host's addresses, IPv6 first; raises Unresolved where it has none of that family."""
        asked = (self._ask(host, kind) for kind in _TYPES[family])
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found: list[str] = []
        failures: list[Unresolved] = []
        for answer in answers:
            if isinstance(answer, Unresolved):
                failures.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found += [record.to_text() for record in answer]
        if found:
            return found
        kind = "" if family is Family.ANY else f" {family}"
        raise failures[0] if failures else Unresolved(f"no{kind} address for {host}")

    async def _ask(self, name: str, kind: str) -> list[dns.rdata.Rdata]:
        """The records, CNAMEs followed; raises Unresolved unless the name exists and the resolver answered."""
        try:
            answer = await self._resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
            return list(answer.rrset or ())
        except dns.resolver.NXDOMAIN as error:
            raise Unresolved(f"{name} does not exist in the DNS") from error
        except dns.exception.Timeout as error:
            what = f"{self._who} did not answer within {self._resolver.lifetime:g} s ({kind} of {name})"
            raise Unresolved(what) from error
        except dns.resolver.NoNameservers as error:
            raise Unresolved(f"{self._who} could not answer ({kind} of {name}: {_codes(error)})") from error
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            raise Unresolved(f"{name} cannot be looked up: {error}") from error


def _codes(error: dns.resolver.NoNameservers) -> str:
    """What the servers answered, SERVFAIL for example; dnspython has it in its message only."""
    return ", ".join(dict.fromkeys(re.findall(r"answered (\w+)", str(error)))) or "no server left to ask"
