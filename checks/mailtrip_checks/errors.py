"""What stops a trip. Each error knows its end; who catches it adds where it happened."""

from typing import ClassVar

from mailtrip_checks.ends import End, Leg


class TripError(Exception):
    """A trip cannot go on.

    `what` is a sentence for a person, `reply` what the server said (masked, may be empty), `advice` replaces the
    end's general hint where more is known. `leg` and `stage` are filled in by the stage in which it was raised.
    """

    end: ClassVar[End]

    def __init__(self, what: str, *, reply: str = "", advice: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.reply = reply
        self.advice = advice
        self.leg: Leg | None = None
        self.stage = ""


class Unresolved(TripError, OSError):
    """No address for a host name."""

    end = End.UNRESOLVED


class Unreachable(TripError, ConnectionError):
    """Refused, no route, or closed before a greeting."""

    end = End.UNREACHABLE


def closed_at_once(host: str) -> Unreachable:
    """For a server that took the connection and ended it without a word."""
    return Unreachable(
        f"{host} closed the connection before a greeting",
        advice="The server took the connection and closed it at once: its access lists or limits may keep this machine "
        "out, the port may speak another protocol, or TLS from the first byte (`security: tls`).",
    )


class TimedOut(TripError, TimeoutError):
    """A step or a leg took longer than it may."""

    end = End.TIMED_OUT


class TlsFailed(TripError):
    """The handshake or the certificate failed, or TLS was required and is not offered."""

    end = End.TLS_FAILED


class LoginFailed(TripError):
    """The server refused the credentials, or has no mechanism that we may use."""

    end = End.LOGIN_FAILED


class TokenFailed(TripError):
    """No access token could be got to log in with; no mail server was asked, so none counts it as a refused login."""

    end = End.LOGIN_FAILED


class Refused(TripError):
    """The server answered, but will not serve us: 421/554 greeting, EHLO, SELECT or EXAMINE refused."""

    end = End.REFUSED


class Busy(Refused):
    """The server has too many connections now, or `of_user`; it may serve us once others have left."""

    def __init__(self, what: str, *, reply: str = "", advice: str = "", of_user: bool = False) -> None:
        super().__init__(what, reply=reply, advice=advice)
        self.of_user = of_user


class Rejected(TripError):
    """5xx to MAIL, RCPT or DATA."""

    end = End.REJECTED


class Deferred(TripError):
    """4xx to MAIL, RCPT or DATA."""

    end = End.DEFERRED


class ProtocolError(TripError):
    """An answer that is none, or a connection closed in the middle of a dialogue."""

    end = End.PROTOCOL_ERROR


class Lost(TripError):
    """Accepted, looked for, and not there in time."""

    end = End.LOST


class Undeleted(TripError):
    """Arrived, but could not be deleted."""

    end = End.UNDELETED


class Skipped(TripError):
    """A trip that it needs did not pass, or its windows do not allow it now."""

    end = End.SKIPPED


class Cancelled(TripError):
    """The run was stopped, or the trip was never started."""

    end = End.CANCELLED
