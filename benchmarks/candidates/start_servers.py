"""Imports the plugin that gives the fixtures and starts the servers, in a fresh process that has imported what a test
of mail has; writes how long each step took."""

import imaplib
import json
import poplib
import smtplib
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from mailtrip_fixtures.servers import MailServers

T = TypeVar("T")
FILE = "started.json"
LOADED = (imaplib, poplib, smtplib, pytest)


@dataclass(frozen=True, slots=True)
class Started:
    """Milliseconds: of CPU for the plugin's import, and for that of the servers with their first start; of wall for
    each start that followed.

    `idle`: whether the plugin's import started no thread and imported no server.
    """

    plugin_ms: float
    idle: bool
    first_ms: float
    later_ms: list[float]


def main(starts: int) -> Started:
    plugin_ms = _cpu_ms(lambda: import_module("mailtrip_fixtures.fixtures"))[0]
    idle = threading.active_count() == 1 and not sys.modules.keys() & {"asyncio", "mailtrip_fixtures.store"}
    first_ms, servers = _cpu_ms(_started)
    servers.stop()
    return Started(plugin_ms, idle, first_ms, [_start_ms() for _ in range(starts)])


def _cpu_ms(work: Callable[[], T]) -> tuple[float, T]:
    began = time.process_time()
    result = work()
    return 1000 * (time.process_time() - began), result


def _started() -> "MailServers":
    from mailtrip_fixtures.servers import MailServers  # the first time it is imported here

    return MailServers().start()


def _start_ms() -> float:
    began = time.perf_counter()
    servers = _started()
    took_ms = 1000 * (time.perf_counter() - began)
    servers.stop()
    return took_ms


def read_started(place: Path) -> Started:
    """What the program wrote there."""
    return Started(**json.loads((place / FILE).read_text()))


if __name__ == "__main__":
    Path(FILE).write_text(json.dumps(asdict(main(int(sys.argv[1])))))
