"""From the keys of one trip to a frozen `Trip`: what a whole trip needs, and which keys do not go together."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from mailtrip_checks.definitions.endpoints import Endpoints
from mailtrip_checks.definitions.listening import check_listening
from mailtrip_checks.definitions.mistakes import Mark
from mailtrip_checks.definitions.providers import default_delete
from mailtrip_checks.definitions.repeating import percentiles_of, repeat_of
from mailtrip_checks.definitions.schema import AttachmentKeys, ExpectKeys, LimitKeys, ReceiveKeys, SendKeys, TripKeys
from mailtrip_checks.definitions.tree import Map
from mailtrip_checks.definitions.validation import Subject
from mailtrip_checks.trips import (
    Attachment,
    Auth,
    Channel,
    Endpoint,
    Expect,
    Expected,
    Limit,
    Protocol,
    Receive,
    Search,
    Security,
    Send,
    Trip,
    Until,
)

_NO_SERVER: Final = Endpoint("", Protocol.SMTP, "", 0, Security.NONE)
_SEND: Final = Send(_NO_SERVER, "", (), "")
_RECEIVE: Final = Receive(_NO_SERVER)
_TRIP: Final = Trip("", Path(), 1, None, None)
_CHANNELS: Final = frozenset(Channel)
_MAILBOX_CHANNELS: Final = (Channel.TOTAL, Channel.MAILBOX, Channel.TRANSIT, Channel.RESPONSES)
_LOOKED_FOR_CHANNELS: Final = (Channel.MAILBOX, Channel.RESPONSES)
_SMTP_CHANNELS: Final = (Channel.TOTAL, Channel.SMTP, Channel.TRANSIT, Channel.RESPONSES)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a trip comes from: its id, its place, the chosen environment, and the keys that it wrote itself."""

    id: str
    mark: Mark
    environment: str | None
    own: Map


def build(source: Source, keys: TripKeys, subject: Subject, endpoints: Endpoints) -> Trip | None:
    """The trip; None, and a mistake, where it cannot be one."""
    if not subject.has("send") and not subject.has("receive"):
        what = "has neither `send` nor `receive`; write at least one of the two"
        subject.mistakes.add(source.mark, f"trips.{source.id}", what)
        return None
    recipient = keys.send.to[0] if keys.send and keys.send.to else ""
    send = _send(keys.send, subject, endpoints, recipient) if keys.send else None
    receive = _receive(keys, subject, endpoints, recipient) if keys.receive else None
    _check_together(keys, receive, subject)
    measured = _measured(receive, subject)
    expect = _expect(keys, source, measured, subject)
    timeout_s = _given(keys.timeout, _TRIP.timeout_s)
    secrets = [secret for leg in (send and send.via, receive and receive.at) if leg for secret in leg.secrets]
    return Trip(
        id=str(source.id),
        path=source.mark.path,
        line=source.mark.line,
        send=send,
        receive=receive,
        expect=expect,
        description=_given(keys.description, _TRIP.description).strip(),
        tags=tuple(dict.fromkeys(map(str, keys.tags or ()))),
        priority=_given(keys.priority, _TRIP.priority),
        timeout_s=timeout_s,
        skip=keys.skip,
        xfail=keys.xfail,
        schedule=keys.schedule or (),
        maintenance=keys.maintenance or (),
        fresh=_given(keys.fresh, _TRIP.fresh),
        spread_s=_given(keys.spread, _TRIP.spread_s),
        primary=_primary(keys, source, measured, subject),
        recheck=_given(keys.recheck, _TRIP.recheck),
        repeat=repeat_of(keys, subject, timeout_s=timeout_s),
        environment=source.environment,
        secrets=tuple(dict.fromkeys(secrets)),
        hosts=endpoints.hosts([leg for leg in (send and send.via, receive and receive.at) if leg], subject.mistakes),
    )


def _given(value: Value | None, default: Value) -> Value:
    return default if value is None else value


def _send(keys: SendKeys, subject: Subject, endpoints: Endpoints, recipient: str) -> Send | None:
    for name, example in (("from", "from: probe@example.org"), ("to", "to: probe@example.com")):
        if not subject.has("send", name):
            subject.add(("send", name), f"is missing; write `{example}`")
    via = endpoints.make(subject, keys, recipient)
    attachments = tuple(_attachment(part, index, subject) for index, part in enumerate(keys.attachments or ()))
    if via is None or keys.sender is None or keys.to is None:
        return None
    return Send(
        via=via,
        sender=keys.sender,
        recipients=keys.to,
        header_from=keys.header_from or keys.sender,
        helo=keys.helo,
        subject=_given(keys.subject, _SEND.subject),
        headers=tuple((keys.headers or {}).items()),
        text=keys.text,
        html=keys.html,
        attachments=attachments,
        until=_given(keys.until, _SEND.until),
        timeout_s=_given(keys.timeout, _SEND.timeout_s),
    )


def _attachment(keys: AttachmentKeys, index: int, subject: Subject) -> Attachment:
    has_path, has_size = (subject.has("send", "attachments", index, key) for key in ("path", "size"))
    if has_path == has_size:
        what = "has both `path` and `size`; keep one" if has_path else "needs `path: FILE` or `size: 5MB`; write one"
        subject.add(("send", "attachments", index), what)
    name = keys.name or (keys.path.name if keys.path else "filler.bin")
    return Attachment(name, keys.path, keys.size or 0)


