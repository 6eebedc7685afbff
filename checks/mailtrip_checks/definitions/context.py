"""What a definition may depend on besides its files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


def _right(_: Mapping[str, object]) -> tuple[str, str] | None:
    return None


@dataclass(frozen=True, slots=True)
class Context:
    """`environment` is the chosen one, `variables` are what `${var:…}` reads, `environ` what `${env:…}` reads.

    mailtrip.yaml is looked for from the trip file's folder up to `root`. `reserved_tags` are marks of somebody else.
    `fault_mistake` judges a fault of an in-process host: the key that is wrong and what to write, or None.
    """

    environment: str | None
    variables: Mapping[str, str]
    environ: Mapping[str, str]
    root: Path
    reserved_tags: frozenset[str] = frozenset()
    fault_mistake: Callable[[Mapping[str, object]], tuple[str, str] | None] = _right
