"""What a worker has in flight, told to the controller as it happens: a killed worker can tell nothing any more."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from mailtrip.stash import WORKER_DONE, WORKER_TELLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from execnet import Channel

    from mailtrip.trip_file import TripItem
    from mailtrip_checks.outcome import Outcome
    from mailtrip_checks.secrets import Masker

FLIGHTS = pytest.StashKey["dict[str, Flights]"]()
"""On the controller: what each worker told, by the id of its gateway."""
_DONE_ELSEWHERE = pytest.StashKey[set[str]]()


@dataclass(slots=True)
class Flights:
    """The controller's side of one worker."""

    channel: Channel
    sent: dict[str, str] = field(default_factory=dict[str, str])
    landed: set[str] = field(default_factory=set[str])
    reported: set[str] = field(default_factory=set[str])

    def hear(self, told: tuple[str, str | None]) -> None:
        """A node id and where its mail lies, before it is sent; None in its place once the trip has ended."""
        nodeid, mail = told
        if mail is None:
            self.landed.add(nodeid)
        else:
            self.sent[nodeid] = mail

    def in_flight(self) -> dict[str, str]:
        """Node id and mail of each trip whose mail may be on its way, or lie in the mailbox."""
        return {nodeid: mail for nodeid, mail in self.sent.items() if nodeid not in self.landed}

    def untold(self) -> list[str]:
        """Node ids of what was sent, and of which no report says how it ended."""
        return [nodeid for nodeid in self.sent if nodeid not in self.reported]

    def tell_done(self, nodeids: Iterable[str]) -> None:
        """Spare the worker what others have ended."""
        with suppress(OSError):  # it may be lost too
            self.channel.send(list(nodeids))


class Teller:
    """The worker's side. Outside a worker nobody listens."""

    def __init__(self, config: pytest.Config) -> None:
        self._channel = _channel(config)

    def on_send(self, items: Sequence[TripItem], masker: Masker) -> Callable[[int, str], None] | None:
        """What `Engine.submit` is to call for these items."""
        if self._channel is None:
            return None
        from mailtrip_checks.run import removed_later

        def told(index: int, mail: str) -> None:
            item = items[index]
            self._tell(item.nodeid, masker.mask(f"{mail}; {removed_later(item.trip.receive)}"))

        return told

    def tell_ends(self, futures: Mapping[TripItem, Future[Outcome]]) -> None:
        """Tell of each when it is done: what it sent is deleted by then, or named by its outcome."""
        if self._channel is not None:
            for item, future in futures.items():
                future.add_done_callback(partial(self._tell_end, item.nodeid))

    def _tell_end(self, nodeid: str, _: Future[Outcome]) -> None:
        self._tell(nodeid, None)

    def _tell(self, nodeid: str, mail: str | None) -> None:
        if self._channel is not None:
            with suppress(OSError):  # a controller that is gone is no reason for a trip to fail
                self._channel.send((nodeid, mail))


def listen(config: pytest.Config) -> None:
    """On a worker: hear from now on what others have ended."""
    if (channel := _channel(config)) is not None:
        channel.setcallback(done_elsewhere(config).update)  # pyright: ignore[reportUnknownMemberType]


def done_elsewhere(config: pytest.Config) -> set[str]:
    """Node ids of trips that a lost worker had ended."""
    told: list[str] = getattr(config, "workerinput", {}).get(WORKER_DONE, [])
    return config.stash.setdefault(_DONE_ELSEWHERE, set(told))


def _channel(config: pytest.Config) -> Channel | None:
    channel: Channel | None = getattr(config, "workerinput", {}).get(WORKER_TELLS)
    return channel
