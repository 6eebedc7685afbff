"""Ports for tests that must know one before anybody listens there."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A port of 127.0.0.1 that is free, by chance one of thousands, and none that the system gives out by itself."""
    for port in random.sample(range(10_000, 20_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError("none of a hundred ports is free")
