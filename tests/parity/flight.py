"""Trips from YAML to their records, without pytest around them, and what went over the wire."""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from mailtrip_checks.definitions import Context, Definitions
from mailtrip_checks.engine import Engine
from mailtrip_checks.judge import judge
from mailtrip_checks.secrets import Masker
from mailtrip_checks.trips import Trip
from mailtrip_reports.record import Record, record_of
from tests.checks.trip_bench import wire

KEY = "the key of these tests"
BOUND_S = 60.0  # real seconds, after which a test has gone wrong


def read(folder: Path, text: str) -> tuple[Trip, ...]:
    """The trips of this text; raises DefinitionError."""
    path = folder / "a.trip.yaml"
    path.write_text(text, encoding="utf-8")
    return Definitions(Context(None, {}, {}, folder)).trips(path)


def fly(trips: tuple[Trip, ...], *, concurrency: int = 1000) -> dict[str, Record]:
    """Run the trips; their records by name."""
    engine = Engine(key=KEY.encode(), masker=Masker(), concurrency=concurrency, grace_s=2)
    try:
        outcomes = [result.result(BOUND_S) for result in engine.submit(trips)]
    finally:
        engine.stop()
    return {
        trip.id: record_of(
            trip, outcome, judge(outcome, trip.expect), node_id=f"a.trip.yaml::{trip.id}", masker=engine.masker
        )
        for trip, outcome in zip(trips, outcomes, strict=True)
    }


class Tapped:
    """A port in front of another. `said` is what clients sent to it, as it crossed the wire."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.said = bytearray()

    def shows(self, password: str) -> bool:
        """Whether the password could be read on the wire, as it is or in base64."""
        return password.encode() in self.said or any(
            password.encode() in _decoded(word) for word in bytes(self.said).split()
        )


def _decoded(word: bytes) -> bytes:
    try:
        return base64.b64decode(word, validate=True)
    except binascii.Error:
        return b""


@asynccontextmanager
async def tapped(port: int) -> AsyncGenerator[Tapped]:
    """A tap in front of this port of 127.0.0.1."""
    async with wire(port) as line:
        tap = Tapped(line.port)

        def note(data: bytes) -> bytes:
            tap.said += data
            return data

        line.upwards = note
        yield tap


async def fly_aside(trips: tuple[Trip, ...]) -> dict[str, Record]:
    """`fly`, while the loop of the test goes on serving its taps."""
    return await asyncio.to_thread(fly, trips)
