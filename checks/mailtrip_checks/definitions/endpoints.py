"""From what `via` or `at` names to an `Endpoint`, every default decided."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from mailtrip_checks.definitions.context import Context
from mailtrip_checks.definitions.hosts import Hosts, check_embedded
from mailtrip_checks.definitions.listening import listener
from mailtrip_checks.definitions.mistakes import Mistakes, did_you_mean, one_of
from mailtrip_checks.definitions.oauth2 import implied, token_source
from mailtrip_checks.definitions.places import EMBEDDED, MX, as_mapping
from mailtrip_checks.definitions.providers import with_provider
from mailtrip_checks.definitions.references import NO_ROW, References, reads_row
from mailtrip_checks.definitions.routes import DEFAULT_COMMAND, check_leg, check_server
from mailtrip_checks.definitions.scalars import shown
from mailtrip_checks.definitions.schema import ConnectionsKeys, ReceiveKeys, SendKeys, ServerKeys
from mailtrip_checks.definitions.tree import REFERENCE, Map, Text, Tree
from mailtrip_checks.definitions.validation import Subject, validated
from mailtrip_checks.trips import Auth, Endpoint, Host, Protocol, Security, Trust

_PORTS: Final = {
    Protocol.SMTP: (25, 465),
    Protocol.IMAP: (143, 993),
    Protocol.POP3: (110, 995),
}
_TLS_PORTS: Final = frozenset({465, 993, 995})
_AUTHS: Final = {
    Protocol.SMTP: (Auth.NONE, Auth.PLAIN, Auth.LOGIN, Auth.CRAM_MD5, Auth.OAUTH2),
    Protocol.IMAP: (Auth.NONE, Auth.PASSWORD, Auth.PLAIN, Auth.OAUTH2),
    Protocol.POP3: (Auth.NONE, Auth.PASSWORD, Auth.PLAIN, Auth.APOP, Auth.OAUTH2),
}
_SENDERS: Final = (Protocol.SMTP, Protocol.SENDMAIL)
_VIA: Final = ("send", "via")
_AT: Final = ("receive", "at")
_DEFAULT: Final = Endpoint("", Protocol.SMTP, "", 0, Security.NONE)


@dataclass(frozen=True, slots=True)
class _Server:
    """The keys of a server, and how to name their mistakes. `by_user` are its endpoints that differ in nothing else."""

    name: str
    keys: ServerKeys
    subject: Subject
    protocol: Protocol
    by_user: dict[str, Endpoint] = field(default_factory=dict[str, Endpoint])

    @property
    def in_process(self) -> bool:
        """Whether it is an in-process host, its name right or wrong."""
        return self.keys.in_process is not None or self.subject.has("embedded")


class Endpoints:
    """Makes the endpoints of one file's trips; equal ones are the same object."""

    def __init__(self, servers: Map, references: References, context: Context) -> None:
        self._servers = servers
        self._references = references
        self._hosts = Hosts(servers, references, context)
        self._known: dict[tuple[tuple[str, str], str], _Server] = {}
        self._made: dict[Endpoint, Endpoint] = {}

    def make(self, trip: Subject, leg: SendKeys | ReceiveKeys, recipient: str) -> Endpoint | None:
        """The leg's endpoint, its user `recipient` where none is given; None, and a mistake, where it cannot be."""
        is_send = isinstance(leg, SendKeys)
        way = _VIA if is_send else _AT
        server = self._server(trip, way)
        if server is None:
            return None
        if server.subject.has("embedded") and not server.name:
            trip.add(way, "is an in-process host of its own; describe it under `servers`, and write its name here")
        if isinstance(leg, SendKeys) and server.protocol is not Protocol.LISTEN:
            check_leg(trip, leg, server.protocol, through_mx=server.keys.host == MX)
        has_own_login = leg.auth or leg.password is not None or leg.oauth2
        if has_own_login or not server.by_user:
            told = len(trip.mistakes)
            endpoint = self._interned(_endpoint(server, leg, recipient, trip))
            if not has_own_login and len(trip.mistakes) == told and _differs_in_user(endpoint):
                server.by_user[endpoint.user] = endpoint
            return endpoint
        other = next(iter(server.by_user.values()))
        user = _user(server, leg, other.auth, recipient, trip)
        if user not in server.by_user:
            server.by_user[user] = self._interned(replace(other, user=user))
        return server.by_user[user]

    def _interned(self, endpoint: Endpoint) -> Endpoint:
        return self._made.setdefault(endpoint, endpoint)

    def hosts(self, legs: Iterable[Endpoint], mistakes: Mistakes) -> tuple[Host, ...]:
        """The in-process hosts that the file describes; none where no leg begins or ends at one of them."""
        found = self._hosts.all(mistakes)
        return found if any(leg.embedded and leg.host != EMBEDDED for leg in legs) else ()

    def _server(self, trip: Subject, way: tuple[str, str]) -> _Server | None:
        """What the leg names, read and checked; None where it names nothing that can be one."""
        place = trip.value(way)
        if isinstance(place, Text) and (known := self._known.get((way, place))):
            return known
        place, mark = trip.find(way)
        name, key = "", ".".join(way)
        if not trip.has(*way):
            place = Text(MX, mark, "") if way is _VIA else None
        mapping: Tree = place
        if place is None:
            trip.add(way, "is missing; write a server's name or URL")
        elif isinstance(place, Text) and not _unfilled(place):
            try:
                mapping = as_mapping(place)
                if mapping is None:
                    name, key = str(place), f"servers.{place}"
                    mapping = self._named(trip, place, "smtp" if way is _VIA else "imap")
            except ValueError as error:
                trip.add(way, str(error))
        if not isinstance(mapping, Map):
            return None
        is_of_all_rows = bool(name) and not reads_row(self._servers[name])
        server = _checked(name, Subject(mapping, trip.mistakes, key, NO_ROW if is_of_all_rows else trip.row), way)
        if server and is_of_all_rows:
            self._known[way, name] = server
        return server

    def _named(self, trip: Subject, name: Text, scheme: str) -> Tree:
        """The server of this name, filled in; raises ValueError where there is none."""
        raw = self._servers.get(name)
        if raw is None:
            raise ValueError(self._no_server(name, scheme))
        filled = self._references.fill(raw, trip.row, f"servers.{name}", trip.mistakes)
        if isinstance(filled, Text) and not _unfilled(filled):
            mapping = as_mapping(filled)
            if mapping is None:
                raise ValueError("its server is neither a URL nor a mapping; write one of the two")
            return mapping
        return filled

    def _no_server(self, name: Text, scheme: str) -> str:
        # What looks like a mistyped URL can hold a password.
        if any(character in name for character in ":/@"):
            return "is neither a server's name nor a URL; write it as imaps://mail.example.com"
        known = sorted([EMBEDDED, *(key for key, value in self._servers.items() if value is not None)])
        near = did_you_mean(name, known) if name.literal else ""
        is_host = name.literal and re.fullmatch(r"[\w-]+(\.[\w-]+)+", name)
        url = f", or write {'pop3' if name.startswith('pop') else scheme}://{name}" if is_host else ""
        return f"{shown(name)} is no server{near or f'; there is {one_of(known)}'}{url}"


