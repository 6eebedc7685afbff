"""What the checks of a mail's origin find: the results that Authentication-Results can tell."""

from dataclasses import dataclass
from enum import StrEnum


class DmarcResult(StrEnum):
    """RFC 7489 §11.2."""

    NONE = "none"
    PASS = "pass"  # noqa: S105 - the result
    FAIL = "fail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class DkimResult(StrEnum):
    """RFC 8601 §2.7.1."""

    NONE = "none"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    POLICY = "policy"
    NEUTRAL = "neutral"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class SpfResult(StrEnum):
    """RFC 8601 §2.7.2."""

    NONE = "none"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SOFTFAIL = "softfail"
    POLICY = "policy"
    NEUTRAL = "neutral"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class AuthenticationResults:
    """Of one mail; None where a check is not told of."""

    spf: SpfResult | None = None
    dkim: DkimResult | None = None
    dmarc: DmarcResult | None = None
