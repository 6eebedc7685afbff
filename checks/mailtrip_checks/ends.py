"""How a trip can end, AlertSite's number for each end, and what to look at when it does."""

from enum import StrEnum


class Leg(StrEnum):
    """The part of a trip in which something happened."""

    SMTP = "smtp"
    TRANSIT = "transit"
    MAILBOX = "mailbox"


class End(StrEnum):
    """Every way in which a trip can end."""

    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    CONNECTED = "connected"
    LATE = "late"
    LOST = "lost"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    REFUSED = "refused"
    UNDELETED = "undeleted"
    UNRESOLVED = "unresolved"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed-out"
    TLS_FAILED = "tls-failed"
    LOGIN_FAILED = "login-failed"
    PROTOCOL_ERROR = "protocol-error"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


ALERTSITE_MEANINGS = {
    0: "successful test",
    1: "TCP connection failed",
    2: "test timed out",
    3: "invalid response from server",
    6: "no response from server",
    51: "unable to resolve IP address",
}

_NUMBERS = {
    End.DELIVERED: 0,
    End.ACCEPTED: 0,
    End.CONNECTED: 0,
    End.LATE: 2,
    End.LOST: 2,
    End.TIMED_OUT: 2,
    End.LOGIN_FAILED: 2,
    End.REJECTED: 3,
    End.DEFERRED: 3,
    End.REFUSED: 3,
    End.UNDELETED: 3,
    End.TLS_FAILED: 3,
    End.PROTOCOL_ERROR: 3,
    End.UNRESOLVED: 51,
}

_HINTS = {
    End.LATE: "It arrived, but too late: the timeline shows which stage took the time.",
    End.LOST: "Look in the server's mail log for the Message-ID, in the junk folder, and at forwarding rules and "
    "quotas of the mailbox; a longer `timeout` helps where the path is slow.",
    End.REJECTED: "The address may not exist (check its spelling), the server may want a login before it relays, or "
    "the port is not the one for submission; the reply above says which.",
    End.DEFERRED: "The server asks to try later (greylisting, a full mailbox, too many mails); the reply tells why.",
    End.REFUSED: "The server answered but will not serve us: check its access lists, connection limits and the "
    "mailbox's name and rights.",
    End.UNDELETED: "The mail arrived but could not be removed: check the rights of the user on the mailbox.",
    End.UNRESOLVED: "Check the spelling of the host name, and the resolver of the machine that runs this.",
    End.TIMED_OUT: "Check that a firewall does not drop the connection, that the port speaks this protocol, and that "
    "the security mode fits it: a TLS port says nothing to a plain client.",
    End.TLS_FAILED: "Check the security mode and port, and the certificate: `ca:` trusts a private authority, "
    "`fingerprint:` one certificate.",
    End.LOGIN_FAILED: "Check user and password. The user is usually the whole address, or the part before the @.",
    End.PROTOCOL_ERROR: "Something on that port does not speak the protocol: check host, port and security mode; if "
    "all are right, the server's own log says what went wrong.",
    End.CANCELLED: "The run was stopped before this trip was done.",
}

_UNREACHABLE_HINTS = {
    Leg.SMTP: "Nobody answers at the SMTP server: check host and port, try another port of that server, or leave "
    "`via` out to go by the recipient's MX records.",
    Leg.MAILBOX: "Nobody answers at the mailbox's server: check host and port; a firewall may block this machine.",
}


def alertsite_number(end: End, leg: Leg | None) -> int | None:
    """AlertSite's status for an end on a leg; None where it has none (skipped, cancelled)."""
    if end is End.UNREACHABLE:
        return 6 if leg is Leg.SMTP else 1
    return _NUMBERS.get(end)


def hint(end: End, leg: Leg | None) -> str:
    """What to look at, in a sentence; empty for a good end."""
    if end is End.UNREACHABLE:
        return _UNREACHABLE_HINTS[Leg.SMTP if leg is Leg.SMTP else Leg.MAILBOX]
    return _HINTS.get(end, "")
