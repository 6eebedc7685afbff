"""What it costs to find a mail where many old ones lie."""

from collections.abc import Sequence
from functools import partial
from statistics import median

from benchmarks.ground import Ground, ground
from benchmarks.harness import Chart, Figure, Measured, Size, at_most, interleaved, ratios
from benchmarks.work import Definition
from mailtrip_checks.trips import Channel
from mailtrip_reports.record import Record

OLD = b"From: somebody@example.org\r\nSubject: an old mail\r\nMessage-ID: <old@example.org>\r\n\r\nLong ago.\r\n"
DELAY_S = 0.2
# Of its own connections: every trip logs in, opens the mailbox, finds, fetches and deletes.
FRESH = "fresh: true"
PROTOCOLS = {"IMAP": "imap", "POP3": "pop3"}


def measure(size: Size) -> Measured:
    """The mailbox leg's own time, among old mails and in an empty mailbox."""
    old, trips = size.of(50_000, 500), size.of(50, 4)
    with ground(trips, 2) as here:
        empty, full = here.work.addresses
        here.served.fill(full, OLD, old)
        here.served.delay(DELAY_S)
        runs = interleaved(
            size.rounds,
            {
                f"{name}, {place}": partial(_leg_ms, here, address, protocol)
                for name, protocol in PROTOCOLS.items()
                for place, address in (("empty", empty), ("full", full))
            },
        )
    figures = [
        Figure(
            f"{name}: mailbox leg among {old} old mails / in an empty mailbox",
            "×",
            ratios(runs[f"{name}, full"], runs[f"{name}, empty"]),
            at_most(1.5),
        )
        for name in PROTOCOLS
    ]
    bars = {name: median(each) for name, each in runs.items()}
    return Measured(figures, [Chart("old-mail", f"mailbox leg, {old} old mails or none", "ms", bars)])


def _leg_ms(here: Ground, address: str, protocol: str) -> float:
    definition = Definition(out="rate: 20/s", receive="interval: 100ms", trip=FRESH, protocol=protocol)
    return leg_ms(here.at(address).ours(definition, records=True).records)


def leg_ms(records: Sequence[Record]) -> float:
    """The median over the trips of the mailbox leg without its waiting: connect, login, find, fetch, delete."""
    return 1000 * median(record.channels[Channel.MAILBOX] for record in records)
