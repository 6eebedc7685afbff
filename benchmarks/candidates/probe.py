"""A pytest plugin that looks at the process in which it runs: its peak of memory, and how long its engine's loop stood.

Given as `-p benchmarks.candidates.probe`.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

PROBE = __name__
_FILE = "probe.json"
_BEAT_S = 0.005


@dataclass(slots=True)
class Probed:
    """Peak of resident memory in MB (2^20), and the longest time for which the loop stood still under trips, in ms."""

    peak_mb: float = 0.0
    stall_ms: float = 0.0


_probed = Probed()
_heart: set[asyncio.Task[None]] = set()
_flying: set[object] = set()


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.hasplugin("mailtrip"):
        return
    # Patched, because there is no other way to a loop that the plugin keeps to itself.
    from mailtrip_checks import series

    run_trip: Callable[..., Awaitable[object]] = vars(series)["run_trip"]  # perhaps another's patch already

    async def watched(*args: object, **kw: object) -> object:
        if not _heart:
            _heart.add(asyncio.create_task(_beat(), name="the benchmark's heartbeat"))
        flight = object()
        _flying.add(flight)
        try:
            return await run_trip(*args, **kw)
        finally:
            _flying.remove(flight)

    pytest.MonkeyPatch().setattr(series, "run_trip", watched)


def pytest_unconfigure() -> None:
    status = Path("/proc/self/status").read_text()
    if found := re.search(r"VmHWM:\s+(\d+) kB", status):
        _probed.peak_mb = int(found[1]) / 1024
    Path(_FILE).write_text(json.dumps(asdict(_probed)))


async def _beat() -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(_BEAT_S)
        if _flying:  # what stands still before the first and behind the last trip makes no time wrong
            _probed.stall_ms = max(_probed.stall_ms, 1000 * (time.perf_counter() - began - _BEAT_S))


def read_probe(place: Path) -> Probed | None:
    """What was written there, if the plugin was loaded."""
    path = place / _FILE
    return Probed(**json.loads(path.read_text())) if path.exists() else None
