"""The keys of a definition: what there is, and what each holds.

Every key may be missing, for `defaults` hold any part of a trip; what a whole trip needs is for `build` to say.
"""

import re
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

from mailtrip_checks import trips
from mailtrip_checks.authentication import DkimResult, DmarcResult, SpfResult
from mailtrip_checks.definitions import scalars, windows
from mailtrip_checks.definitions.keys import Keys, Read, Shape
from mailtrip_checks.definitions.places import EMBEDDED, RESERVED, as_mapping
from mailtrip_checks.definitions.tree import Items, Map, Text, listed
from mailtrip_checks.schedule import Window
from mailtrip_checks.secrets import Secret

_OWN_HEADERS: Final = {
    "x-mailtrip": "mailtrip needs it to know its mail",
    "message-id": "mailtrip needs it to know its mail",
    "subject": "write it under `subject`",
    "from": "write it under `header_from`",
    "to": "write it under `to`",
}

_PROVIDER: Final = scalars.word(
    trips.Provider,
    meant={
        **dict.fromkeys(("hotmail", "live", "msn", "microsoft", "office365"), trips.Provider.OUTLOOK),
        **dict.fromkeys(("google", "googlemail"), trips.Provider.GMAIL),
    },
)
_PROTOCOL: Final = scalars.word(trips.Protocol)


def _raw_map(value: object) -> Map:
    if isinstance(value, Map):
        return value
    raise ValueError("is no mapping; write one, as in `{key: value}`")


def _place(value: object) -> Text | Map:
    if isinstance(value, Text | Map):
        return value
    raise ValueError("is a list; write one server name, URL or mapping")


def _server(value: object) -> object:
    if not isinstance(value, Text):
        return value
    mapping = as_mapping(value)
    if mapping is None:
        raise ValueError("is no server; write a URL such as imaps://mail.example.com, or a mapping")
    return mapping


def _one_or_list(value: object) -> object:
    if isinstance(value, Items) and not value:
        raise ValueError("is empty; write at least one address")
    return _listed(value)


def _listed(value: object) -> object:
    return listed(value) if isinstance(value, Text) else value


def _patterns(value: object) -> tuple[str, ...]:
    if isinstance(value, Items) and not value:
        raise ValueError("is empty; write at least one pattern, or leave it out for the `to` of the trips")
    return tuple(map(scalars.address_pattern, value if isinstance(value, Items) else [value]))


def _host_name(value: object) -> str:
    found = scalars.host(value)
    if found in RESERVED:
        raise ValueError("is a reserved name; write another for the host")
    return found


def _limit(value: object) -> object:
    return Map(value.at, [("fail", value)]) if isinstance(value, Text) else value


def _percentile(value: object) -> float:
    if not isinstance(value, Map):
        return scalars.duration_s(value)
    raise ValueError("is a mapping; write the one duration past which the trip fails, as in `p95: 2s`")


def _attachments(value: object) -> object:
    if not isinstance(value, Text | Map):
        return value
    is_now = f"one value; write [{_with_path(value)}]" if isinstance(value, Text) else "a mapping; write [{path: FILE}]"
    raise ValueError(f"is {is_now}")


def _attachment(value: object) -> object:
    if not isinstance(value, Text):
        return value
    raise ValueError(f"is one value; write {_with_path(value)}")


def _with_path(value: Text) -> str:
    return f"{{path: {value}}}" if value.literal and re.fullmatch(r"[\w./-]{1,60}", value) else "{path: FILE}"


def _repeat(value: object) -> object:
    if not isinstance(value, Items):
        return Map(value.at, [("times", value)]) if isinstance(value, Text) else value
    raise ValueError("is a list; write a number, as in `repeat: 3`, or {times: 3, every: 5m}")


def _mailbox(value: object) -> object:
    if not isinstance(value, Items):
        return value
    raise ValueError("a list of mailboxes is not supported yet; write one mapping")


def _delete(value: object) -> trips.Delete:
    if isinstance(value, Map):
        if list(value) != ["move_to"]:
            raise ValueError("is none of its forms; write true, false or {move_to: FOLDER}")
        folder = scalars.filled_line(value["move_to"])
        if folder.startswith("\\") and folder != trips.TRASH:
            raise ValueError(f"names no folder; write its name, or `{trips.TRASH}` for the one so marked")
        return trips.Delete(move_to=folder)
    return trips.Delete(wanted=scalars.boolean(value))


def _token_command(value: object) -> trips.TokenCommand:
    if not isinstance(value, Items) or not value:
        raise ValueError("is no command; write its words as a list, as in [./get-token, --account, probe]")
    argv = tuple(map(scalars.plain, value))
    if not argv[0].strip() or any("\0" in word for word in argv):
        raise ValueError("has no program in front, or holds a NUL; write [program, argument]")
    return trips.TokenCommand(argv, value.at.path.parent)


