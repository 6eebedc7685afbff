"""Endpoints named `embedded`, resolved to the in-process servers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mailtrip_checks.secrets import Secret
from mailtrip_checks.trips import Auth, Endpoint, FixedToken, OAuth2, Protocol, Security, Trust

if TYPE_CHECKING:
    from mailtrip_fixtures.servers import MailServers

_IMPLICIT = (Security.TLS, Security.TLS_IF_AVAILABLE)


class EmbeddedServers:
    """Gives an embedded endpoint the address and trust of the servers, and its mailbox an account."""

    def __init__(self, servers: MailServers) -> None:
        self._servers = servers

    def locate(self, endpoint: Endpoint, address: str) -> Endpoint:
        """The endpoint as it really is. A missing account is made, with the password that the definition gives."""
        given = endpoint.password.reveal() if endpoint.password else None
        password = endpoint.password
        oauth2 = endpoint.oauth2
        if address and endpoint.auth is Auth.OAUTH2:
            oauth2 = self._token_source(endpoint, address)
        elif address and endpoint.auth is not Auth.NONE:
            # Where the account stands already, a password that the definition gives is tried as it is.
            with suppress(ValueError):
                self._servers.account(address, given)
            password = password or Secret(self._servers.account(address).password)
        return replace(
            endpoint,
            host=self._servers.host,
            port=self._port(endpoint),
            password=password,
            oauth2=oauth2,
            trust=Trust(ca=self._servers.ca_file),
        )

    def _token_source(self, endpoint: Endpoint, address: str) -> OAuth2:
        """The definition's, whatever token it gives; else a token of the account's own."""
        match endpoint.oauth2:
            case None:
                return FixedToken(Secret(self._servers.account(address).token))
            case FixedToken(token) as fixed:
                self._servers.accepts_token(address, token.reveal())
                return fixed
            case source:
                self._servers.accepts_token(address)
                return source

    def _port(self, endpoint: Endpoint) -> int:
        ports = self._servers.ports
        implicit = endpoint.security in _IMPLICIT
        match endpoint.protocol:
            case Protocol.SMTP:
                return ports.smtps if implicit else ports.smtp
            case Protocol.IMAP:
                return ports.imaps if implicit else ports.imap
            case Protocol.POP3:
                return ports.pop3s if implicit else ports.pop3
            case Protocol.SENDMAIL | Protocol.LISTEN:  # pragma: no cover  (they are no embedded endpoints)
                raise AssertionError(endpoint.name)
