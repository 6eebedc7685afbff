"""In-process endpoints, resolved to the servers that they name."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mailtrip_checks.secrets import Secret
from mailtrip_checks.trips import Auth, Endpoint, FixedToken, Host, OAuth2, Protocol, Security, Trust

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailtrip_fixtures.servers import MailServers

_IMPLICIT = (Security.TLS, Security.TLS_IF_AVAILABLE)


class EmbeddedServers:
    """Gives an in-process endpoint the address and trust of its servers, and its mailbox an account.

    `servers` are those called `embedded`. Hosts of their own are started when a trip first needs them, and run on.
    """

    def __init__(self, servers: MailServers) -> None:
        self._servers = servers
        self._running = ExitStack()
        self._by_hosts: dict[tuple[Host, ...], dict[str, MailServers]] = {}

    def stop(self) -> None:
        """Stop what was started here."""
        self._running.close()

    def locate(self, endpoint: Endpoint, address: str, hosts: tuple[Host, ...]) -> Endpoint:
        """The endpoint as it really is. A missing account is made, with the password that the definition gives."""
        servers = self._named(hosts).get(endpoint.host, self._servers)
        if endpoint.protocol is Protocol.SENDMAIL:
            return replace(endpoint, host=servers.sendmail[0], command=servers.sendmail)
        given = endpoint.password.reveal() if endpoint.password else None
        password = endpoint.password
        oauth2 = endpoint.oauth2
        if address and endpoint.auth is Auth.OAUTH2:
            oauth2 = _token_source(servers, endpoint, address)
        elif address and endpoint.auth is not Auth.NONE:
            # Where the account stands already, a password that the definition gives is tried as it is.
            with suppress(ValueError):
                servers.account(address, given)
            password = password or Secret(servers.account(address).password)
        return replace(
            endpoint,
            host=servers.host,
            port=_port(servers, endpoint),
            password=password,
            oauth2=oauth2,
            trust=Trust(ca=servers.ca_file),
        )

    def _named(self, hosts: tuple[Host, ...]) -> dict[str, MailServers]:
        """These hosts, which know each other and no others."""
        if hosts not in self._by_hosts:
            self._by_hosts[hosts] = self._start(hosts) if hosts else {}
        return self._by_hosts[hosts]

    def _start(self, hosts: tuple[Host, ...]) -> dict[str, MailServers]:
        found = {host.name: _made(host) for host in hosts}
        first, *rest = found.values()
        self._running.enter_context(first)
        for servers in rest:
            first.add_host(servers)
        for host in hosts:
            servers = found[host.name]
            for address, targets in host.forwards:
                servers.forward(address, targets)
            for address, how in host.echoes:
                servers.echo(address, how.value)
            for domain, name in host.relays:
                servers.relay(domain, to=name)
            for header, contains in host.junk:
                servers.junk(header, contains)
            if (told := host.results) is not None:
                servers.authentication_results(
                    spf=told.spf.value if told.spf else None,
                    dkim=told.dkim.value if told.dkim else None,
                    dmarc=told.dmarc.value if told.dmarc else None,
                )
        return found


def _made(host: Host) -> MailServers:
    from mailtrip_fixtures.faults.reading import read_fault
    from mailtrip_fixtures.servers import MailServers

    faults = [read_fault(dict(fault)) for fault in host.faults]
    return MailServers(name=host.name, domains=host.domains, catch_all=True, faults=faults)


def fault_mistake(written: Mapping[str, object]) -> tuple[str, str] | None:
    """The key of a host's fault that is wrong, and what to write instead; None where nothing is wrong."""
    from mailtrip_fixtures.faults import FaultMistake
    from mailtrip_fixtures.faults.reading import read_fault

    try:
        read_fault(written)
    except FaultMistake as mistake:
        return mistake.key, mistake.what
    return None


def _token_source(servers: MailServers, endpoint: Endpoint, address: str) -> OAuth2:
    """The definition's, whatever token it gives; else a token of the account's own."""
    match endpoint.oauth2:
        case None:
            return FixedToken(Secret(servers.account(address).token))
        case FixedToken(token) as fixed:
            servers.accepts_token(address, token.reveal())
            return fixed
        case source:
            servers.accepts_token(address)
            return source


def _port(servers: MailServers, endpoint: Endpoint) -> int:
    ports = servers.ports
    implicit = endpoint.security in _IMPLICIT
    match endpoint.protocol:
        case Protocol.SMTP:
            return ports.smtps if implicit else ports.smtp
        case Protocol.IMAP:
            return ports.imaps if implicit else ports.imap
        case Protocol.POP3:
            return ports.pop3s if implicit else ports.pop3
        case Protocol.SENDMAIL | Protocol.LISTEN:  # pragma: no cover  (neither has a port of theirs)
            raise AssertionError(endpoint.name)
