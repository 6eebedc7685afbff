"""Many trips into one mailbox: one watcher for all, against a connection each."""

from functools import partial
from statistics import median

from benchmarks.ground import Flown, Ground, ground
from benchmarks.harness import Chart, Figure, Measured, Size, at_least, at_most, interleaved
from benchmarks.servers import Count
from benchmarks.work import Definition

DELAY_S = 1.0
SHARED = Definition()
# A limit on the mailbox leg makes a trip pay for a connection of its own; 50 at once, so that none waits for long.
OWN = Definition(inbound="connections: {host: 50, user: 50}", trip="expect: {mailbox: 5m}")
WAVE = 10


def measure(size: Size) -> Measured:
    """CPU and connections."""
    trips = size.of(1000, 10)
    with ground(trips, 1) as here:
        here.served.delay(size.of(10, 2) * DELAY_S / 10)
        runs = interleaved(
            size.rounds,
            {
                "shared": partial(_connected, here, SHARED, trips),
                "nothing": partial(_connected, here, SHARED, 1),
                "own": partial(_connected, here, OWN, trips),
            },
        )
    cpus = {name: [flown.ran.cpu_s for flown, _ in each] for name, each in runs.items()}
    each_ms = {
        name: [1000 * (a - b) / trips for a, b in zip(cpus[name], cpus["nothing"], strict=True)]
        for name in ("shared", "own")
    }
    opened = [float(sum(count.opened for count in counts.values())) for _, counts in runs["shared"]]
    watchers = [float(counts["imap"].opened) for _, counts in runs["shared"]]
    times = [own / shared for own, shared in zip(each_ms["own"], each_ms["shared"], strict=True)]
    work = f"{trips} trips into one mailbox"
    return Measured(
        [
            Figure(f"{work}: connections to the mailbox", "", watchers, at_most(1)),
            Figure(f"{work}: connections in all", "", opened, at_most(5)),
            Figure(f"{work}: CPU a trip of a connection each / ours", "×", times, at_least(5)),
            _waves(size),
        ],
        [Chart("one-mailbox", f"{work}: CPU a trip", "ms", {name: median(ms) for name, ms in each_ms.items()})],
    )


def _connected(here: Ground, definition: Definition, trips: int) -> tuple[Flown, dict[str, Count]]:
    here.served.connections()
    return here.ours(definition, trips=trips), here.served.connections()


def _waves(size: Size) -> Figure:
    """More mailboxes than the host may have connections."""
    boxes = size.of(100, 20)
    with ground(2 * boxes, boxes) as here:
        here.served.delay(0.1)
        _, counts = _connected(here, Definition(inbound=f"connections: {{host: {WAVE}}}"), 2 * boxes)
    what = f"{boxes} mailboxes, `connections: {{host: {WAVE}}}`: most connections at once"
    return Figure(what, "", [float(counts["imap"].peak)], at_most(WAVE))
