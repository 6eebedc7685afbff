"""A trip as `parse` leaves it: frozen, complete, every default decided. Times are in seconds, sizes in bytes."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from mailtrip_checks.authentication import AuthenticationResults
from mailtrip_checks.schedule import Window
from mailtrip_checks.secrets import Secret

ALL_ADDRESSES = "*"  # of this machine: the host of a LISTEN endpoint that names none


class Protocol(StrEnum):
    SMTP = "smtp"
    SENDMAIL = "sendmail"
    IMAP = "imap"
    POP3 = "pop3"
    LISTEN = "listen"


class Security(StrEnum):
    NONE = "none"
    STARTTLS_IF_AVAILABLE = "starttls-if-available"
    TLS_IF_AVAILABLE = "tls-if-available"
    STARTTLS = "starttls"
    TLS = "tls"


class Auth(StrEnum):
    """How to log in. `PASSWORD` lets the client choose the best that the server offers."""

    NONE = "none"
    PASSWORD = "password"  # noqa: S105  (the name of a method, as definitions write it)
    PLAIN = "plain"
    LOGIN = "login"
    CRAM_MD5 = "cram-md5"
    APOP = "apop"
    OAUTH2 = "oauth2"


class Provider(StrEnum):
    GMAIL = "gmail"
    OUTLOOK = "outlook"


class Family(StrEnum):
    ANY = "any"
    IPV4 = "ipv4"
    IPV6 = "ipv6"


@dataclass(frozen=True, slots=True)
class Trust:
    """Which certificates are good: the system's authorities and `ca`, or exactly `fingerprint`, or any.

    `fingerprint` is the lower-case hexadecimal SHA-256 of the DER certificate, without colons.
    """

    ca: Path | None = None
    fingerprint: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class FixedToken:
    """An access token as the definition gives it."""

    token: Secret


@dataclass(frozen=True, slots=True)
class TokenCommand:
    """A command that prints an access token; it runs in `folder`, where the file lies that names it."""

    argv: tuple[str, ...] = field(repr=False)
    folder: Path


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """A server that grants access tokens: for the refresh token where there is one, else for the client itself."""

    url: str
    client_id: str
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    scope: str | None = None


OAuth2: TypeAlias = FixedToken | TokenCommand | TokenEndpoint


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server, and how to use it. `name` is how the definition calls it, never with a password in it.

    `embedded` says that `host` names an in-process host, and that host, port and trust, or the command, are filled in
    when it runs; `mx` that `host` is the recipient's domain, whose MX records are asked for at the resolver `dns` (the
    system's: None). `addresses` are the host's where they are known already. `command` is the mail program of a
    SENDMAIL endpoint. `accept` are patterns of the addresses for which a LISTEN endpoint takes mail.
    """

    name: str
    protocol: Protocol
    host: str
    port: int
    security: Security
    auth: Auth = Auth.NONE
    user: str = ""
    password: Secret | None = None
    trust: Trust = Trust()
    family: Family = Family.ANY
    connections_per_host: int = 50
    connections_per_user: int = 4
    rate_per_s: float | None = None
    login_failures: int = 10
    embedded: bool = False
    oauth2: OAuth2 | None = None
    mx: bool = False
    dns: tuple[str, int] | None = None
    addresses: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    provider: Provider | None = None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What nobody may see of it."""
        found = [self.password]
        match self.oauth2:
            case FixedToken(token):
                found.append(token)
            case TokenEndpoint(client_secret=client_secret, refresh_token=refresh_token):
                found += client_secret, refresh_token
            case _:
                pass
        return tuple(secret for secret in found if secret is not None)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file's content, or `size_bytes` of filler."""

    name: str
    path: Path | None = None
    size_bytes: int = 0


class Echo(StrEnum):
    """How an address sends its mail back: the mail itself, or a new one that answers it."""

    REDIRECT = "redirect"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Host:
    """A host of its own among the in-process servers: whose mail it keeps, and where other mail goes from it.

    `forwards` are addresses, each with those that its mail is sent on to; `relays` are domains, each with the name of
    the host that is handed its mail. `junk` are header fields, each with the text by which a mail is filed as junk;
    `results` is what each mail is told of its origin. `faults` are what goes wrong there: keys and values, as written.
    """

    name: str
    domains: tuple[str, ...] = ()
    forwards: tuple[tuple[str, tuple[str, ...]], ...] = ()
    relays: tuple[tuple[str, str], ...] = ()
    echoes: tuple[tuple[str, Echo], ...] = ()
    junk: tuple[tuple[str, str], ...] = ()
    results: AuthenticationResults | None = None
    faults: tuple[tuple[tuple[str, str | tuple[str, ...]], ...], ...] = ()


class Until(StrEnum):
    RCPT = "rcpt"
    DATA = "data"


