"""The trips of a pytest session: started together, awaited one by one, cleaned up at the end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from concurrent import futures
from contextlib import suppress

import pytest

from mailtrip import results, signals
from mailtrip.embedded import EmbeddedServers
from mailtrip.flights import Teller, done_elsewhere
from mailtrip.live import LiveLine
from mailtrip.locations import location_of
from mailtrip.needs import needs_of
from mailtrip.reporting import Reporting, tells_passed
from mailtrip.stash import LEFT_BEHIND, MAILS_THAT_STAY, WORKER_KEY, WORKER_LEFT_BEHIND
from mailtrip.trip_file import TripItem
from mailtrip_checks.ends import End
from mailtrip_checks.engine import Engine
from mailtrip_checks.identity import KEY_VARIABLE, installation_key
from mailtrip_checks.needs import why_not
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.secrets import Masker
from mailtrip_checks.verdict import verdict
from mailtrip_reports.jsonl import UnwritableReport
from mailtrip_reports.record import Record, record_of, record_unrun

WORKER_GRACE_S = 4.0  # execnet ends a worker after 5 s
_POLL_S = 0.1


class Runner:
    """Made by the session fixture; starts nothing before the first trip's turn."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._config = request.config
        self._session: pytest.Session = request.session
        done = done_elsewhere(request.config)
        trips = [item for item in self._session.items if isinstance(item, TripItem)]
        self._items = [item for item in trips if item.nodeid not in done]
        self._needs = {
            item: [need for need in needs if need.nodeid not in done] for item, needs in needs_of(trips).items()
        }
        self._teller = Teller(request.config)
        # None at all outside a worker of pytest-xdist.
        self._told: Mapping[str, str] | None = getattr(request.config, "workerinput", None)
        self._masker = Masker()
        self._live = LiveLine(request.config)
        self._engine: Engine | None = None
        self._key_is_new = False
        self._results: dict[TripItem, futures.Future[Outcome]] = {}
        self._cancelled: dict[TripItem, futures.Future[Outcome]] = {}
        # Asked for here, so that pytest tears the servers down after us.
        embedded = any(_is_embedded(item) for item in self._items)
        self._embedded = EmbeddedServers(request.getfixturevalue("mail_servers")) if embedded else None

    def record_of(self, item: TripItem) -> Record:
        """Wait for the item's trip, and judge it; one that may not start ends skipped."""
        if self._engine is None:
            self._engine = self._new_engine()
            self._start(self._engine, self._startable())
        unmet = self._unmet(item)
        outcome = None if unmet else self._outcome(item, self._engine)
        if outcome and outcome.end is End.SKIPPED and self._needs[item]:
            # That was decided in flight; a need that failed then may have passed in a rerun.
            outcome = self._outcome(item, self._engine)
        record = self._judged(item, outcome, unmet)
        try:
            results.keep(self._config, record, self._masker, outcome)
        except UnwritableReport as error:
            pytest.fail(str(error), pytrace=False)
        return record

    def _judged(self, item: TripItem, outcome: Outcome | None, unmet: str) -> Record:
        if outcome is None or outcome.end is End.SKIPPED:
            return record_unrun(
                item.trip,
                End.SKIPPED,
                outcome.what if outcome else unmet,
                node_id=item.nodeid,
                location=location_of(self._config),
                at_wall_s=outcome.started_wall_s if outcome else time.time(),
                masker=self._masker,
            )
        judgement = verdict(outcome, item.trip.expect)
        return record_of(
            item.trip,
            outcome,
            judgement,
            node_id=item.nodeid,
            location=location_of(self._config),
            masker=self._masker,
        )

    def _unmet(self, item: TripItem) -> str:
        """Which of its needs keeps it from starting, as their items ended; "" where none does."""
        for need in self._needs[item]:
            if need.record is not None and not need.record.passed:
                return why_not(item.trip, need.trip.key, need.record.end)
            if need.record is None and item not in self._results:
                return why_not(item.trip, need.trip.key, None)
        return ""

    def _outcome(self, item: TripItem, engine: Engine) -> Outcome:
        if item not in self._results:
            self._start(engine, [item])
        # Taken out: should the item run again (a rerun), it is a new trip.
        result = self._results.pop(item)
        try:
            if not result.done():
                self._wait_for(result, engine)
        except BaseException:
            engine.cancel(result)
            self._cancelled[item] = result
            raise
        return result.result()

    def _wait_for(self, result: futures.Future[Outcome], engine: Engine) -> None:
        with self._live.shown(engine):
            while not futures.wait({result}, _POLL_S).done:
                self._live.update()

    def _new_engine(self) -> Engine:
        option = self._config.option
        grace_s: float = option.mailtrip_grace
        return Engine(
            key=self._key(),
            masker=self._masker,
            concurrency=option.mailtrip_concurrency,
            grace_s=grace_s if self._told is None else min(grace_s, WORKER_GRACE_S),
            embedded=self._embedded,
            tells_passed=tells_passed(self._config),
        )

    def _key(self) -> bytes:
        if self._told and WORKER_KEY in self._told:
            return self._told[WORKER_KEY].encode("utf-8", "surrogateescape")
        try:
            key, self._key_is_new = installation_key(dict(os.environ))
        except OSError as error:
            why = f"the key that proves mails ours can be neither read nor made ({error}); set {KEY_VARIABLE}"
            pytest.exit(why, returncode=pytest.ExitCode.USAGE_ERROR)
        return key

    def _startable(self) -> list[TripItem]:
        """All that will run here for all that can be known; pytest-xdist gives the trips to one worker."""
        early: dict[TripItem, None] = {}
        for item in self._items:
            if item.starts_early and all(need in early for need in self._needs[item]):
                early[item] = None
        return list(early)

    def _start(self, engine: Engine, items: list[TripItem]) -> None:
        on_send = self._teller.on_send(items, self._masker)
        started = dict(zip(items, engine.submit([item.trip for item in items], on_send=on_send), strict=True))
        self._teller.tell_ends(started)
        self._results |= started

    def stop(self) -> None:
        """End what still runs, and leave what could not be deleted for the end of the report."""
        if self._engine is None:
            return
        with signals.noted() as stopped_again:
            self._say_what_is_cleaned_up(self._engine.mails_out)
            self._engine.stop(stopped_again)
            if stopped_again() and self._session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                self._session.exitstatus = pytest.ExitCode.INTERRUPTED
        if self._embedded is not None:
            self._embedded.stop()
        # Also of trips that had ended before their item's turn came, which under -x it never does.
        ended = {**self._results, **self._cancelled}.items()
        untold = {item: one.result() for item, one in ended if one.done() and not one.exception()}
        self._write_down(untold)
        left = [mail for outcome in untold.values() for mail in outcome.left_behind]
        if left and self._key_is_new:
            left.append(f"this run made the key that proves them ours; where it does not last, set {KEY_VARIABLE}")
        told = list(dict.fromkeys(self._masker.mask(mail) for mail in left))
        self._config.stash[LEFT_BEHIND] = told
        if self._told is not None:
            output: dict[str, object] = self._config.workeroutput  # type: ignore[attr-defined]  # xdist adds it
            output[WORKER_LEFT_BEHIND] = told
            if told and self._session.exitstatus == pytest.ExitCode.INTERRUPTED:
                # The controller that interrupted us listens no more, but standard error is still the user's.
                sys.__stderr__.write("\n".join([MAILS_THAT_STAY, *told, ""]))  # type: ignore[union-attr]

    def _say_what_is_cleaned_up(self, mails: int) -> None:
        reporter: pytest.TerminalReporter | None = self._config.pluginmanager.get_plugin("terminalreporter")
        if mails and reporter is not None and self._told is None:
            grace_s: float = self._config.option.mailtrip_grace
            reporter.ensure_newline()
            reporter.write_line(f"mailtrip: cleaning up {mails} mails on their way, within {grace_s:g} s")
            reporter.flush()

    def _write_down(self, untold: Mapping[TripItem, Outcome]) -> None:
        """Trips whose items never had their turn are in no report of pytest's, but in the files that are ours."""
        reporting: Reporting | None = self._config.pluginmanager.get_plugin("mailtrip-reporting")
        for item, outcome in untold.items():
            record = self._judged(item, outcome, "")
            with suppress(UnwritableReport):  # who could not be written before is told of already
                results.keep(self._config, record, self._masker, outcome)
                if reporting is not None:
                    reporting.write_line(record)


def _is_embedded(item: TripItem) -> bool:
    send, receive = item.trip.send, item.trip.receive
    return bool((send and send.via.embedded) or (receive and receive.at.embedded))
