"""What a trip notes on its way, and the outcome that becomes of it."""

from collections.abc import Callable

from mailtrip_checks.clock import Clock
from mailtrip_checks.ends import End, Leg
from mailtrip_checks.errors import TripError
from mailtrip_checks.identity import new_token
from mailtrip_checks.mailbox.registry import Watch
from mailtrip_checks.mailbox.waiting import Arrival
from mailtrip_checks.outcome import Outcome, Reply, Stage
from mailtrip_checks.smtp_pool import Dialogue
from mailtrip_checks.trips import Protocol, Trip
from mailtrip_checks.wire.smtp import Submission
from mailtrip_checks.wire.transcript import Lines, Stages


class Journal:
    """The evidence of one trip, complete at every moment, so that also a cancelled trip can be told.

    `on_send` is called with the place of the mail before it is sent; `number` is its place among those that start.
    `lag_s` tells for how long our own loop stood still between two instants, at most.
    """

    def __init__(
        self,
        trip: Trip,
        clock: Clock,
        on_send: Callable[[str], None] | None = None,
        number: int = 0,
        lag_s: Callable[[float, float], float] | None = None,
    ) -> None:
        self.trip = trip
        self._lag_s = lag_s
        self._on_send = on_send
        self.token = new_token()
        self.submission = Submission()
        leg = Leg.SMTP if trip.send else Leg.MAILBOX
        self.dialogue = Dialogue(Stages(clock, leg), number)
        self.watch: Watch | None = None
        self.arrival: Arrival | None = None
        self.deletion: Stage | None = None
        self.warnings: list[str] = []
        self.left_behind: list[str] = []
        self.stopped_at_s: float | None = None
        self.mail_sent = b""
        self._gave_up_at_s: float | None = None
        self._clock = clock
        self.started_at_s = clock.now()
        self._started_wall_s = clock.wall()

    def stopped(self) -> float:
        """The instant at which the trip was first told to stop: now, unless it was told before."""
        if self.stopped_at_s is None:
            self.stopped_at_s = self._clock.now()
        return self.stopped_at_s

    def gave_up(self) -> None:
        """The mail was waited for until now, and no longer."""
        self._gave_up_at_s = self._clock.now()

    def sends(self) -> None:
        """The mail is about to be sent."""
        if self._on_send:
            self._on_send(self._mail())

    def stays(self, why: str) -> None:
        """Name the mail of this trip as one that stays, or may still come."""
        self.left_behind.append(f"{self._mail()}: {why}")

    def _mail(self) -> str:
        receive = self.trip.receive
        where = "in the recipient's mailbox"
        if receive and receive.at.protocol is Protocol.LISTEN:
            where = f"on its way to {receive.at.name}"
        elif receive:
            where = f"in {receive.mailbox} of {receive.at.user} at {receive.at.host}"
        return f"the mail {{{self.token}}} {where}"

    def stages(self) -> tuple[Stage, ...]:
        """All stages in the order in which they began; transit lasts until the mail was seen, or given up."""
        stages = [*self.dialogue.opening, *self.dialogue.stages.taken]
        if self.watch:
            stages += self.watch.opening
        if self.arrival:
            stages += self.arrival.stages
        accepted_at_s = self.submission.accepted_at_s
        if accepted_at_s is not None and self.watch:
            given_up_s = self._clock.now() if self._gave_up_at_s is None else self._gave_up_at_s
            until_s = self.arrival.bracket.seen_at_s if self.arrival else given_up_s
            stages.append(Stage(Leg.TRANSIT, "transit", accepted_at_s, max(until_s - accepted_at_s, 0.0)))
        if self.deletion:
            stages.append(self.deletion)
        return tuple(sorted(stages, key=lambda stage: stage.started_at_s))

    def outcome(self, end: End, error: TripError | None = None, *, with_transcript: bool = True) -> Outcome:
        """The trip as it stands, ended by `error` if anything went wrong."""
        stages = self.stages()
        leg, stage = self._where(error, stages)
        replies = tuple(self.submission.replies)
        if error and error.reply and not (replies and replies[-1].text == error.reply):
            replies = (*replies, Reply(leg or Leg.SMTP, stage, error.reply))
        started_at_s = min((one.started_at_s for one in stages if not one.shared), default=self.started_at_s)
        ended_at_s = self._clock.now()
        return Outcome(
            end=end,
            token=self.token,
            started_at_s=started_at_s,
            ended_at_s=ended_at_s,
            started_wall_s=self._started_wall_s + started_at_s - self.started_at_s,
            leg=leg,
            stage=stage,
            what=error.what if error else "",
            advice=error.advice if error else "",
            stages=stages,
            mail_from_at_s=self.submission.mail_from_at_s,
            accepted_at_s=self.submission.accepted_at_s,
            bracket=self.arrival.bracket if self.arrival else None,
            lag_s=self._lag_s(*self._sent_to_seen_s(stages, started_at_s, ended_at_s)) if self._lag_s else None,
            replies=replies,
            transcript=self.transcript if with_transcript else (),
            warnings=tuple(dict.fromkeys((*self.dialogue.warnings, *self._mailbox_warnings(), *self.warnings))),
            left_behind=tuple(self.left_behind),
            hosts=self._hosts(),
            mail_sent=self.mail_sent,
            mail_received=self.arrival.mail if self.arrival else b"",
        )

    def _sent_to_seen_s(self, stages: tuple[Stage, ...], from_s: float, until_s: float) -> tuple[float, float]:
        """From the first step of its own sending until the mail was seen, where there are such instants."""
        sending = (stage.started_at_s for stage in stages if stage.leg is Leg.SMTP and not stage.shared)
        return min(sending, default=from_s), self.arrival.bracket.seen_at_s if self.arrival else until_s

    def _where(self, error: TripError | None, stages: tuple[Stage, ...]) -> tuple[Leg | None, str]:
        if error is None:
            return None, ""
        if error.leg is not None:
            return error.leg, error.stage
        if self.submission.accepted_at_s is not None:
            return Leg.MAILBOX, "find" if self.arrival is None else "delete"
        # A mail that was not accepted was still being sent, if the server was spoken to at all.
        sending = (*self.dialogue.opening, *self.dialogue.stages.taken)
        mine = [stage for stage in sending or stages if not stage.shared]
        return (mine[-1].leg, mine[-1].name) if mine else (Leg.SMTP if self.trip.send else Leg.MAILBOX, "")

    def _mailbox_warnings(self) -> tuple[str, ...]:
        return self.watch.warnings if self.watch else ()

    @property
    def transcript(self) -> Lines:
        """What was said until now in both legs."""
        return Lines((*self.dialogue.said, *(self.watch.said if self.watch else ())))

    def _hosts(self) -> tuple[tuple[str, str], ...]:
        trip = self.trip
        hosts: list[tuple[str, str]] = []
        if trip.send:
            hosts.append(("smtp", self.dialogue.host or f"{trip.send.via.host}:{trip.send.via.port}"))
        if trip.receive:
            watched = self.watch.host if self.watch else ""
            hosts.append(("mailbox", watched or f"{trip.receive.at.host}:{trip.receive.at.port}"))
        return tuple(hosts)
