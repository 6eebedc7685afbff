"""From what `via` or `at` names to an `Endpoint`, every default decided."""

from dataclasses import dataclass
from typing import Final

from mailtrip_checks.definitions.mistakes import did_you_mean, one_of
from mailtrip_checks.definitions.places import EMBEDDED, as_mapping
from mailtrip_checks.definitions.references import References
from mailtrip_checks.definitions.scalars import shown
from mailtrip_checks.definitions.schema import ReceiveKeys, SendKeys, ServerKeys
from mailtrip_checks.definitions.tree import REFERENCE, Map, Text
from mailtrip_checks.definitions.validation import Subject, Way, validated
from mailtrip_checks.trips import Auth, Endpoint, Protocol, Security, Trust

_PORTS: Final = {
    Protocol.SMTP: (25, 465),
    Protocol.IMAP: (143, 993),
    Protocol.POP3: (110, 995),
}
_TLS_PORTS: Final = frozenset({465, 993, 995})
_AUTHS: Final = {
    Protocol.SMTP: (Auth.NONE, Auth.PLAIN, Auth.LOGIN, Auth.CRAM_MD5),
    Protocol.IMAP: (Auth.NONE, Auth.PASSWORD, Auth.PLAIN),
    Protocol.POP3: (Auth.NONE, Auth.PASSWORD, Auth.PLAIN, Auth.APOP),
}
_DEFAULT: Final = Endpoint("", Protocol.SMTP, "", 0, Security.NONE)


@dataclass(frozen=True, slots=True)
class _Server:
    """The keys of a server, and how to name their mistakes."""

    name: str
    keys: ServerKeys
    subject: Subject


class Endpoints:
    """Makes the endpoints of one file's trips; equal ones are the same object."""

    def __init__(self, servers: Map, references: References) -> None:
        self._servers = servers
        self._references = references
        self._made: dict[Endpoint, Endpoint] = {}

    def make(self, trip: Subject, leg: SendKeys | ReceiveKeys, recipient: str) -> Endpoint | None:
        """The leg's endpoint, its user `recipient` where none is given; None, and a mistake, where it cannot be."""
        is_send = isinstance(leg, SendKeys)
        way: Way = ("send", "via") if is_send else ("receive", "at")
        place = leg.via if is_send else leg.at
        if isinstance(place, Text) and _unfilled(place):
            return None
        if place is None:
            if trip.has(*way):
                return None
            mx = "the recipient's MX is not supported yet; " if is_send else ""
            trip.add(way, f"is missing; {mx}write a server's name or URL")
            return None
        server = self._server(trip, way, place)
        if server is None:
            return None
        protocol = _protocol(server, way, is_send=is_send)
        if protocol is None:
            return None
        endpoint = _endpoint(server, leg, protocol, recipient, trip)
        return self._made.setdefault(endpoint, endpoint) if endpoint else None

    def _server(self, trip: Subject, way: Way, place: Text | Map) -> _Server | None:
        """What the leg names, read and checked."""
        name, prefix = "", ".".join(map(str, (trip.prefix, *way) if trip.prefix else way))
        mapping = place if isinstance(place, Map) else None
        if isinstance(place, Text):
            try:
                mapping = as_mapping(place)
            except ValueError as error:
                trip.add(way, str(error))
                return None
            if place.startswith(EMBEDDED):
                name = str(place)
            elif mapping is None:
                name, prefix = str(place), f"servers.{place}"
                mapping = self._named(trip, way, place)
        if mapping is None:
            return None
        subject = Subject(mapping, trip.mistakes, prefix, trip.row)
        return _Server(name, validated(ServerKeys, subject), subject)

    def _named(self, trip: Subject, way: Way, name: Text) -> Map | None:
        if name in {"mx", "sendmail"}:
            trip.add(way, f"`{name}` is not supported yet; write a server's name or URL")
            return None
        raw = self._servers.get(name)
        if raw is None:
            # What looks like a mistyped URL can hold a password.
            if any(character in name for character in ":/@"):
                trip.add(way, "is neither a server's name nor a URL; write it as imaps://mail.example.com")
                return None
            known = [*(key for key, value in self._servers.items() if value is not None), EMBEDDED]
            near = did_you_mean(name, known) if name.literal else ""
            trip.add(way, f"{shown(name)} is no server{near or f'; there is {one_of(sorted(known))}'}")
            return None
        filled = self._references.fill(raw, trip.row, f"servers.{name}", trip.mistakes)
        if isinstance(filled, Text):
            if _unfilled(filled):
                return None
            try:
                filled = as_mapping(filled)
            except ValueError as error:
                trip.add(way, f"its server {error}")
                return None
        if isinstance(filled, Map):
            return filled
        trip.add(way, "its server is neither a URL nor a mapping; write one of the two")
        return None


