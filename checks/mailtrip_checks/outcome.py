"""What a trip saw: the evidence on which it is judged. Instants are seconds of the run's monotonic clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.trips import Channel


class Direction(StrEnum):
    """Who said a line of a transcript; NOTE is our own remark."""

    SENT = ">"
    RECEIVED = "<"
    NOTE = "*"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a dialogue, masked, without its line end."""

    at_s: float
    leg: Leg
    direction: Direction
    text: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One step, when it began and how long it took; `shared` if another trip paid for it."""

    leg: Leg
    name: str
    started_at_s: float
    length_s: float
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Bracket:
    """Arrival lies between the start of the last look that missed and the bytes that told of it."""

    missed_at_s: float
    seen_at_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of a server that decided something, masked. `command` names what it answered, for example RCPT."""

    leg: Leg
    command: str
    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """One try of a trip that ran more than once, judged: the `attempt`-th of its `number`-th run, both from 1.

    `why` says in a sentence what failed ("" where it passed).
    """

    number: int
    attempt: int
    end: End
    passed: bool
    why: str
    started_wall_s: float
    duration_s: float
    channels: Mapping[Channel, float]
    token: str
    lag_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a trip as it happened, before anybody judges it.

    `what` says in a sentence what went wrong ("" for a good end), `advice` what to try where more is known than the
    end's general hint. `mail_from_at_s` and `accepted_at_s` frame the submission; None where it did not come to it.
    `left_behind` names each mail that stays in a mailbox. `hosts` maps "smtp" and "mailbox" to "name:port [address]".
    `lag_s` is the longest time for which our own loop stood still between the first step of its sending and the mail
    being seen, None where that was not measured.
    Of a trip that ran more than once this is what the last try of run `shown_run` saw, with the warnings and the mails
    left behind of all, and `runs` are all its tries.
    """

    end: End
    token: str
    started_at_s: float
    ended_at_s: float
    started_wall_s: float
    leg: Leg | None = None
    stage: str = ""
    what: str = ""
    advice: str = ""
    stages: tuple[Stage, ...] = ()
    mail_from_at_s: float | None = None
    accepted_at_s: float | None = None
    bracket: Bracket | None = None
    lag_s: float | None = None
    replies: tuple[Reply, ...] = ()
    transcript: Sequence[Line] = ()
    warnings: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    runs: tuple[Run, ...] = ()
    shown_run: int = 0
    mail_sent: bytes = field(default=b"", repr=False)
    mail_received: bytes = field(default=b"", repr=False)

    @property
    def duration_s(self) -> float:
        """How long the trip itself took: the union of its own stages. Waiting for a connection's turn is not in it.

        Of a trip that ran more than once, the sum of its tries' durations.
        """
        if self.runs:
            return sum(run.duration_s for run in self.runs)
        total_s = 0.0
        until_s = float("-inf")
        for stage in sorted(self.stages, key=lambda stage: stage.started_at_s):
            if not stage.shared:
                ended_at_s = stage.started_at_s + stage.length_s
                total_s += max(ended_at_s - max(stage.started_at_s, until_s), 0.0)
                until_s = max(until_s, ended_at_s)
        return total_s
