"""What a definition may depend on besides its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Context:
    """`environment` is the chosen one, `variables` are what `${var:…}` reads, `environ` what `${env:…}` reads.

    mailtrip.yaml is looked for from the trip file's folder up to `root`. `reserved_tags` are marks of somebody else.
    """

    environment: str | None
    variables: Mapping[str, str]
    environ: Mapping[str, str]
    root: Path
    reserved_tags: frozenset[str] = frozenset()
