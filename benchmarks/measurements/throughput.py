"""Trips that do not wait: what the client costs."""

from collections.abc import Callable
from functools import partial
from statistics import median

from benchmarks.ground import EMPTY, OTHERS, ground, sampled
from benchmarks.harness import (
    Chart,
    Figure,
    Measured,
    Ran,
    Size,
    at_least,
    at_most,
    interleaved,
    pytest_command,
    ratios,
)
from benchmarks.work import Definition

OURS = "pytest-mailtrip"
SAMPLED = ("one by one", "xdist -n 2", "xdist -n 8", "smtplib + imaplib")
LIBRARIES = "aiosmtplib + aioimaplib"
FLOOR = "raw floor"


def measure(size: Size) -> Measured:
    """Wall time against each candidate, and CPU a trip against the raw floor."""
    trips, some = size.of(2000, 20), size.of(400, 10)
    cpus: dict[str, list[float]] = {}
    with ground(trips, size.of(20, 4)) as here:

        def noted(name: str, fly: Callable[[], Ran]) -> float:
            ran = fly()
            cpus.setdefault(name, []).append(ran.cpu_s)
            return ran.wall_s

        flights: dict[str, Callable[[], Ran]] = {
            OURS: lambda: here.ours(Definition()).ran,
            LIBRARIES: lambda: here.fly(OTHERS[LIBRARIES]).ran,
            FLOOR: lambda: here.fly(OTHERS[FLOOR]).ran,
            "pytest alone": lambda: here.idle(pytest_command(*EMPTY)),
            "raw floor, no trip": lambda: here.fly(OTHERS[FLOOR], trips=0).ran,
        }
        candidates: dict[str, Callable[[], float]] = {name: partial(noted, name, fly) for name, fly in flights.items()}
        candidates |= {name: sampled(here, OTHERS[name], some) for name in SAMPLED}
        walls = interleaved(size.rounds, candidates)
    ours = _each(cpus[OURS], cpus["pytest alone"], trips)
    floor = _each(cpus[FLOOR], cpus["raw floor, no trip"], trips)
    work = f"{trips} trips without delay"
    figures = [
        Figure(
            f"{work}: wall of {name} / ours",
            "×",
            ratios(walls[name], walls[OURS]),
            at_least(4) if name == "one by one" else None,
            f"reckoned from {some} trips" if name in SAMPLED else "",
        )
        for name in OTHERS
    ]
    figures += [
        Figure(f"{work}: wall", "s", walls[OURS]),
        Figure("CPU a trip beyond an empty item's", "ms", ours),
        Figure("CPU a trip of the raw floor", "ms", floor),
        Figure("CPU a trip: ours / the raw floor's", "×", ratios(ours, floor), at_most(2)),
    ]
    bars = {name: median(walls[name]) for name in (OURS, *OTHERS)}
    each = {f"{OURS}, beyond pytest's": median(ours), FLOOR: median(floor)}
    charts = [
        Chart("throughput", f"{work}: wall time", "s", bars),
        Chart("cpu", f"{work}: the client's CPU a trip", "ms", each),
    ]
    return Measured(figures, charts)


def _each(all_s: list[float], without_s: list[float], trips: int) -> list[float]:
    """Milliseconds a trip."""
    return [1000 * (a - b) / trips for a, b in zip(all_s, without_s, strict=True)]
