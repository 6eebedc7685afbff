"""The hosts of their own among the in-process servers, and what each does with mail for its addresses."""

from typing import Final

from mailtrip_checks.authentication import AuthenticationResults
from mailtrip_checks.definitions.context import Context
from mailtrip_checks.definitions.mistakes import Mistakes, did_you_mean, one_of
from mailtrip_checks.definitions.references import NO_ROW, References
from mailtrip_checks.definitions.schema import ServerKeys
from mailtrip_checks.definitions.tree import REFERENCE, Items, Map, Text, Tree
from mailtrip_checks.definitions.validation import Subject, validated
from mailtrip_checks.trips import Host

OF_A_HOST: Final = ("domains", "forwards", "relays", "echoes", "junk", "authentication_results", "faults")
_MEANINGLESS: Final = ("provider", "host", "port", "dns", "ca", "fingerprint", "verify", "command")


class Hosts:
    """The hosts that a file's `servers` describe, whether or not a trip speaks to them: mail may pass through them."""

    def __init__(self, servers: Map, references: References, context: Context) -> None:
        self._servers = servers
        self._context = context
        self._references = references
        self._found: tuple[Host, ...] | None = None

    def all(self, mistakes: Mistakes) -> tuple[Host, ...]:
        """In the order of writing; the first call tells their mistakes."""
        if self._found is None:
            self._found = self._read(mistakes)
        return self._found

    def _read(self, mistakes: Mistakes) -> tuple[Host, ...]:
        described: dict[str, str] = {}
        found: dict[str, Host] = {}
        subjects: list[Subject] = []
        for name, server in self._servers.items():
            if not isinstance(server, Map) or server.get("embedded") is None:
                continue
            # What else it holds, a password for example, needs to be there only if a trip uses the server.
            part = Map(server.at, [(key, value) for key, value in server.items() if key in ("embedded", *OF_A_HOST)])
            filled = self._references.fill_map(part, NO_ROW, f"servers.{name}", mistakes)
            subject = Subject(filled, mistakes, f"servers.{name}")
            keys = validated(ServerKeys, subject)
            if keys.embedded is None:
                continue
            subjects.append(subject)
            said = [key for key in OF_A_HOST if subject.has(key)]
            if said and (other := described.setdefault(keys.embedded, name)) != name:
                what = f"describes the host `{keys.embedded}`, as `{other}` does already; write all of it there"
                subject.add((said[0],), what, at_key=True)
            self._check_faults(subject, keys.faults or ())
            if said or keys.embedded not in found:
                found[keys.embedded] = _host(keys.embedded, keys)
        for subject in subjects:
            _check_relays(subject, found)
        return tuple(found.values())

    def _check_faults(self, subject: Subject, faults: tuple[Map, ...]) -> None:
        for index, fault in enumerate(faults):
            values = [value for held in fault.values() for value in (held if isinstance(held, Items) else [held])]
            if any(isinstance(value, Text) and value.literal and REFERENCE in value for value in values):
                continue  # a draft, or what it lacks has been told
            if mistake := self._context.fault_mistake(fault):
                key, what = mistake
                subject.add(("faults", index, key), what)


def _host(name: str, keys: ServerKeys) -> Host:
    told = keys.authentication_results
    return Host(
        name=name,
        domains=tuple(domain.lower() for domain in keys.domains or ()),
        forwards=tuple((keys.forwards or {}).items()),
        relays=tuple((keys.relays or {}).items()),
        echoes=tuple((keys.echoes or {}).items()),
        junk=tuple((keys.junk or {}).items()),
        results=AuthenticationResults(told.spf, told.dkim, told.dmarc) if told else None,
        faults=tuple(tuple((str(key), _plain(value)) for key, value in fault.items()) for fault in keys.faults or ()),
    )


def _plain(value: Tree) -> str | tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, Items) else str(value)


def _check_relays(subject: Subject, hosts: dict[str, Host]) -> None:
    relays = subject.tree.get("relays")
    for domain, to in relays.items() if isinstance(relays, Map) else ():
        if isinstance(to, str) and to not in hosts:
            near = did_you_mean(to, hosts) or f"; there is {one_of(hosts)}"
            subject.add(("relays", domain), f"names no host of the in-process servers{near}")


def check_embedded(server: Subject, keys: ServerKeys) -> None:
    """Tell of each key that means nothing to a host of the in-process servers, or to any other."""
    if server.has("embedded"):
        for key in _MEANINGLESS:
            if server.has(key):
                server.add((key,), "means nothing to an in-process host; leave it out", at_key=True)
        return
    for key in OF_A_HOST:
        if server.has(key):
            what = "is for an in-process host; write `embedded: NAME` too, a name for it, or leave this out"
            server.add((key,), what, at_key=True)
