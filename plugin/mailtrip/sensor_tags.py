"""The tags that PRTG gives its round-trip sensors, for who selects by them."""

from dataclasses import replace

from mailtrip_checks.trips import Protocol, Trip

_OF_EVERY = ("mailsensor", "roundtrip")
_BY_MAILBOX = {Protocol.IMAP: ("imapsensor",), Protocol.POP3: ("pop3sensor",)}


def with_sensor_tags(trip: Trip) -> Trip:
    """The trip with `mailsensor`, `roundtrip` and, by its mailbox, `imapsensor` or `pop3sensor`."""
    mailbox = _BY_MAILBOX.get(trip.receive.at.protocol, ()) if trip.receive else ()
    return replace(trip, tags=tuple(dict.fromkeys((*trip.tags, *_OF_EVERY, *mailbox))))
