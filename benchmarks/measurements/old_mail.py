"""What it costs to find a mail where many old ones lie."""

from functools import partial
from statistics import median

from benchmarks.ground import Ground, ground
from benchmarks.harness import Chart, Figure, Measured, Size, at_most, interleaved, ratios
from benchmarks.work import Definition

OLD = b"From: somebody@example.org\r\nSubject: an old mail\r\nMessage-ID: <old@example.org>\r\n\r\nLong ago.\r\n"
DELAY_S = 0.2
RATE = "rate: 20/s"
PROTOCOLS = {"IMAP": "imap", "POP3": "pop3"}


def measure(size: Size) -> Measured:
    """The look that finds the mail and what the client's CPU does, among old mails and in an empty mailbox."""
    old, trips = size.of(50_000, 500), size.of(50, 4)
    with ground(trips, 2) as here:
        empty, full = here.work.addresses
        here.served.fill(full, OLD, old)
        here.served.delay(DELAY_S)
        runs = interleaved(
            size.rounds,
            {
                f"{name}, {place}": partial(_found, here, address, protocol)
                for name, protocol in PROTOCOLS.items()
                for place, address in (("empty", empty), ("full", full))
            },
        )
    find_ms = {name: [one[0] for one in each] for name, each in runs.items()}
    cpu_s = {name: [one[1] for one in each] for name, each in runs.items()}
    figures: list[Figure] = []
    for name in PROTOCOLS:
        where = f"among {old} old mails / in an empty mailbox"
        looks = ratios(find_ms[f"{name}, full"], find_ms[f"{name}, empty"])
        cpus = ratios(cpu_s[f"{name}, full"], cpu_s[f"{name}, empty"])
        note = "the in-process server's own work is in it"
        figures += [
            Figure(f"{name}: the look that finds a mail {where}", "×", looks, at_most(1.5), note),
            Figure(f"{name}: the client's CPU {where}", "×", cpus),
        ]
    bars = {name: median(each) for name, each in find_ms.items()}
    return Measured(figures, [Chart("old-mail", f"the look that finds a mail, {old} old ones or none", "ms", bars)])


def _found(here: Ground, address: str, protocol: str) -> tuple[float, float]:
    """Milliseconds of the median look, and seconds of CPU of the whole run."""
    definition = Definition(out=RATE, receive="interval: 100ms", protocol=protocol)
    flown = here.at(address).ours(definition, records=True)
    looks_s = [stage.length_s for record in flown.records for stage in record.stages if stage.name == "find"]
    return 1000 * median(looks_s), flown.ran.cpu_s