def _receive(keys: TripKeys, subject: Subject, endpoints: Endpoints, recipient: str) -> Receive | None:
    leg = keys.receive or ReceiveKeys()
    at = endpoints.make(subject, leg, recipient)
    if at is None:
        return None
    if at.protocol is Protocol.LISTEN:
        check_listening(subject, leg)
        at = replace(at, accept=at.accept or (keys.send and keys.send.to) or ())
    elif at.protocol is Protocol.POP3:
        _check_pop3(leg, subject)
    if at.protocol is not Protocol.LISTEN and at.auth is Auth.NONE and subject.has("send"):
        subject.add(
            ("receive", "auth"), "none cannot look for the mail that `send` sends; give a password, or leave `send` out"
        )
    return Receive(
        at=at,
        mailbox=_given(leg.mailbox, _RECEIVE.mailbox),
        mailbox_is_dedicated=_given(leg.mailbox_is_dedicated, _RECEIVE.mailbox_is_dedicated),
        search=_given(leg.search, _RECEIVE.search),
        match=_given(leg.match, _RECEIVE.match),
        push=_given(leg.push, _RECEIVE.push),
        interval_s=_given(leg.interval, _given(keys.interval, _RECEIVE.interval_s)),
        delete=_given(leg.delete, default_delete(at)),
        step_timeout_s=_given(leg.step_timeout, _RECEIVE.step_timeout_s),
    )


def _check_pop3(leg: ReceiveKeys, subject: Subject) -> None:
    if leg.mailbox and leg.mailbox.upper() != "INBOX":
        subject.add(("receive", "mailbox"), "POP3 has one maildrop and no folders; leave it out, or use IMAP")
    if leg.delete and leg.delete.move_to:
        subject.add(("receive", "delete"), "POP3 cannot move a mail; write true or false, or use IMAP")
    if leg.search is Search.SERVER:
        subject.add(("receive", "search"), "POP3 has no SEARCH; write new or all, or use IMAP")


def _check_together(keys: TripKeys, receive: Receive | None, subject: Subject) -> None:
    send = keys.send
    if send and send.until is Until.RCPT and subject.has("receive"):
        what = "sends nothing that could arrive; leave `receive` out, or write `receive: null` where it is inherited"
        subject.add(("send", "until"), what)
    if send and send.sender and receive and receive.mailbox.lower() == send.sender.lower():
        subject.add(
            ("receive", "mailbox"), "is the sender's address; name the folder of the recipient in which to look"
        )


def _expect(keys: TripKeys, source: Source, measured: frozenset[Channel], subject: Subject) -> Expect:
    expect = keys.expect or ExpectKeys()
    has_send, has_receive = subject.has("send"), subject.has("receive")
    if not has_send or not has_receive:
        outcome = Expected.ACCEPTED if has_send else Expected.CONNECTED
        if expect.outcome is Expected.REJECTED and has_send:
            outcome = Expected.REJECTED
        elif expect.outcome is not None:
            missing = "receive" if has_send else "send"
            subject.add(
                ("expect", "outcome"),
                f"cannot be {expect.outcome} without `{missing}`; leave it out, or add `{missing}`",
            )
    else:
        outcome = expect.outcome or Expected.DELIVERED
    if expect.reply and outcome is not Expected.REJECTED:
        subject.add(("expect", "reply"), "stands without a rejection; write `outcome: rejected` too")
    reply, pattern = (str(expect.reply[0]), expect.reply[1]) if expect.reply else (None, None)
    limits: list[Limit] = []
    for channel in Channel:
        limit: LimitKeys | None = getattr(expect, channel)
        if limit and channel in measured:
            limits += _limit(channel, limit, source, subject)
        elif limit and _is_own(source.own, channel):
            # An inherited limit holds where it can; one written here would never be judged.
            absent = _absent(subject)
            otherwise = f", or add `{absent}`" if absent else ""
            subject.add(("expect", channel.value), f"is not measured {_where(absent)}; leave it out{otherwise}")
    return Expect(outcome, reply, pattern, tuple(limits))


def _measured(receive: Receive | None, subject: Subject) -> frozenset[Channel]:
    listens = receive is not None and receive.at.protocol is Protocol.LISTEN
    return _CHANNELS.difference(
        () if subject.has("receive") else _MAILBOX_CHANNELS,
        () if subject.has("send") else _SMTP_CHANNELS,
        _LOOKED_FOR_CHANNELS if listens else (),
    )


def _absent(subject: Subject) -> str | None:
    return next((leg for leg in ("send", "receive") if not subject.has(leg)), None)


def _where(absent: str | None) -> str:
    """Where a trip cannot measure all channels."""
    return f"without `{absent}`" if absent else "where mail comes to us"


def _primary(keys: TripKeys, source: Source, measured: frozenset[Channel], subject: Subject) -> Channel:
    if keys.primary is None:
        return _TRIP.primary
    if keys.primary not in measured and "primary" in source.own:
        subject.add(("primary",), f"`{keys.primary}` is not measured {_where(_absent(subject))}; name another channel")
    return keys.primary


def _is_own(own: Map, channel: Channel) -> bool:
    expect = own.get("expect")
    return isinstance(expect, Map) and channel.value in expect


def _limit(channel: Channel, keys: LimitKeys, source: Source, subject: Subject) -> Iterator[Limit]:
    way = ("expect", channel.value)
    if subject.find(way)[0] == {}:
        subject.add(way, "limits nothing; write a duration, or {warn: 1s, fail: 3s}")
    if keys.warn is not None and keys.fail is not None and keys.warn >= keys.fail:
        subject.add((*way, "warn"), "is not below `fail`, so it would never warn; write less")
    limit = Limit(channel, keys.warn, keys.fail, percentiles_of(channel, keys, subject, source.own))
    if limit != Limit(channel):  # inherited percentiles limit nothing where the trip runs once
        yield limit
