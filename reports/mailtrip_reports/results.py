"""`--mailtrip-keep-results=DIR`: for each trip a folder with all there is of its last run."""

import re
from hashlib import sha256
from pathlib import Path

from mailtrip_checks.secrets import Masker
from mailtrip_reports.jsonl import UnwritableReport
from mailtrip_reports.record import Record
from mailtrip_reports.story import transcript_text

OUTCOME, SENT, RECEIVED, TRANSCRIPT = "outcome.json", "sent.eml", "received.eml", "transcript.txt"
_LONGEST_NAME = 100


def folder_name(node_id: str) -> str:
    """A name that every file system takes; the hash keeps apart what differs only in characters that are replaced."""
    readable = re.sub(r"[^A-Za-z0-9@.+-]+", "_", node_id).strip("._")[:_LONGEST_NAME]
    return f"{readable}-{sha256(node_id.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def keep(directory: Path, record: Record, *, sent: bytes, received: bytes, masker: Masker) -> None:
    """Write the record, the message as sent and as received, and the dialogue; what a run before left is overwritten.

    What there is none of has no file. Nothing secret is written. Raises UnwritableReport.
    """
    folder = directory / folder_name(record.id)
    kept = {
        OUTCOME: record.to_json().encode("ascii") + b"\n",
        SENT: _masked(sent, masker),
        RECEIVED: _masked(received, masker),
        TRANSCRIPT: f"{transcript_text(record)}\n".encode() if record.transcript else b"",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in kept.items():
            if content:
                (folder / name).write_bytes(content)
            else:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UnwritableReport(
            f"{folder}: the results cannot be written: {error.strerror or error}; "
            "name a folder that you may write to with --mailtrip-keep-results"
        ) from error


def _masked(mail: bytes, masker: Masker) -> bytes:
    # A mail is bytes: what is no UTF-8 must come through unchanged.
    return masker.mask(mail.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
