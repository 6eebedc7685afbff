"""What many lengths of time say together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statistics:
    """A channel over `runs` runs, in seconds. `p50_s` is the median; all percentiles are nearest-rank ones."""

    runs: int
    min_s: float
    p50_s: float
    p75_s: float
    p90_s: float
    p95_s: float
    p99_s: float
    max_s: float


def nearest_rank(ascending: Sequence[float], percent: int) -> float:
    """The smallest of these values, at least one, that is not exceeded by `percent` (1 to 100) percent of them.

    Always a value that was measured: the one at rank ceil(percent / 100 * n), counted from 1.
    """
    return ascending[-(-percent * len(ascending) // 100) - 1]


def statistics(lengths_s: Iterable[float]) -> Statistics:
    """The statistics of these lengths, in any order, at least one."""
    ascending = sorted(lengths_s)
    p50_s, p75_s, p90_s, p95_s, p99_s = (nearest_rank(ascending, percent) for percent in (50, 75, 90, 95, 99))
    return Statistics(len(ascending), ascending[0], p50_s, p75_s, p90_s, p95_s, p99_s, ascending[-1])
