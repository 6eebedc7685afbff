"""The same on a real server: Postfix delivers to Dovecot."""

import imaplib
import time
from collections.abc import Sequence
from functools import partial
from statistics import median

from benchmarks.ground import JSON_LINES, OURS, read_records
from benchmarks.harness import (
    Figure,
    Measured,
    Size,
    Wrong,
    at_least,
    at_most,
    folder,
    interleaved,
    percentile,
    pytest_command,
    ratios,
    run,
)
from benchmarks.measurements.old_mail import find_ms
from benchmarks.truth import seen
from benchmarks.work import Definition, Work
from mailtrip_reports.record import Record
from tests.realservers.postfix_dovecot import running_servers, unavailable
from tests.realservers.servers import Account, RealServers

OLD = b"From: somebody@example.org\r\nSubject: an old mail %d\r\nMessage-ID: <%d@example.org>\r\n\r\nLong ago.\r\n"
# So far apart that each trip's looks have grown before the next trip makes them dense again.
RATE = "rate: 3/s"
SEARCHES = 5
NOWHERE = '"no such mail"'


def measure(size: Size) -> Measured:
    """The error in arrival, and finding a mail among old ones."""
    trips, old = size.of(40, 4), size.of(50_000, 200)
    error = Figure("Dovecot: p95 of the error in arrival", "ms", (), at_most(60))
    found = Figure(f"Dovecot, {old} old mails: a warm SEARCH / our look", "×", (), at_least(15))
    if reason := unavailable():
        return Measured([_without(error, reason), _without(found, reason)])
    with running_servers() as servers:
        few, full = servers.users[:2]
        for number in range(old):
            servers.put_mail(full, OLD % (number, number))
        _open(servers, full)
        runs = interleaved(
            size.rounds,
            {
                "arrival": partial(_late_ms, servers, few, trips),
                "look": partial(_look_ms, servers, full, size.of(10, 2)),
                "search": partial(_search_ms, servers, full),
            },
        )
    return Measured(
        [
            Figure(error.what, error.unit, runs["arrival"], error.target),
            Figure(found.what, found.unit, ratios(runs["search"], runs["look"]), found.target),
            Figure(f"Dovecot, {old} old mails: our look", "ms", runs["look"]),
            Figure(f"Dovecot, {old} old mails: a warm SEARCH", "ms", runs["search"]),
        ]
    )


def _without(figure: Figure, reason: str) -> Figure:
    return Figure(figure.what, figure.unit, (), figure.target, reason)


def _late_ms(servers: RealServers, account: Account, trips: int) -> float:
    records = _fly(servers, account, trips, "delete: false, interval: 1m")
    delivered: dict[str, float] = {}
    for path in (servers.maildir(account) / "new").iterdir():
        # Nobody has opened the mailbox for writing, so it still lies where the last change was its delivery.
        text = path.read_bytes()
        delivered |= {record.token: path.stat().st_ctime for record in records if record.token.encode() in text}
    return percentile([1000 * one.late_s for one in seen(records, delivered)], 95)


def _look_ms(servers: RealServers, account: Account, trips: int) -> float:
    return find_ms(_fly(servers, account, trips, "interval: 100ms"))


def _fly(servers: RealServers, account: Account, trips: int, receive: str) -> Sequence[Record]:
    ports = servers.ports
    work = Work(ports.smtp_notls, ports.imap_notls, ports.pop3_notls, (account.address,), trips, account.password)
    with folder() as place:
        files = Definition(out=RATE, receive=receive).save(place, work)
        run(pytest_command(*OURS, f"--mailtrip-jsonl={JSON_LINES}", *files), place)
        records = read_records(place)
    if len(records) != trips:
        raise Wrong(f"{len(records)} records of {trips} trips")
    return records


def _open(servers: RealServers, account: Account) -> None:
    """Open the mailbox once as its owner does: its mails move from new/ to cur/, and Dovecot makes its index."""
    with imaplib.IMAP4("127.0.0.1", servers.ports.imap_notls) as imap:
        imap.login(account.address, account.password)
        imap.select("INBOX")
        imap.uid("SEARCH", "HEADER", "Subject", NOWHERE)


def _search_ms(servers: RealServers, account: Account) -> float:
    with imaplib.IMAP4("127.0.0.1", servers.ports.imap_notls) as imap:
        imap.login(account.address, account.password)
        imap.select("INBOX", readonly=True)
        took_ms: list[float] = []
        for _ in range(SEARCHES):
            began = time.perf_counter()
            imap.uid("SEARCH", "HEADER", "Subject", NOWHERE)
            took_ms.append(1000 * (time.perf_counter() - began))
    return median(took_ms)
