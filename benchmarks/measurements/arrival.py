"""How near the reported arrival comes to the instant at which the server delivered the mail."""

from collections.abc import Callable
from functools import partial
from statistics import median

from benchmarks.ground import Flown, ground
from benchmarks.harness import Chart, Figure, Measured, Size, at_most, interleaved, percentile
from benchmarks.truth import seen
from benchmarks.work import Definition

# Sent evenly over some seconds, and delivered after all this time: neither sending nor other arrivals are in the way.
SENDS_PER_S = 50
DELAY_S = 0.7
RATE = f"rate: {SENDS_PER_S}/s"
POLLED_INTERVAL_S = 0.25
_BUSY = """\
import time

def test_busy():
    end = time.monotonic() + {seconds}
    while time.monotonic() < end:
        sum(range(1000))
"""


def measure(size: Size) -> Measured:
    """IDLE, IDLE beside a busy main thread, looks alone, POP3."""
    trips = size.of(200, 8)
    with ground(trips, size.of(10, 2)) as here:
        here.served.delay(DELAY_S)
        by_idle, by_looks = "interval: 1m", f"interval: {POLLED_INTERVAL_S * 1000:g}ms"
        ways = {
            "IDLE": Definition(out=RATE, receive=by_idle),
            "busy": Definition(out=RATE, receive=by_idle, beside=_BUSY.format(seconds=trips / SENDS_PER_S + DELAY_S)),
            "polled": Definition(out=RATE, receive=f"push: false, {by_looks}"),
            "POP3": Definition(out=RATE, receive=by_looks, protocol="pop3"),
        }
        fly: dict[str, Callable[[], Flown]] = {
            way: partial(here.ours, definition, records=True) for way, definition in ways.items()
        }
        flights = interleaved(size.rounds, fly)
    found = {way: [seen(one.records, one.delivered_wall_s) for one in flown] for way, flown in flights.items()}
    late = {way: [percentile([1000 * one.late_s for one in each], 95) for each in found[way]] for way in found}
    outside = [float(sum(not one.contains for one in each)) for way in found for each in found[way]]
    widest = [1000 * max(one.width_s - POLLED_INTERVAL_S - one.look_s for one in each) for each in found["polled"]]
    figures = [
        Figure("arrival by IDLE: p95 of the error", "ms", late["IDLE"], at_most(3)),
        Figure("arrival by IDLE, main thread busy: p95 of the error", "ms", late["busy"], at_most(5)),
        Figure("arrival by looks each 250 ms: p95 of the error", "ms", late["polled"]),
        Figure("arrival by POP3 each 250 ms: p95 of the error", "ms", late["POP3"], at_most(260)),
        Figure("brackets that do not contain the truth", "of all", [sum(outside)], at_most(0)),
        Figure("widest bracket beyond interval and one look", "ms", widest, at_most(0)),
    ]
    bars = {way: median(each) for way, each in late.items() if way in ("IDLE", "busy")}
    return Measured(figures, [Chart("arrival", "p95 of the error in arrival", "ms", bars)])