def _unfilled(text: Text) -> bool:
    """Whether a reference is left in it, of which a mistake has told."""
    return text.literal and REFERENCE in text


def _checked(name: str, subject: Subject, way: tuple[str, str]) -> _Server | None:
    keys = with_provider(validated(ServerKeys, subject), subject, sends=way is _VIA)
    protocol = _protocol(keys, subject, way)
    if protocol is None:
        return None
    if protocol is not Protocol.LISTEN:
        check_server(subject, keys, protocol)
        check_embedded(subject, keys)
    return _Server(name, keys, subject, protocol)


def _protocol(keys: ServerKeys, server: Subject, way: tuple[str, str]) -> Protocol | None:
    protocol = keys.protocol
    if protocol or server.has("protocol"):
        if protocol and (protocol in _SENDERS) != (way is _VIA):
            wanted = "smtp" if way is _VIA else "imap or pop3"
            what = f"speaks {protocol}, but `{'.'.join(way)}` needs {wanted}; name another server"
            server.add((), what)
            return None
        return protocol
    if way is _VIA:
        return Protocol.SMTP
    if keys.in_process is not None or server.has("embedded"):
        return Protocol.IMAP
    server.add((), "has no protocol; write `protocol: imap` or `protocol: pop3`")
    return None


def _endpoint(server: _Server, leg: SendKeys | ReceiveKeys, recipient: str, trip: Subject) -> Endpoint:
    keys, protocol = server.keys, server.protocol
    if protocol is Protocol.LISTEN:
        return listener(server.name, keys, server.subject)
    through_mx = keys.host == MX
    if protocol is Protocol.SENDMAIL:
        return _program(server)
    embedded = server.in_process
    host = recipient.rpartition("@")[2].lower() if through_mx else keys.in_process or keys.host or ""
    if not embedded and not server.subject.has("host") and not server.subject.has("provider"):
        server.subject.add((), "has no host; write `host: mail.example.com`")
    auth = _auth(server, leg, protocol, trip)
    password = None if auth in {Auth.NONE, Auth.OAUTH2} else leg.password or keys.password
    oauth2 = token_source(leg, _leg_of(leg), trip, keys, server.subject) if auth is Auth.OAUTH2 else None
    security = _security(keys, has_secret=password is not None or auth is Auth.OAUTH2)
    port = 0 if embedded else keys.port or _PORTS[protocol][security in {Security.TLS, Security.TLS_IF_AVAILABLE}]
    if keys.security is None and port in _TLS_PORTS:
        what = f"{port} is for TLS from the first byte; write `security: tls` too, or a URL such as imaps://"
        server.subject.add(("port",), what)
    connections = keys.connections or ConnectionsKeys()
    plain_name = f"{host}:{protocol}" if embedded else f"{protocol}://{f'[{host}]' if ':' in host else host}:{port}"
    return Endpoint(
        name=server.name or plain_name,
        protocol=protocol,
        host=host,
        port=port,
        security=security,
        auth=auth,
        user=_user(server, leg, auth, recipient, trip),
        password=password,
        oauth2=oauth2,
        trust=_trust(server),
        family=keys.family or _DEFAULT.family,
        connections_per_host=connections.host or _DEFAULT.connections_per_host,
        connections_per_user=connections.user or _DEFAULT.connections_per_user,
        rate_per_s=keys.rate,
        login_failures=keys.login_failures or _DEFAULT.login_failures,
        embedded=embedded,
        mx=through_mx,
        dns=keys.dns,
        provider=keys.provider,
    )


