"""Trips that wait: the servers deliver a second after they accepted."""

from collections.abc import Callable
from statistics import median

from benchmarks.ground import OTHERS, Flown, ground, sampled
from benchmarks.harness import Chart, Figure, Measured, Size, at_least, at_most, interleaved, percentile, ratios
from benchmarks.work import Definition
from mailtrip_checks.trips import Channel

TARGETS = {"one by one": at_least(100), "xdist -n 2": at_least(50)}
# How many trips those really make that take one after another.
SAMPLES = {"one by one": 10, "smtplib + imaplib": 10, "xdist -n 2": 20, "xdist -n 8": 40}
OURS = "pytest-mailtrip"
RECORDED = f"{OURS}, with --mailtrip-jsonl"


def measure(size: Size) -> Measured:
    """Wall time against each candidate, and how true the reported times are."""
    trips, delay_s = size.of(200, 8), 0.2 if size.tiny else 1.0
    made = {name: min(SAMPLES.get(name, trips), trips) for name in OTHERS}
    flights: list[Flown] = []
    with ground(trips, size.of(20, 4)) as here:
        here.served.delay(delay_s)

        def recorded() -> float:
            flights.append(here.ours(Definition(), records=True))
            return flights[-1].ran.wall_s

        candidates: dict[str, Callable[[], float]] = {
            OURS: lambda: here.ours(Definition()).ran.wall_s,
            RECORDED: recorded,
        }
        for name, command in OTHERS.items():
            candidates[name] = sampled(here, command, made[name])
        walls = interleaved(size.rounds, candidates)
    work = f"{trips} trips of {delay_s:g} s"
    figures = [
        Figure(
            f"{work}: wall of {name} / ours",
            "×",
            ratios(walls[name], walls[OURS]),
            TARGETS.get(name),
            f"reckoned from {made[name]} trips" if made[name] < trips else "",
        )
        for name in OTHERS
    ]
    totals = [[record.channels[Channel.TOTAL] for record in flown.records] for flown in flights]
    beyond = [wall_s - max(total) for wall_s, total in zip(walls[OURS], totals, strict=True)]
    inflated = [100 * (percentile(total, 95) / delay_s - 1) for total in totals]
    figures += [
        Figure(f"{work}: wall", "s", walls[OURS]),
        Figure(f"{work}: wall with --mailtrip-jsonl", "s", walls[RECORDED]),
        Figure(f"{work}: wall beyond the slowest trip", "s", beyond, at_most(1), "which another run told"),
        Figure(f"{work}: p95 of the reported total above the servers' delay", "%", inflated, at_most(2)),
    ]
    bars = {name: median(wall) for name, wall in walls.items()}
    return Measured(figures, [Chart("latency", f"{work}: wall time", "s", bars)])
