"""One module a measurement, each with a `measure`. LINES is what `make bench` runs, in this order."""

from collections.abc import Callable, Mapping

from benchmarks.harness import Measured, Size
from benchmarks.measurements import (
    arrival,
    dovecot,
    in_flight,
    in_process,
    item_cost,
    latency,
    mailcheck,
    old_mail,
    one_mailbox,
    start_up,
    throughput,
)

LINES: Mapping[str, Callable[[Size], Measured]] = {
    "latency": latency.measure,
    "throughput": throughput.measure,
    "item-cost": item_cost.measure,
    "mailcheck": mailcheck.measure,
    "arrival": arrival.measure,
    "dovecot": dovecot.measure,
    "one-mailbox": one_mailbox.measure,
    "old-mail": old_mail.measure,
    "in-flight": in_flight.measure,
    "in-process": in_process.measure,
    "start-up": start_up.measure,
}