def _differs_in_user(endpoint: Endpoint) -> bool:
    """Whether another leg that brings no login of its own has the same endpoint at this server, but for the user."""
    return endpoint.protocol in _PORTS and not endpoint.mx and endpoint.oauth2 is None


def _program(server: _Server) -> Endpoint:
    keys, command = server.keys, server.keys.command or DEFAULT_COMMAND
    connections = keys.connections or ConnectionsKeys()
    return Endpoint(
        name=server.name or (f"{keys.in_process}:{Protocol.SENDMAIL}" if keys.in_process else Protocol.SENDMAIL),
        protocol=Protocol.SENDMAIL,
        host=keys.in_process or command[0],
        port=0,
        security=Security.NONE,
        connections_per_host=connections.host or _DEFAULT.connections_per_host,
        connections_per_user=connections.user or _DEFAULT.connections_per_user,
        rate_per_s=keys.rate,
        embedded=keys.in_process is not None,
        command=() if keys.in_process else command,
    )


def _user(server: _Server, leg: SendKeys | ReceiveKeys, auth: Auth, recipient: str, trip: Subject) -> str:
    user = leg.user or server.keys.user or ("" if auth is Auth.NONE else recipient)
    way = _leg_of(leg)
    if auth is not Auth.NONE and not user and not trip.has("send") and not trip.has(way, "user"):
        trip.add((way,), "has no user, and there is no `send.to` to take it from; write `user: name`")
    return user


def _leg_of(leg: SendKeys | ReceiveKeys) -> str:
    return (_VIA if isinstance(leg, SendKeys) else _AT)[0]


def _auth(server: _Server, leg: SendKeys | ReceiveKeys, protocol: Protocol, trip: Subject) -> Auth:
    """How to log in: what is said, else the best there is where a password is, or a mailbox is to be opened."""
    way = _leg_of(leg)
    has_password = leg.password is not None or server.keys.password is not None
    auth = leg.auth or server.keys.auth or implied(trip, way, server.subject)
    if auth is None and protocol is Protocol.SMTP:
        auth = Auth.PLAIN if has_password or server.keys.provider else Auth.NONE
    auth = auth or Auth.PASSWORD
    if auth not in _AUTHS[protocol]:
        what = f"{auth} is no way to log in to {protocol}; write {one_of(_AUTHS[protocol])}"
        if leg.auth:
            trip.add((way, "auth"), what)
        else:
            server.subject.add(("auth",), what)
    elif auth in {Auth.NONE, Auth.OAUTH2} or server.in_process:
        pass
    elif not trip.has(way, "password") and not server.subject.has("password"):
        trip.add((way,), 'has no password; write `password: "${env:NAME}"` here or under its server')
    return auth


def _security(keys: ServerKeys, *, has_secret: bool) -> Security:
    if keys.security is not None:
        return keys.security
    if has_secret and not keys.in_process:
        return Security.STARTTLS
    return Security.STARTTLS_IF_AVAILABLE


def _trust(server: _Server) -> Trust:
    keys = server.keys
    verify = keys.verify is not False
    said = [
        name
        for name, is_said in (("ca", keys.ca), ("fingerprint", keys.fingerprint), ("verify", not verify))
        if is_said
    ]
    if len(said) > 1:
        server.subject.add((said[-1],), f"stands beside `{said[0]}`, but only one of the two can decide; keep one")
    return Trust(keys.ca, keys.fingerprint, verify)
