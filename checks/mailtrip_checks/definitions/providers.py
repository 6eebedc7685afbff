"""`provider: gmail`: what is known of a provider's servers, for what a definition leaves out beside it."""

from typing import Final

from mailtrip_checks.definitions.places import DECIDED_BY_PROVIDER, RESERVED
from mailtrip_checks.definitions.schema import ServerKeys
from mailtrip_checks.definitions.validation import Subject
from mailtrip_checks.trips import TRASH, Delete, Endpoint, Protocol, Provider, Security

_HOSTS: Final = {
    Provider.GMAIL: {
        Protocol.SMTP: "smtp.gmail.com",
        Protocol.IMAP: "imap.gmail.com",
        Protocol.POP3: "pop.gmail.com",
    },
    Provider.OUTLOOK: {
        Protocol.SMTP: "smtp.office365.com",
        Protocol.IMAP: "outlook.office365.com",
        Protocol.POP3: "outlook.office365.com",
    },
}
# Ports and their security; the first is taken where nothing is said.
_OFFERS: Final = {
    Protocol.SMTP: ((587, Security.STARTTLS), (465, Security.TLS)),
    Protocol.IMAP: ((993, Security.TLS),),
    Protocol.POP3: ((995, Security.TLS),),
}
_DELETED: Final = Delete()
_TO_THE_BIN: Final = Delete(move_to=TRASH)


def with_provider(keys: ServerKeys, server: Subject, *, sends: bool) -> ServerKeys:
    """The server's keys with what its provider knows of this leg, if it names one; tells of what contradicts it.

    What is written is stronger: `protocol` chooses the mailbox's, `port` or `security` another of the provider's ways.
    """
    protocol = _protocol(keys, server, sends=sends)
    if protocol is None or not server.has("provider"):
        return keys
    known: dict[str, object] = {"protocol": protocol}
    if keys.host in RESERVED:
        server.add(("host",), "stands beside `provider`, which has hosts of its own; keep one of the two")
    elif keys.provider:
        known |= {"host": keys.host or _HOSTS[keys.provider][protocol]}
        known |= _way(keys, server, protocol)
    return keys.replaced(**known)


def _way(keys: ServerKeys, server: Subject, protocol: Protocol) -> dict[str, object]:
    """Port and security as the provider has them; nothing where a host of the author's own may have others."""
    offers = _OFFERS[protocol]
    for port, security in offers:
        if keys.port in {None, port} and (keys.security or security).startswith(security):
            return {"port": port, "security": keys.security or security}
    if keys.host:
        return {}
    ways = " or ".join(f"{port} with {security}" for port, security in offers)
    what = f"is not how {keys.provider} serves {protocol}: that is {ways}; leave it out, or write `host` too"
    server.add(("port" if keys.port else "security",), what)
    return dict(zip(("port", "security"), offers[0], strict=True))


def _protocol(keys: ServerKeys, server: Subject, *, sends: bool) -> Protocol | None:
    """The leg's; None where what is written is for the other leg."""
    protocol = keys.protocol
    if protocol not in {None, *_OFFERS} or (protocol is None and server.has("protocol")):
        return None
    if not sends:
        return protocol or Protocol.IMAP
    # A server for both legs may choose the mailbox's protocol; what else it decides would be for that leg alone.
    is_for_mailbox = protocol in {Protocol.IMAP, Protocol.POP3} and any(map(server.has, DECIDED_BY_PROVIDER))
    return None if is_for_mailbox else Protocol.SMTP


def default_delete(at: Endpoint) -> Delete:
    """What becomes of a mail where nothing is said: Gmail may be set to archive what is expunged, so it is moved."""
    archives = at.provider is Provider.GMAIL and at.protocol is Protocol.IMAP
    return _TO_THE_BIN if archives else _DELETED
