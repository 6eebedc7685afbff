"""Mail that comes to us: what a listener's server and its trips may say."""

from typing import Final

from mailtrip_checks.definitions.places import EMBEDDED, MX
from mailtrip_checks.definitions.schema import ReceiveKeys, ServerKeys
from mailtrip_checks.definitions.validation import Subject
from mailtrip_checks.trips import ALL_ADDRESSES, Endpoint, Match, Protocol, Security

_SMTP_PORT: Final = 25
_OF_A_LISTENER: Final = ("protocol", "host", "port", "accept")
_NO_LOGIN: Final = "we log in nowhere"
_WITHOUT_MEANING: Final = {
    "mailbox": "mail comes to us, and lies in no folder",
    "user": _NO_LOGIN,
    "password": _NO_LOGIN,
    "auth": _NO_LOGIN,
    "oauth2": _NO_LOGIN,
    "search": "mail comes to us, and nothing is searched",
    "push": "mail comes to us by itself",
    "interval": "mail comes to us, and nobody looks for it",
    "delete": "what comes is stored nowhere, so there is nothing to delete or to keep",
    "step_timeout": "we take no step; `timeout` of the trip says how long is waited",
}


def listener(name: str, keys: ServerKeys, server: Subject) -> Endpoint:
    """The endpoint; each key of the server that says nothing of a listener is a mistake."""
    for key in server.tree:
        if key not in _OF_A_LISTENER and server.has(key):
            server.add(
                (key,), "means nothing where mail comes to us, which is without TLS or login; leave it out", at_key=True
            )
    if keys.host in {EMBEDDED, MX}:
        server.add(("host",), f"`{keys.host}` is no address of this machine; name one, or leave it out for all")
    port = keys.port or _SMTP_PORT
    host = keys.host or ALL_ADDRESSES
    return Endpoint(name or f"port {port}", Protocol.LISTEN, host, port, Security.NONE, accept=keys.accept or ())


def check_listening(trip: Subject, leg: ReceiveKeys) -> None:
    """Tell of each key of `receive` that means nothing where mail comes to us, and of what such a trip lacks."""
    for key, why in _WITHOUT_MEANING.items():
        if trip.has("receive", key):
            what = f"stands here, but {why}; leave it out, or write `{key}: null` where it is inherited"
            trip.add(("receive", key), what, at_key=True)
    if leg.match is Match.SUBJECT and not leg.mailbox_is_dedicated:
        what = "would take people's answers to our mail; write `mailbox_is_dedicated: true` too, where nobody gets any"
        trip.add(("receive", "match"), what)
    if not trip.has("send"):
        trip.add(("receive",), "waits for mail that nobody sends; write `send` too")
