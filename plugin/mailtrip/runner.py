"""The trips of a pytest session: started together, awaited one by one, cleaned up at the end."""

from __future__ import annotations

import os
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest

from mailtrip.embedded import EmbeddedServers
from mailtrip.live import LiveLine
from mailtrip.trip_file import TripItem
from mailtrip_checks.engine import Engine
from mailtrip_checks.identity import KEY_VARIABLE, installation_key
from mailtrip_checks.judge import judge
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.secrets import Masker
from mailtrip_reports.record import Record, record_of

if TYPE_CHECKING:
    from collections.abc import Sequence

LEFT_BEHIND = pytest.StashKey[list[str]]()
WORKER_GRACE_S = 4.0
_POLL_S = 0.1


class Runner:
    """Made by the session fixture; starts nothing before the first trip's turn."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._config = request.config
        self._session: pytest.Session = request.session
        self._results: dict[TripItem, Future[Outcome]] = {}
        self._masker = Masker()
        self._engine: Engine | None = None
        self._live = LiveLine(request.config)
        items = self._trip_items()
        # Asked for here, so that pytest tears the servers down after us.
        embedded = any(_is_embedded(item) for item in items)
        self._embedded = EmbeddedServers(request.getfixturevalue("mail_servers")) if embedded else None

    def record_of(self, item: TripItem) -> Record:
        """Wait for the item's trip, and judge it."""
        outcome = self._wait(item)
        judgement = judge(outcome, item.trip.expect)
        return record_of(item.trip, outcome, judgement, node_id=item.nodeid, masker=self._masker)

    def _wait(self, item: TripItem) -> Outcome:
        engine = self._engine = self._engine or self._start()
        if item not in self._results:
            self._results[item] = self._submit(engine, self._startable(item))[item]
        # Taken out: should the item run again (a rerun), it is a new trip.
        result = self._results.pop(item)
        try:
            with self._live.shown(engine):
                while True:
                    try:
                        return result.result(_POLL_S)
                    except TimeoutError:
                        self._live.update()
        except BaseException:
            engine.cancel(result)
            raise

    def _start(self) -> Engine:
        option = self._config.option
        grace_s: float = option.mailtrip_grace
        if hasattr(self._config, "workerinput"):
            grace_s = min(grace_s, WORKER_GRACE_S)  # execnet ends a worker after 5 s
        return Engine(
            key=self._key(),
            masker=self._masker,
            concurrency=option.mailtrip_concurrency,
            grace_s=grace_s,
            embedded=self._embedded,
        )

    def _key(self) -> bytes:
        worker: dict[str, str] = getattr(self._config, "workerinput", {})
        given = worker.get("mailtrip_key")
        try:
            return given.encode("ascii", "surrogateescape") if given else installation_key(dict(os.environ))[0]
        except OSError as error:
            raise pytest.UsageError(f"the key that proves mails ours: {error}; set {KEY_VARIABLE}") from error

    def _startable(self, item: TripItem) -> list[TripItem]:
        """The item, and the first time all others that will run here for all that can be known."""
        worker = getattr(self._config, "workerinput", None)
        if self._results or (worker is not None and not worker.get("mailtrip_all_here")):
            return [item]
        started: list[TripItem] = [one for one in self._trip_items() if one.starts_early and one is not item]
        return [item, *started] if not self._was_started else [item]

    def _trip_items(self) -> list[TripItem]:
        return [item for item in self._session.items if isinstance(item, TripItem)]

    _was_started = False

    def _submit(self, engine: Engine, items: Sequence[TripItem]) -> dict[TripItem, Future[Outcome]]:
        self._was_started = True
        results = dict(zip(items, engine.submit([item.trip for item in items]), strict=True))
        self._results |= results
        return results

    def stop(self) -> None:
        """End what still runs; what could not be deleted is told in the terminal summary."""
        if self._engine is None:
            return
        outcomes = self._engine.stop()
        left = self._config.stash.setdefault(LEFT_BEHIND, [])
        left += [self._masker.mask(mail) for outcome in outcomes for mail in outcome.left_behind]


def _is_embedded(item: TripItem) -> bool:
    send, receive = item.trip.send, item.trip.receive
    return bool((send and send.via.embedded) or (receive and receive.at.embedded))