def _reply(value: object) -> tuple[str, re.Pattern[str]]:
    """As written, and the expression that a reply such as `550 5.7.1 No` must fit."""
    found = scalars.text(value)
    if len(found) > 2 and found.startswith("/") and found.endswith("/"):
        try:
            return found, re.compile(found[1:-1])
        except (re.error, OverflowError, RecursionError):
            raise ValueError(f"{scalars.shown(found)} is no regular expression; check its brackets") from None
    if re.fullmatch(r"5\d\d", found, re.ASCII):
        return found, re.compile(rf"^{found}(?=[ -]|$)")
    if re.fullmatch(r"5\.\d{1,3}\.\d{1,3}", found, re.ASCII):
        return found, re.compile(rf"^5\d\d[ -]{re.escape(found)}(?!\S)")
    raise ValueError(f"{scalars.shown(found)} is no reply that rejects; write 550, 5.7.1 or /regex/")


def _field_name(value: object) -> str:
    name = str(value)
    if not re.fullmatch(r"[!-9;-~]+", name):
        raise ValueError("is no header's name; write printable ASCII without blank or colon")
    return name


def _header_name(value: object) -> str:
    name = _field_name(value)
    if why := _OWN_HEADERS.get(name.lower()):
        raise ValueError(f"cannot be set here: {why}")
    return name


def _outcome(value: object) -> trips.Expected:
    found = scalars.text(value)
    if found in {trips.Expected.ACCEPTED.value, trips.Expected.CONNECTED.value}:
        raise ValueError(f"`{found}` follows by itself where a leg is left out; leave this key out")
    return trips.Expected(scalars.word(_Outcome, not_yet=frozenset({"bounced"}))(found))


class _Outcome(StrEnum):
    DELIVERED = "delivered"
    REJECTED = "rejected"
    UNDELIVERED = "undelivered"


Line: TypeAlias = Annotated[str, Read(scalars.line)]
Filled: TypeAlias = Annotated[str, Read(scalars.filled_line)]
Plain: TypeAlias = Annotated[str, Read(scalars.plain)]
Reason: TypeAlias = Annotated[str, Read(scalars.reason)]
Boolean: TypeAlias = Annotated[bool, Read(scalars.boolean)]
Duration: TypeAlias = Annotated[float, Read(scalars.duration_s)]
Address: TypeAlias = Annotated[str, Read(scalars.address)]
Count: TypeAlias = Annotated[int, Read(scalars.whole(1, 100_000))]
File: TypeAlias = Annotated[Path, Read(scalars.file_path)]
Password: TypeAlias = Annotated[Secret, Read(scalars.secret)]
Login: TypeAlias = Annotated[trips.Auth, Read(scalars.word(trips.Auth))]
Place: TypeAlias = Annotated[Text | Map, Read(_place)]
Windows: TypeAlias = Annotated[tuple[Annotated[Window, Read(windows.window)], ...], Shape(_listed)]
RawMap: TypeAlias = Annotated[Map, Read(_raw_map)]


Domain: TypeAlias = Annotated[str, Read(scalars.host)]


class ConnectionsKeys(Keys):
    host: Count | None = None
    user: Count | None = None


class OAuth2Keys(Keys):
    token: Password | None = None
    token_command: Annotated[trips.TokenCommand, Read(_token_command)] | None = None
    token_url: Annotated[str, Read(scalars.token_url)] | None = None
    client_id: Filled | None = None
    client_secret: Password | None = None
    refresh_token: Password | None = None
    scope: Filled | None = None


class ResultsKeys(Keys):
    spf: Annotated[SpfResult, Read(scalars.word(SpfResult))] | None = None
    dkim: Annotated[DkimResult, Read(scalars.word(DkimResult))] | None = None
    dmarc: Annotated[DmarcResult, Read(scalars.word(DmarcResult))] | None = None


class ServerKeys(Keys):
    provider: Annotated[trips.Provider, Read(_PROVIDER)] | None = None
    protocol: Annotated[trips.Protocol, Read(_PROTOCOL)] | None = None
    embedded: Annotated[str, Read(_host_name)] | None = None
    domains: tuple[Domain, ...] | None = None
    forwards: dict[Address, Annotated[tuple[Address, ...], Shape(_one_or_list)]] | None = None
    relays: dict[Domain, Filled] | None = None
    echoes: dict[Address, Annotated[trips.Echo, Read(scalars.word(trips.Echo))]] | None = None
    junk: dict[Annotated[str, Read(_field_name)], Line] | None = None
    authentication_results: ResultsKeys | None = None
    faults: tuple[RawMap, ...] | None = None
    host: Annotated[str, Read(scalars.host)] | None = None
    port: Annotated[int, Read(scalars.whole(1, 65535))] | None = None
    security: Annotated[trips.Security, Read(scalars.word(trips.Security))] | None = None
    user: Filled | None = None
    password: Password | None = None
    auth: Login | None = None
    oauth2: OAuth2Keys | None = None
    ca: File | None = None
    fingerprint: Annotated[str, Read(scalars.fingerprint)] | None = None
    verify: Boolean | None = None
    family: Annotated[trips.Family, Read(scalars.word(trips.Family))] | None = None
    connections: ConnectionsKeys | None = None
    rate: Annotated[float, Read(scalars.rate_per_s)] | None = None
    login_failures: Count | None = None
    dns: Annotated[tuple[str, int], Read(scalars.resolver)] | None = None
    command: Annotated[tuple[str, ...], Read(scalars.command)] | None = None
    accept: Annotated[tuple[str, ...], Read(_patterns)] | None = None

    @property
    def in_process(self) -> str | None:
        """The name of the in-process host that it is: `embedded` is the one that is always there."""
        return self.embedded or (EMBEDDED if self.host == EMBEDDED else None)


