"""`--dist each` with trips: every worker is a location, and one that is lost takes no other with it.

xdist replaces a worker that crashed by one under another name, again and again where it cannot even begin, and ends the
run where a replacement cannot be reached. A location has no replacement, so its end is told to xdist as an
orderly one, and its items fail here.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

import pytest

from mailtrip.locations import NAME, located, unlocated
from mailtrip.lost_items import report_lost
from mailtrip.reporting import names_trips
from mailtrip.stash import WORKER_LAST_FAILED, WORKER_LOCATION, WORKER_LOCATIONS, is_trip

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from execnet import XSpec
    from xdist.workermanage import WorkerController

WHY_LOST = "mailtrip_why_lost"
"""Among the output of a worker that was lost: the reason."""
EACH = pytest.StashKey["EachLocation"]()


def is_wanted(config: pytest.Config) -> bool:
    """Whether this run goes from several locations: `--dist each`, and trips, or arguments that only they can read."""
    return config.getoption("dist") == "each" and (
        names_trips(config) or any(not (config.invocation_params.dir / _file(arg)).exists() for arg in config.args)
    )


def _file(argument: str) -> str:
    return argument.partition("::")[0]


def name_of(node: WorkerController) -> str:
    """What the worker, and under `--dist each` its location, is called."""
    return str(node.gateway.id)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]  # untyped there


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[XSpec]) -> None:
    """Before a worker is started: xdist ends the run where one of them cannot be."""
    if not is_wanted(config):
        return
    from mailtrip.probe import why_unreachable

    names = [str(spec.id) for spec in specs]
    for name in names:
        if not NAME.fullmatch(name):
            raise pytest.UsageError(f"--tx …//id={name}: letters, digits, '.', '_' and '-' make a location's name")
    each = config.stash[EACH] = EachLocation(config, names)
    for spec in tuple(specs):
        if why := why_unreachable(spec):
            each.lose(str(spec.id), why)
            if isinstance(specs, list):  # it is the list from which xdist starts its workers
                specs.remove(spec)
    if not specs:
        raise pytest.UsageError("; ".join(each.lost_unknown()))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """A worker learns its name; its loss will not be a crash for xdist."""
    if (each := node.config.stash.get(EACH, None)) is None:
        return
    told: dict[str, Any] = {WORKER_LOCATION: name_of(node), WORKER_LOCATIONS: each.names}
    if (failed := _last_failed(node.config)) is not None:
        told[WORKER_LAST_FAILED] = failed
    node.workerinput.update(told)  # pyright: ignore[reportUnknownMemberType]
    node.putevent = _Orderly(node).put


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """What a location had not ended fails."""
    if (each := node.config.stash.get(EACH, None)) is not None:
        each.ended(node)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What is known of an item is not lost with its location, even where its teardown is."""
    node: WorkerController | None = getattr(report, "node", None)
    if node is not None and (report.when == "call" or not report.passed) and EACH in node.config.stash:
        node.config.stash[EACH].told.add((name_of(node), report.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """A run from nowhere is no success."""
    each = session.config.stash.get(EACH, None)
    if each is not None:
        each.session = session
    result = yield
    if each is not None and (lost := each.lost_unknown()):
        session.shouldfail = "; ".join(lost)
        raise session.Failed(session.shouldfail)
    return result


class _Orderly:
    """What a worker tells xdist; a crash is told as an end, so that nothing takes the worker's place."""

    def __init__(self, node: WorkerController) -> None:
        self._node = node
        self._put = node.putevent
        self._broken = ""

    def put(self, event: tuple[str, dict[str, Any]]) -> None:
        """Called by xdist, on the thread that reads what the worker writes."""
        name, about = event
        if name == "internal_error":  # an end follows
            self._broken = in_short(about["formatted_error"])
        elif name == "errordown":
            self._end(self._broken or in_short(about["error"]))
        else:
            if name == "workerfinished" and self._broken:
                self._node.workeroutput[WHY_LOST] = self._broken
            self._put(event)

    def _end(self, why: str) -> None:
        status = int(pytest.ExitCode.TESTS_FAILED)
        # Other plugins look for what their own half has left there, such as pytest-metadata.
        output = defaultdict[str, Any](dict, exitstatus=status, shouldfail=False, shouldstop=False)
        output[WHY_LOST] = why
        self._node.workeroutput = output  # pyright: ignore[reportAttributeAccessIssue]
        self._put(("workerfinished", {"node": self._node}))


def _last_failed(config: pytest.Config) -> list[str] | None:
    """The trips that `--lf` is to run again; None where it is not given, or knows of none."""
    cache: pytest.Cache | None = getattr(config, "cache", None)
    if cache is None or not config.getoption("lf", False):
        return None
    remembered = cast("dict[str, bool]", cache.get("cache/lastfailed", {}))  # pyright: ignore[reportUnknownMemberType]
    return [nodeid for nodeid in remembered if is_trip(nodeid)] or None


def in_short(error: object) -> str:
    """The end of a traceback says what it is about."""
    lines = str(error).strip().splitlines()
    if not lines or lines[-1] == "Not properly terminated":  # so xdist calls it
        return "its process was ended, or the connection to it"
    return lines[-1].strip()


class EachLocation:
    """A scheduler for xdist: every location is given all that it collected, as soon as it has collected it."""

    def __init__(self, config: pytest.Config, names: list[str]) -> None:
        self.names = names
        self.session: pytest.Session | None = None
        self.told: set[tuple[str, str]] = set()
        self._config = config
        self._awaited = set(names)
        self._ids: dict[str, list[str]] = {}
        self._pending: dict[WorkerController, dict[int, str]] = {}
        self._lost: dict[str, str] = {}

    # As xdist wants it.

    @property
    def nodes(self) -> list[WorkerController]:
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        return not self._awaited

    @property
    def has_pending(self) -> bool:
        return any(self._pending.values())

    @property
    def tests_finished(self) -> bool:
        return not self._awaited and not self.has_pending

    def add_node(self, node: WorkerController) -> None:
        self._pending[node] = {}

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        name = name_of(node)
        self._awaited.discard(name)
        self._ids[name] = list(collection)
        if self.session is not None:  # xdist has noted what the last one collected, which may be nothing
            self.session.testscollected = sum(map(len, self._ids.values()))
        self._pending[node] = dict(enumerate(collection))
        if collection:
            node.send_runtest_all()
        node.shutdown()
        self._fail_lost()

    def schedule(self) -> None:
        """All have been given what is theirs."""

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        del self._pending[node][item_index]

    def mark_test_pending(self, item: str) -> None:
        raise NotImplementedError

    def remove_pending_tests_from_node(self, node: WorkerController, indices: Sequence[int]) -> None:
        raise NotImplementedError

    def remove_node(self, node: WorkerController) -> str | None:
        self._pending.pop(node)
        return None

    # What becomes of a lost location.

    def ended(self, node: WorkerController) -> None:
        """A worker is gone. Where it did not stop by itself (`-x`), all that it was given must have been reported."""
        name = name_of(node)
        output: dict[str, Any] = getattr(node, "workeroutput", {})
        stopped = output.get("shouldstop") or output.get("shouldfail")
        if WHY_LOST in output:
            self.lose(name, output[WHY_LOST])
        elif name in self._awaited or (not stopped and self._items_of(name)):
            self.lose(name, f"it ended early, with exit status {output.get('exitstatus')}")

    def lose(self, name: str, why: str) -> None:
        """The location is gone: what it had not ended fails, now or once it is known what that is."""
        self._lost[name] = f"location {name} was lost: {why}"
        self._awaited.discard(name)
        terminal: pytest.TerminalReporter | None = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(self._lost[name], red=True)
        self._fail_lost()

    def lost_unknown(self) -> list[str]:
        """Why locations were lost of which nobody knows what they would have run."""
        return [self._lost[name] for name in self.names if name in self._lost]

    def _fail_lost(self) -> None:
        for name, why in list(self._lost.items()):
            if (items := self._items_of(name)) is not None:
                del self._lost[name]
                report_lost(self._config, items, name, why)

    def _items_of(self, name: str) -> list[str] | None:
        """What the location has not reported; where it was lost before it collected, what another one collected."""
        if name in self._ids:
            pending = [ids for node, ids in self._pending.items() if name_of(node) == name]
            return [nodeid for ids in pending for nodeid in ids.values() if (name, nodeid) not in self.told]
        for other, ids in self._ids.items():
            if ids:
                return [located(unlocated(one, other), name) if is_trip(one) else one for one in ids]
        return None
