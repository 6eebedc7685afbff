"""docs/records.md and the code say the same."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from mailtrip_checks.outcome import Reply
from mailtrip_checks.percentiles import Statistics
from mailtrip_checks.trips import Limit
from mailtrip_reports.record import SCHEMA, ArrivalBracket, Record, RunRecord, StageSpan, TranscriptLine, from_json

DOC = (Path(__file__).parents[2] / "docs" / "records.md").read_text("utf-8")
PARTS = {
    "bracket": ArrivalBracket,
    "stages": StageSpan,
    "limits": Limit,
    "statistics": Statistics,
    "runs": RunRecord,
    "replies": Reply,
    "transcript": TranscriptLine,
}


def test_every_field_is_documented_in_the_order_in_which_it_is_written() -> None:
    assert re.findall(r"^\| ([a-z0-9_.]+) \| (?!type)", DOC, re.MULTILINE) == list(_names())


def test_the_documented_schema_is_the_one_written() -> None:
    assert f"| schema | integer | {SCHEMA} |" in DOC


def test_the_example_is_what_the_code_writes(login_failed: Record) -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)

    assert example.strip() == json.dumps(json.loads(login_failed.to_json()), indent=2)
    assert from_json(example) == login_failed


def _names() -> Iterator[str]:
    for field in fields(Record):
        yield field.name
        if field.name in PARTS:
            yield from (f"{field.name}.{part.name}" for part in fields(PARTS[field.name]))