def _unfilled(text: Text) -> bool:
    """Whether a reference is left in it, of which a mistake has told."""
    return text.literal and REFERENCE in text


def _protocol(server: _Server, way: Way, *, is_send: bool) -> Protocol | None:
    protocol = server.keys.protocol
    if protocol is None:
        if is_send:
            return Protocol.SMTP
        if server.keys.host == EMBEDDED:
            return Protocol.IMAP
        server.subject.add((), "has no protocol; write `protocol: imap` or `protocol: pop3`")
        return None
    if (protocol is Protocol.SMTP) == is_send:
        return protocol
    wanted = "smtp" if is_send else "imap or pop3"
    server.subject.add((), f"speaks {protocol}, but `{way[0]}.{way[1]}` needs {wanted}; name another server")
    return None


def _endpoint(
    server: _Server, leg: SendKeys | ReceiveKeys, protocol: Protocol, recipient: str, trip: Subject
) -> Endpoint | None:
    keys = server.keys
    known = len(trip.mistakes)
    password = leg.password or keys.password
    embedded = keys.host == EMBEDDED
    auth = _auth(server, leg, protocol, trip)
    user = leg.user or keys.user or ("" if auth is Auth.NONE else recipient)
    if auth is not Auth.NONE and not user and not embedded:
        trip.add(("receive",), "has no user, and no `send.to` to take it from; write `user:`")
    if not server.subject.has("host"):
        server.subject.add((), "has no host; write `host: mail.example.com`")
    security = _security(keys, uses_password=password is not None and auth is not Auth.NONE)
    port = 0 if embedded else keys.port or _PORTS[protocol][security in {Security.TLS, Security.TLS_IF_AVAILABLE}]
    if keys.security is None and port in _TLS_PORTS:
        server.subject.add(("port",), f"port {port} expects TLS at once; write `security: tls` too, or an …s:// URL")
    trust = _trust(server)
    if len(trip.mistakes) > known:
        return None
    connections = keys.connections
    return Endpoint(
        name=server.name or f"{protocol}://{f'[{keys.host}]' if ':' in str(keys.host) else keys.host}:{port}",
        protocol=protocol,
        host=str(keys.host),
        port=port,
        security=security,
        auth=auth,
        user=user,
        password=None if auth is Auth.NONE else password,
        trust=trust,
        family=keys.family or _DEFAULT.family,
        connections_per_host=(connections and connections.host) or _DEFAULT.connections_per_host,
        connections_per_user=(connections and connections.user) or _DEFAULT.connections_per_user,
        rate_per_s=keys.rate,
        login_failures=keys.login_failures or _DEFAULT.login_failures,
        embedded=embedded,
    )


def _auth(server: _Server, leg: SendKeys | ReceiveKeys, protocol: Protocol, trip: Subject) -> Auth:
    """How to log in: what is said, else the best there is where a password is, or a mailbox is to be opened."""
    way = "send" if isinstance(leg, SendKeys) else "receive"
    has_password = leg.password is not None or server.keys.password is not None
    auth = leg.auth or server.keys.auth
    if auth is None and protocol is Protocol.SMTP:
        return Auth.PLAIN if has_password else Auth.NONE
    auth = auth or Auth.PASSWORD
    if auth not in _AUTHS[protocol]:
        what = f"{auth} is no way to log in to {protocol}; write {one_of(_AUTHS[protocol])}"
        if leg.auth:
            trip.add((way, "auth"), what)
        else:
            server.subject.add(("auth",), what)
    elif auth is Auth.NONE or server.keys.host == EMBEDDED:
        pass
    elif not trip.has(way, "password") and not server.subject.has("password"):
        trip.add((way,), 'has no password; write `password: "${env:NAME}"` here or under its server')
    return auth


def _security(keys: ServerKeys, *, uses_password: bool) -> Security:
    if keys.security is not None:
        return keys.security
    if uses_password and keys.host != EMBEDDED:
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
