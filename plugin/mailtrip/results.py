"""`--mailtrip-keep-results`, on the process that runs the trips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mailtrip_checks.outcome import Outcome
    from mailtrip_checks.secrets import Masker
    from mailtrip_reports.record import Record


def prepare(config: pytest.Config) -> None:
    """Make the folder, so that a run of hours does not end without it; workers are given it as an absolute path."""
    given: str | None = config.option.mailtrip_keep_results
    if given is None or hasattr(config, "workerinput"):
        return
    directory = Path(config.invocation_params.dir, given)
    config.option.mailtrip_keep_results = str(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"--mailtrip-keep-results={given}: {error.strerror or error}; name a folder that you may write to"
        raise pytest.UsageError(why) from error


def keep(config: pytest.Config, record: Record, masker: Masker, outcome: Outcome | None = None) -> None:
    """Keep what there is of a trip, where that is wanted. Raises UnwritableReport."""
    directory: str | None = config.option.mailtrip_keep_results
    if directory is None:
        return
    from mailtrip_reports.results import keep

    sent, received = (outcome.mail_sent, outcome.mail_received) if outcome else (b"", b"")
    keep(Path(directory), record, sent=sent, received=received, masker=masker)
