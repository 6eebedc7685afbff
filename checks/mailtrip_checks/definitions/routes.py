"""Ways without a named SMTP server: the recipient's MX records, and the local mail program."""

from typing import Final

from mailtrip_checks.definitions.hosts import OF_A_HOST
from mailtrip_checks.definitions.places import MX
from mailtrip_checks.definitions.schema import SendKeys, ServerKeys
from mailtrip_checks.definitions.validation import Subject
from mailtrip_checks.trips import Protocol, Until

_LOGIN: Final = ("auth", "user", "password")
_OF_A_PROGRAM: Final = ("protocol", "command", "connections", "rate", "embedded", *OF_A_HOST)
DEFAULT_COMMAND: Final = ("/usr/sbin/sendmail", "-i")


def check_server(server: Subject, keys: ServerKeys, protocol: Protocol) -> None:
    """Tell of each key of a server that means nothing on its way."""
    if protocol is Protocol.SENDMAIL:
        for key in server.tree:
            if key not in _OF_A_PROGRAM and server.has(key) and not (key == "host" and keys.in_process):
                server.add((key,), "means nothing to a local mail program; leave it out", at_key=True)
    elif server.has("command"):
        server.add(("command",), "is for the local mail program; write `protocol: sendmail` too, or leave it out")
    if server.has("accept") and protocol is not Protocol.SENDMAIL:
        server.add(
            ("accept",), "is for mail that comes to us; write `protocol: listen` too, or leave it out", at_key=True
        )
    if keys.host == MX:
        for key in _LOGIN:
            if server.has(key):
                what = "would log in to whatever host the MX records name; leave it out, or name the server"
                server.add((key,), what, at_key=True)
    elif server.has("dns") and protocol is not Protocol.SENDMAIL:
        server.add(("dns",), "is asked for MX records only; write `host: mx` too, or leave it out", at_key=True)


def check_leg(trip: Subject, leg: SendKeys, protocol: Protocol, *, through_mx: bool) -> None:
    """Tell of each key of `send` that means nothing on its way."""
    is_program = protocol is Protocol.SENDMAIL
    if is_program or through_mx:
        way = "a local mail program takes" if is_program else "a server found by MX is given"
        for key in _LOGIN:
            if trip.has("send", key):
                trip.add(("send", key), f"stands here, but {way} no login; leave it out", at_key=True)
    if is_program and trip.has("send", "helo"):
        trip.add(("send", "helo"), "is for SMTP, and a local mail program says its own; leave it out", at_key=True)
    if is_program and leg.until is Until.RCPT:
        trip.add(("send", "until"), "cannot end after RCPT, for a local mail program has none; leave it out")
    domains = {address.rpartition("@")[2].lower() for address in leg.to or ()} if through_mx else ()
    if len(domains) > 1:
        what = f"is in several domains ({', '.join(sorted(domains))}), each with its own MX; write a trip for each"
        trip.add(("send", "to"), what)
