"""The plugin's face to pytest: options and hooks. Nothing heavy is imported before a trip is there."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

import pytest

from mailtrip import bound_line, flights, locations, needs, results, signals
from mailtrip.lasting import lasting
from mailtrip.stash import BROKEN_FILES, RUNNER, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from mailtrip.trip_file import TripFile


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mailtrip", "mail round trips")
    group.addoption(
        "--mailtrip-env",
        metavar="NAME",
        help="use environments.NAME of the definitions (default: ini mailtrip_env)",
    )
    parser.addini("mailtrip_env", "environment of the definitions that is used", default="")
    group.addoption(
        "--mailtrip-var",
        metavar="NAME=VALUE",
        type=_variable,
        action="append",
        default=[],
        help="value for ${var:NAME} in definitions; may be given more than once",
    )
    group.addoption(
        "--mailtrip-concurrency",
        metavar="N",
        type=_positive,
        default=1000,
        help="how many trips are in flight at once, at most (default: %(default)s)",
    )
    group.addoption(
        "--mailtrip-grace",
        metavar="SECONDS",
        type=_seconds,
        default=10.0,
        help="how long a stopped run may clean up; half of it waits for mails on their way "
        "(default: %(default)g; 4 in a worker of xdist)",
    )
    group.addoption(
        "--mailtrip-sensor-tags",
        action="store_true",
        help="tag every trip as PRTG does: mailsensor, roundtrip, and imapsensor or pop3sensor",
    )
    group.addoption(
        "--mailtrip-keep-results",
        metavar="DIR",
        help="keep outcome, messages and transcript of each trip's last run in this folder",
    )
    group.addoption("--mailtrip-jsonl", metavar="FILE", help="append one JSON record a trip to this file")


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError("write a whole number above 0")
    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError("write seconds, 0 or more")
    return seconds


def _variable(text: str) -> str:
    if not all(text.partition("=")[:2]):
        raise argparse.ArgumentTypeError("write NAME=VALUE")  # and no word of what was written: it may be a secret
    return text


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from mailtrip import hooks

    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    from mailtrip.reporting import Reporting

    results.prepare(config)
    signals.install(config)
    config.pluginmanager.register(Reporting(config), "mailtrip-reporting")
    config.pluginmanager.register(needs, "mailtrip-needs")
    if config.pluginmanager.hasplugin("xdist"):
        from mailtrip import each, xdist

        config.pluginmanager.register(xdist, "mailtrip-xdist")
        config.pluginmanager.register(each, "mailtrip-each")
    if hasattr(config, "workerinput"):
        flights.listen(config)
        config.pluginmanager.register(locations, "mailtrip-locations")


def pytest_unconfigure(config: pytest.Config) -> None:
    signals.restore(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> TripFile | None:
    if not file_path.name.endswith(SUFFIXES):
        return None
    with lasting():
        from mailtrip.trip_file import TripFile

    return TripFile.from_parent(parent, path=file_path)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    line = bound_line.of_items(config, items)
    return [] if line is None else [line]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """A broken trip file fails the run, but does not keep the other files from running."""
    broken = session.config.stash.get(BROKEN_FILES, 0)
    if broken and broken == session.testsfailed:
        session.config.option.continue_on_collection_errors = True


@pytest.fixture(scope="session")
def _mailtrip_runner(request: pytest.FixtureRequest) -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """The trips of this run. As a fixture it is torn down, and cleans up, while the user's servers still stand."""
    with lasting():
        from mailtrip.runner import Runner

    runner = request.config.stash[RUNNER] = Runner(request)
    yield
    del request.config.stash[RUNNER]
    runner.stop()
