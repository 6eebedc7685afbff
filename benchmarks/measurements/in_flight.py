"""Ten thousand trips that all wait at the same time."""

from collections.abc import Callable
from functools import partial
from statistics import median

from benchmarks.candidates.probe import PROBE
from benchmarks.ground import Flown, Ground, ground
from benchmarks.harness import Chart, Figure, Measured, Size, Wrong, at_least, at_most, interleaved
from benchmarks.work import Definition

CONNECTIONS = "connections: {host: 100}"
# Slower than the machine could: a loop that has no moment of rest says nothing about what waiting costs.
SENDS_PER_S = 125


def measure(size: Size) -> Measured:
    """Memory, the longest stall of the loop, and what a trip costs among few and among many."""
    many, few = size.of(10_000, 40), size.of(1_000, 10)
    with ground(many, size.of(100, 5)) as here:
        # Equally long, so that as many looks are taken.
        delays_s = {1: 0.5, few: size.of(90, 1), many: size.of(90, 1)}
        fly = {f"{trips} in flight": partial(_fly, here, trips, delay_s) for trips, delay_s in delays_s.items()}
        flights = interleaved(size.rounds, fly)
    ones, fews, manys = flights.values()

    def growth(of: Callable[[Flown], float]) -> list[float]:
        rounds = zip(map(of, ones), map(of, fews), map(of, manys), strict=True)
        return [(more - one) / many / ((less - one) / few) for one, less, more in rounds]

    return Measured(
        [
            Figure("trips in flight at once", "", [float(_at_once(flown)) for flown in manys], at_least(many)),
            Figure(f"{many} in flight: peak of memory", "MB", list(map(_peak_mb, manys)), at_most(250)),
            Figure(f"{many} in flight: longest stall of the loop", "ms", list(map(_stall_ms, manys)), at_most(50)),
            Figure(f"memory a trip among {many} / among {few}", "×", growth(_peak_mb), at_most(1.1)),
            Figure(f"CPU a trip among {many} / among {few}", "×", growth(_cpu_s), at_most(1.1)),
        ],
        [Chart("in-flight", "peak of memory", "MB", {k: median(map(_peak_mb, v)) for k, v in flights.items()})],
    )


def _fly(here: Ground, trips: int, delay_s: float) -> Flown:
    """So many trips; `delay_s` must be enough to send them all before the first arrives."""
    here.served.delay(delay_s)
    definition = Definition(out=f"rate: {SENDS_PER_S}/s", inbound=CONNECTIONS)
    return here.ours(definition, f"--mailtrip-concurrency={trips}", "-p", PROBE, trips=trips)


def _at_once(flown: Flown) -> int:
    """The most mails that were accepted and not yet delivered."""
    now = peak = 0
    for event in flown.events:
        now += {"accepted": 1, "delivered": -1, "deleted": 0}[event.kind]
        peak = max(peak, now)
    return peak


def _peak_mb(flown: Flown) -> float:
    if flown.probed is None:
        raise Wrong("the probe was not loaded")
    return flown.probed.peak_mb


def _cpu_s(flown: Flown) -> float:
    return flown.ran.cpu_s


def _stall_ms(flown: Flown) -> float:
    if flown.probed is None:
        raise Wrong("the probe was not loaded")
    return flown.probed.stall_ms
