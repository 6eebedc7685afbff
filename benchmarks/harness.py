"""Runs candidates in turn, each in a process of its own, and says what a run cost."""

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {
    "MAILTRIP_KEY": "the key of the benchmarks",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # what happens to be installed beside us costs nobody anything
    "PYTHONDONTWRITEBYTECODE": "",  # nobody compiles all modules at each start
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
}
NO_TESTS = 5  # pytest's exit code where there was nothing to run
T = TypeVar("T")


class Wrong(Exception):
    """A candidate did not do its work, so its times mean nothing."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. `tiny` shows that a benchmark works, not how fast anything is."""

    tiny: bool = False

    def of(self, full: int, tiny: int) -> int:
        return tiny if self.tiny else full

    @property
    def rounds(self) -> int:
        return self.of(3, 1)


@dataclass(frozen=True, slots=True)
class Ran:
    """A process that has ended: seconds by the clock, and seconds of CPU with its children."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should reach."""

    bound: float
    at_least: bool

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


def at_least(bound: float) -> Target:
    return Target(bound, at_least=True)


def at_most(bound: float) -> Target:
    return Target(bound, at_least=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table: the median of `samples`, one for each round. No samples: `note` says why it is left out."""

    what: str
    unit: str
    samples: Sequence[float]
    target: Target | None = None
    note: str = ""

    @property
    def value(self) -> float | None:
        return statistics.median(self.samples) if self.samples else None

    @property
    def met(self) -> bool | None:
        """None where there is no target, or no figure."""
        return self.target.met(self.value) if self.target is not None and self.value is not None else None


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars to compare, each a median."""

    name: str
    title: str
    unit: str
    bars: Mapping[str, float]


@dataclass(slots=True)
class Measured:
    """What one measurement found."""

    figures: list[Figure] = field(default_factory=list[Figure])
    charts: list[Chart] = field(default_factory=list[Chart])


def run(
    command: Sequence[str], folder: Path, *, good: Sequence[int] = (0,), within_s: float = 600, **environment: str
) -> Ran:
    """Run a command to its end; raises Wrong where it exits with another code than the `good` ones."""
    with (folder / "output").open("w+b") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | ENVIRONMENT | environment, stdout=output, stderr=subprocess.STDOUT
        )
        watchdog = threading.Timer(within_s, process.send_signal, [signal.SIGKILL])
        watchdog.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            watchdog.cancel()
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if process.returncode not in good:
        raise Wrong(f"{' '.join(command)} ended with {process.returncode} after {wall_s:.1f} s\n{text[-3000:]}")
    return Ran(wall_s, usage.ru_utime + usage.ru_stime)


def pytest_command(*arguments: str) -> list[str]:
    """pytest with no other plugin than those named by `-p`."""
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]


def module_command(name: str, *arguments: str) -> list[str]:
    """A module below `benchmarks.candidates` as a program."""
    return [sys.executable, "-m", f"benchmarks.candidates.{name}", *arguments]


@contextmanager
def folder() -> Generator[Path]:
    """A folder that pytest takes for a project of its own."""
    with TemporaryDirectory(prefix="mailtrip-bench-") as name:
        path = Path(name)
        (path / "pytest.ini").write_text("[pytest]\n")
        yield path


def interleaved(rounds: int, candidates: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """A B C A B C …: what disturbs the machine for a while disturbs all of them."""
    results: dict[str, list[T]] = {name: [] for name in candidates}
    for number in range(rounds):
        for name, candidate in candidates.items():
            say(f"  round {number + 1} of {rounds}: {name}")
            results[name].append(candidate())
    return results


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """One ratio a round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def say(text: str) -> None:
    """Progress, for who waits."""
    print(text, file=sys.stderr, flush=True)
