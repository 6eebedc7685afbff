"""Results kept on disk: what there is of a trip's last run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.outcome import Outcome
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_reports.jsonl import UnwritableReport
from mailtrip_reports.record import Record, from_json
from mailtrip_reports.results import folder_name, keep

NOBODY = Masker()


def test_outcome_messages_and_transcript_are_kept(tmp_path: Path, delivered: Record) -> None:
    keep(tmp_path, delivered, sent=b"Subject: out\r\n\r\n\xff\r\n", received=b"Subject: in\r\n", masker=NOBODY)
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("inbox.trip.yaml_inbox-")
    assert from_json((folder / "outcome.json").read_text()) == delivered
    assert (folder / "sent.eml").read_bytes() == b"Subject: out\r\n\r\n\xff\r\n"
    assert (folder / "received.eml").read_bytes() == b"Subject: in\r\n"
    assert "EHLO probe.example.org" in (folder / "transcript.txt").read_text()


def test_nothing_of_an_earlier_run_stays(tmp_path: Path, delivered: Record, lost: Record) -> None:
    keep(tmp_path, delivered, sent=b"first", received=b"first", masker=NOBODY)
    keep(tmp_path, lost, sent=b"second", received=b"", masker=NOBODY)
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {"outcome.json", "sent.eml", "transcript.txt"}
    assert (folder / "sent.eml").read_bytes() == b"second"


def test_no_secret_is_kept(tmp_path: Path, outcome: Outcome, recorded: Callable[..., Record]) -> None:
    record = recorded(outcome, secrets=("hunter2",))
    keep(tmp_path, record, sent=b"it is hunter2", received=b"\xe9 hunter2 \xe9", masker=Masker([Secret("hunter2")]))
    (folder,) = tmp_path.iterdir()
    assert (folder / "received.eml").read_bytes() == b"\xe9 *** \xe9"
    assert not [path for path in folder.iterdir() if b"hunter2" in path.read_bytes()]


def test_where_nothing_can_be_written_it_says_what_to_do(tmp_path: Path, delivered: Record) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UnwritableReport, match=r"taken.*cannot be written.*--mailtrip-keep-results"):
        keep(tmp_path / "taken", delivered, sent=b"", received=b"", masker=NOBODY)


@given(st.text(), st.text())
def test_every_node_id_has_a_name_of_its_own_that_any_file_system_takes(one: str, other: str) -> None:
    name = folder_name(one)
    assert name.isascii()
    assert len(name) <= 110
    assert not set(name) & set('/\\:*?"<>| ')
    assert not name.startswith(".")
    assert (name.lower() == folder_name(other).lower()) == (one == other)
