"""Imports the plugin that gives the fixtures and starts the servers, in a fresh process that has imported what a test
of mail has; writes how long each step took."""

import imaplib
import json
import poplib
import smtplib
import sys
import threading
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import pytest

FILE = "started.json"
LOADED = (imaplib, poplib, smtplib, pytest)


@dataclass(frozen=True, slots=True)
class Started:
    """Milliseconds: of the plugin's import, of that of the servers, of their first start, and of each that followed.

    `idle`: whether the plugin's import started no thread and imported no server.
    """

    plugin_ms: float
    idle: bool
    import_ms: float
    first_ms: float
    later_ms: list[float]


def main(starts: int) -> Started:
    plugin_ms = _import_ms("mailtrip_fixtures.fixtures")
    idle = threading.active_count() == 1 and not sys.modules.keys() & {"asyncio", "mailtrip_fixtures.store"}
    import_ms = _import_ms("mailtrip_fixtures.servers")
    first_ms, *later_ms = [_start_ms() for _ in range(1 + starts)]
    return Started(plugin_ms, idle, import_ms, first_ms, later_ms)


def _import_ms(module: str) -> float:
    began = time.perf_counter()
    import_module(module)
    return 1000 * (time.perf_counter() - began)


def _start_ms() -> float:
    from mailtrip_fixtures.servers import MailServers  # imported by then, and measured

    began = time.perf_counter()
    servers = MailServers().start()
    took_ms = 1000 * (time.perf_counter() - began)
    servers.stop()
    return took_ms


def read_started(place: Path) -> Started:
    """What the program wrote there."""
    return Started(**json.loads((place / FILE).read_text()))


if __name__ == "__main__":
    Path(FILE).write_text(json.dumps(asdict(main(int(sys.argv[1])))))