@dataclass(frozen=True, slots=True)
class Send:
    """The SMTP leg. `headers` maps a field name to its value, or to None to remove what we would send."""

    via: Endpoint
    sender: str
    recipients: tuple[str, ...]
    header_from: str
    helo: str | None = None
    subject: str = ""
    headers: tuple[tuple[str, str | None], ...] = ()
    text: str | None = None
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    until: Until = Until.DATA
    timeout_s: float = 60.0


class Search(StrEnum):
    NEW = "new"
    SERVER = "server"
    ALL = "all"


class Match(StrEnum):
    HEADER = "header"
    SUBJECT = "subject"


TRASH: Final = "\\Trash"


@dataclass(frozen=True, slots=True)
class Delete:
    """What becomes of the mail: deleted, left (`wanted` false), or moved to a folder.

    To move to TRASH is to move to the folder that the server marks so (RFC 6154): its name differs by language.
    """

    wanted: bool = True
    move_to: str | None = None


@dataclass(frozen=True, slots=True)
class Receive:
    """The mailbox leg."""

    at: Endpoint
    mailbox: str = "INBOX"
    mailbox_is_dedicated: bool = False
    search: Search = Search.NEW
    match: Match = Match.HEADER
    push: bool = True
    interval_s: float = 5.0
    delete: Delete = Delete()
    step_timeout_s: float = 30.0


class Expected(StrEnum):
    """The end that an author hopes for; ACCEPTED and CONNECTED follow from a missing leg."""

    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    CONNECTED = "connected"
    REJECTED = "rejected"
    UNDELIVERED = "undelivered"


class Channel(StrEnum):
    """What limits and reports speak of; see `judge.channels`."""

    TOTAL = "total"
    SMTP = "smtp"
    MAILBOX = "mailbox"
    TRANSIT = "transit"
    RESPONSES = "responses"


@dataclass(frozen=True, slots=True)
class Limit:
    """Past `warn_s` a trip passes with a warning, past `fail_s` it fails.

    `percentiles` bound what so many percent of a repeated trip's runs stay within: pairs of percent and seconds.
    """

    channel: Channel
    warn_s: float | None = None
    fail_s: float | None = None
    percentiles: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Expect:
    """`reply` is as written: an SMTP code, an enhanced code, or None; `reply_pattern` is the regex that decides."""

    outcome: Expected = Expected.DELIVERED
    reply: str | None = None
    reply_pattern: re.Pattern[str] | None = None
    limits: tuple[Limit, ...] = ()

    def limits_any(self, *channels: Channel) -> bool:
        """Does one of these channels have a limit?"""
        return any(limit.channel in channels for limit in self.limits)


class TripKey(NamedTuple):
    """Which trip: no other has this file and id."""

    path: Path
    id: str

    def seen_from(self, path: Path) -> str:
        """How trips of that file call it."""
        return self.id if self.path == path else f"{self.path.name}::{self.id}"


@dataclass(frozen=True, slots=True)
class Repeat:
    """How often a trip runs, and how far its starts lie apart; None: the next starts when the one before has ended."""

    times: int
    every_s: float | None = None


@dataclass(frozen=True, slots=True)
class Trip:
    """One round trip, ready to run; `line` counts from 1. At least one leg is there.

    It starts when the trips that it `needs` have passed, as far as they are part of the run, and only inside its
    `schedule` and outside its `maintenance`. `primary` is the channel that reports show first,
    `recheck` how often a run that failed is tried again. `hosts` are the in-process hosts among which its mail travels.
    """

    id: str
    path: Path
    line: int
    send: Send | None
    receive: Receive | None
    expect: Expect = Expect()
    description: str = ""
    tags: tuple[str, ...] = ()
    priority: int = 3
    timeout_s: float = 300.0
    skip: str | None = None
    xfail: str | None = None
    needs: tuple[TripKey, ...] = ()
    schedule: tuple[Window, ...] = ()
    maintenance: tuple[Window, ...] = ()
    fresh: bool = False
    spread_s: float = 0.0
    primary: Channel = Channel.TOTAL
    recheck: int = 0
    repeat: Repeat | None = None
    environment: str | None = None
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    hosts: tuple[Host, ...] = ()

    @property
    def times(self) -> int:
        """How often it runs, tries after a failure not counted."""
        return self.repeat.times if self.repeat else 1

    @property
    def key(self) -> TripKey:
        """By which others need it."""
        return TripKey(self.path, self.id)

    @property
    def own_smtp(self) -> bool:
        """Whether its SMTP leg must open a connection of its own."""
        return self.fresh or self.expect.limits_any(Channel.SMTP, Channel.RESPONSES)

    @property
    def own_mailbox(self) -> bool:
        """Whether its mailbox leg must open a connection of its own."""
        return self.fresh or self.expect.limits_any(Channel.MAILBOX, Channel.RESPONSES)