class AttachmentKeys(Keys):
    path: File | None = None
    size: Annotated[int, Read(scalars.size_bytes)] | None = None
    name: Filled | None = None


Attachments: TypeAlias = Annotated[tuple[Annotated[AttachmentKeys, Shape(_attachment)], ...], Shape(_attachments)]


class SendKeys(Keys):
    not_yet = frozenset({"raw", "retry_deferred", "bounces"})
    written_as = MappingProxyType({"from": "sender"})
    via: Place | None = None
    sender: Address | None = None
    to: Annotated[tuple[Address, ...], Shape(_one_or_list)] | None = None
    header_from: Address | None = None
    helo: Annotated[str, Read(scalars.helo)] | None = None
    subject: Line | None = None
    headers: dict[Annotated[str, Read(_header_name)], Line | None] | None = None
    text: Plain | None = None
    html: Plain | None = None
    attachments: Attachments | None = None
    auth: Login | None = None
    oauth2: OAuth2Keys | None = None
    user: Filled | None = None
    password: Password | None = None
    until: Annotated[trips.Until, Read(scalars.word(trips.Until))] | None = None
    timeout: Annotated[float, Read(scalars.send_timeout_s)] | None = None


class ReceiveKeys(Keys):
    not_yet = frozenset({"also"})
    at: Place | None = None
    mailbox: Filled | None = None
    mailbox_is_dedicated: Boolean | None = None
    auth: Login | None = None
    oauth2: OAuth2Keys | None = None
    user: Filled | None = None
    password: Password | None = None
    search: Annotated[trips.Search, Read(scalars.word(trips.Search))] | None = None
    match: Annotated[trips.Match, Read(scalars.word(trips.Match))] | None = None
    push: Boolean | None = None
    interval: Duration | None = None
    delete: Annotated[trips.Delete, Read(_delete)] | None = None
    step_timeout: Duration | None = None


Percentile: TypeAlias = Annotated[float, Read(_percentile)]


class LimitKeys(Keys):
    warn: Duration | None = None
    fail: Duration | None = None
    p50: Percentile | None = None
    p75: Percentile | None = None
    p90: Percentile | None = None
    p95: Percentile | None = None
    p99: Percentile | None = None


Limit: TypeAlias = Annotated[LimitKeys, Shape(_limit)]


class ExpectKeys(Keys):
    not_yet = frozenset({"folder", "copies", "content", "headers", "authentication", "tls", "hops", "downtime"})
    outcome: Annotated[trips.Expected, Read(_outcome)] | None = None
    reply: Annotated[tuple[str, re.Pattern[str]], Read(_reply)] | None = None
    total: Limit | None = None
    smtp: Limit | None = None
    mailbox: Limit | None = None
    transit: Limit | None = None
    responses: Limit | None = None


class RepeatKeys(Keys):
    times: Annotated[int, Read(scalars.whole(2, 10_000))] | None = None
    every: Duration | None = None


class TripKeys(Keys):
    description: Plain | None = None
    tags: tuple[Annotated[Text, Read(scalars.tag)], ...] | None = None
    priority: Annotated[int, Read(scalars.whole(1, 5))] | None = None
    timeout: Duration | None = None
    interval: Duration | None = None
    skip: Reason | None = None
    xfail: Reason | None = None
    needs: Annotated[tuple[Filled, ...], Shape(_listed)] | None = None
    schedule: Windows | None = None
    maintenance: Windows | None = None
    fresh: Boolean | None = None
    spread: Duration | None = None
    primary: Annotated[trips.Channel, Read(scalars.word(trips.Channel))] | None = None
    recheck: Annotated[int, Read(scalars.whole(1, 10))] | None = None
    repeat: Annotated[RepeatKeys, Shape(_repeat)] | None = None
    matrix: RawMap | None = None
    send: SendKeys | None = None
    receive: Annotated[ReceiveKeys, Shape(_mailbox)] | None = None
    expect: ExpectKeys | None = None


class EnvironmentKeys(Keys):
    servers: dict[str, Annotated[ServerKeys, Shape(_server)]] | None = None
    defaults: TripKeys | None = None


class FileKeys(Keys):
    servers: dict[str, Annotated[ServerKeys, Shape(_server)]] | None = None
    defaults: TripKeys | None = None
    environments: dict[str, EnvironmentKeys] | None = None
    trips: dict[str, RawMap] | None = None
