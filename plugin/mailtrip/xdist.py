"""All trips on one worker: one loop carries them all, and mailboxes cannot be divided among processes.

Python tests stay in the mode that the user chose, as nearly as xdist's own schedulers allow: where trips are among the
tests, `load` and `worksteal` become a scheduler that hands out every Python test for itself and all trips as one unit;
`loadscope`, `loadfile` and `loadgroup` keep their scopes. Under `each` every worker is a location (each.py).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import EachScheduling, LoadScopeScheduling

from mailtrip import bound_line
from mailtrip.each import EACH, WHY_LOST, EachLocation, name_of
from mailtrip.flights import FLIGHTS, Flights
from mailtrip.locations import unlocated
from mailtrip.stash import (
    BOUND_TOLD,
    LEFT_BEHIND,
    SENT_TWICE,
    WORKER_DONE,
    WORKER_KEY,
    WORKER_LEFT_BEHIND,
    WORKER_TELLS,
    is_trip,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xdist.remote import Producer
    from xdist.scheduler import Scheduling
    from xdist.workermanage import WorkerController

_ALL_TRIPS = "mail round trips"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """A worker is told what it may start, and gets the key: it may have another state folder."""
    from mailtrip_checks.identity import known_key

    flights = node.config.stash.setdefault(FLIGHTS, {})
    done = [nodeid for other in flights.values() for nodeid in other.reported]
    channel = node.gateway.newchannel()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    flights[name_of(node)] = Flights(channel)
    channel.setcallback(flights[name_of(node)].hear)
    told: dict[str, object] = {WORKER_TELLS: channel, WORKER_DONE: done}
    if key := known_key(dict(os.environ)):
        told[WORKER_KEY] = key.decode("utf-8", "surrogateescape")
    node.workerinput.update(told)  # pyright: ignore[reportUnknownMemberType]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Sequence[str]) -> None:
    """What the first worker collected is what runs; a worker has no terminal on which to tell how long that takes."""
    config = node.config
    terminal: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or config.stash.get(BOUND_TOLD, False):
        return
    config.stash[BOUND_TOLD] = True
    location = name_of(node) if EACH in config.stash else None
    if line := bound_line.of_ids(config, [unlocated(nodeid, location) for nodeid in ids]):
        terminal.ensure_newline()
        terminal.write_line(line)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController, error: object | None) -> None:
    """What a worker could not delete is told by the controller; so is what one had in flight that is lost."""
    output: dict[str, list[str]] = getattr(node, "workeroutput", {})
    left = node.config.stash.setdefault(LEFT_BEHIND, [])
    left.extend(output.get(WORKER_LEFT_BEHIND, []))
    if not error and WHY_LOST not in output:
        return
    name = name_of(node)
    flights = node.config.stash[FLIGHTS]
    lost = flights[name]
    for nodeid, mail in lost.in_flight().items():
        left.append(f"{nodeid}, lost with worker {name}: {mail}")
    if EACH in node.config.stash:  # nobody takes over
        return
    node.config.stash.setdefault(SENT_TWICE, []).extend(f"{nodeid}, first by {name}" for nodeid in lost.untold())
    for other in flights.values():
        if other is not lost:
            other.tell_done(lost.reported)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A trip whose last report has come is done."""
    node: WorkerController | None = getattr(report, "node", None)
    if node is not None and report.when == "teardown" and is_trip(report.nodeid):
        node.config.stash[FLIGHTS][name_of(node)].reported.add(report.nodeid)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer
) -> Scheduling | EachLocation | TripsTogether | None:
    """The user's scheduler, behind a proxy that keeps the trips together; for several locations our own."""
    if EACH in config.stash:
        return config.stash[EACH]
    this = config.pluginmanager.get_plugin("mailtrip-xdist")
    choose = config.pluginmanager.subset_hook_caller("pytest_xdist_make_scheduler", remove_plugins=[this])
    chosen: Scheduling | None = choose(config=config, log=log)
    return None if chosen is None or isinstance(chosen, EachScheduling) else TripsTogether(chosen, config, log)


class _TestByTest(LoadScopeScheduling):
    """Every test for itself."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid


class TripsTogether:
    """A scheduler that is the user's until a collection with trips comes, and then one that knows of scopes."""

    def __init__(self, chosen: Scheduling, config: pytest.Config, log: Producer) -> None:
        self._scheduler = chosen
        self._config = config
        self._log = log
        self._decided = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scheduler, name)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """As in xdist; the first collection decides."""
        if not self._decided and any(is_trip(nodeid) for nodeid in collection):
            self._scheduler = self._by_scope()
        self._decided = True
        self._scheduler.add_node_collection(node, collection)

    def _by_scope(self) -> Scheduling:
        scheduler = self._scheduler
        if not isinstance(scheduler, LoadScopeScheduling):
            nodes = scheduler.nodes
            scheduler = _TestByTest(self._config, self._log)
            for node in nodes:
                scheduler.add_node(node)
        scope_of = scheduler._split_scope  # pyright: ignore[reportPrivateUsage]  # the method that xdist says to override
        scheduler._split_scope = lambda nodeid: _ALL_TRIPS if is_trip(nodeid) else scope_of(nodeid)  # type: ignore[method-assign]  # pyright: ignore[reportPrivateUsage]
        return scheduler
