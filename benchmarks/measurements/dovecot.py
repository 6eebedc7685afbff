"""The same on a real server: Postfix delivers to Dovecot."""

import imaplib
import re
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
from benchmarks.truth import seen
from benchmarks.work import Definition, Work
from mailtrip_reports.record import Record
from tests.realservers.postfix_dovecot import running_servers, unavailable
from tests.realservers.servers import Account, RealServers

OLD = b"From: somebody@example.org\r\nSubject: an old mail %d\r\nMessage-ID: <%d@example.org>\r\n\r\nLong ago.\r\n"
# So far apart that each trip's looks have grown before the next trip makes them dense again.
RATE = "rate: 3/s"
SEARCHES = 5
_FIND = re.compile(r"\w+ UID FETCH \d+:\* ")
NOWHERE = '"no such mail"'


def measure(size: Size) -> Measured:
    """The error in arrival, and finding a mail among old ones."""
    trips, old = size.of(40, 4), size.of(50_000, 200)
    error = Figure("Dovecot: p95 of the error in arrival", "ms", (), at_most(60))
    found = Figure(f"Dovecot, {old} old mails: a warm SEARCH / our FETCH that finds the mail", "×", (), at_least(15))
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
                "find": partial(_find_ms, servers, full, size.of(10, 2)),
                "search": partial(_search_ms, servers, full),
                "take in": partial(_take_in_ms, servers, full),
            },
        )
    both = "before either: it reads the whole folder of the disk"
    return Measured(
        [
            Figure(error.what, error.unit, runs["arrival"], error.target),
            Figure(found.what, found.unit, ratios(runs["search"], runs["find"]), found.target),
            Figure(f"Dovecot, {old} old mails: our FETCH that finds the mail", "ms", runs["find"]),
            Figure(f"Dovecot, {old} old mails: a warm SEARCH", "ms", runs["search"]),
            Figure(f"Dovecot, {old} old mails: the NOOP that takes in a new one", "ms", runs["take in"], note=both),
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


def _find_ms(servers: RealServers, account: Account, trips: int) -> float:
    """Without the NOOP, in which Dovecot takes in what is new, whoever asks then."""
    took_ms: list[float] = []
    for record in _fly(servers, account, trips, "interval: 100ms"):
        asked = {line.text.split()[0]: line.at_s for line in record.transcript if _FIND.match(line.text)}
        for line in record.transcript:
            tag, _, said = line.text.partition(" ")
            if tag in asked and said.startswith("OK "):
                took_ms.append(1000 * (line.at_s - asked.pop(tag)))
    if len(took_ms) < trips / 2:
        raise Wrong(f"{len(took_ms)} looks in the transcripts of {trips} trips")
    return median(took_ms)


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


def _take_in_ms(servers: RealServers, account: Account) -> float:
    with imaplib.IMAP4("127.0.0.1", servers.ports.imap_notls) as imap:
        imap.login(account.address, account.password)
        imap.select("INBOX", readonly=True)
        servers.put_mail(account, OLD % (0, 0))
        began = time.perf_counter()
        imap.noop()
        return 1000 * (time.perf_counter() - began)


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
