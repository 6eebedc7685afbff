"""Synthetic outcomes: what a trip can have seen, and the records made of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.judge import judge
from mailtrip_checks.outcome import Bracket, Direction, Line, Outcome, Reply, Stage
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.trips import (
    Auth,
    Channel,
    Endpoint,
    Expect,
    Expected,
    Limit,
    Protocol,
    Receive,
    Security,
    Send,
    Trip,
)
from mailtrip_reports.record import Record, record_of

START_S = 5000.0  # of the run's clock
OUT = Endpoint("out", Protocol.SMTP, "mail.example.com", 25, Security.STARTTLS)
IN = Endpoint("in", Protocol.IMAP, "mail.example.com", 993, Security.TLS, auth=Auth.PASSWORD, user="probe@example.com")
SEND = Send(OUT, "probe@example.org", ("probe@example.com",), "probe@example.org")
HOSTS = (("smtp", "mail.example.com:25 [192.0.2.10]"), ("mailbox", "mail.example.com:993 [192.0.2.11]"))
TOKEN = "6f1c0d5e9a3b4c7f8e2d1a0b9c8d7e6f"

SMTP_STAGES = (
    Stage(Leg.SMTP, "resolve", START_S + 0.020, 0.002),
    Stage(Leg.SMTP, "connect", START_S + 0.022, 0.010),
    Stage(Leg.SMTP, "tls", START_S + 0.032, 0.012),
    Stage(Leg.SMTP, "login", START_S + 0.044, 0.021),
    Stage(Leg.SMTP, "submit", START_S + 0.065, 0.034),
)
OPENED_STAGES = (
    Stage(Leg.MAILBOX, "connect", START_S, 0.004),
    Stage(Leg.MAILBOX, "tls", START_S + 0.004, 0.006),
    Stage(Leg.MAILBOX, "login", START_S + 0.010, 0.010),
)
SMTP_DIALOGUE = (
    Line(START_S + 0.022, Leg.SMTP, Direction.NOTE, "connected to 192.0.2.10 port 25"),
    Line(START_S + 0.030, Leg.SMTP, Direction.RECEIVED, "220 mail.example.com ESMTP"),
    Line(START_S + 0.031, Leg.SMTP, Direction.SENT, "EHLO probe.example.org"),
    Line(START_S + 0.065, Leg.SMTP, Direction.SENT, "MAIL FROM:<probe@example.org>"),
    Line(START_S + 0.070, Leg.SMTP, Direction.RECEIVED, "250 2.1.0 Ok"),
    Line(START_S + 0.099, Leg.SMTP, Direction.RECEIVED, "250 2.0.0 Ok: queued as 4F2"),
)
MAILBOX_DIALOGUE = (
    Line(START_S + 0.010, Leg.MAILBOX, Direction.SENT, "a1 LOGIN probe@example.com ***"),
    Line(START_S + 0.020, Leg.MAILBOX, Direction.RECEIVED, "a1 OK [CAPABILITY IMAP4rev1 IDLE UIDPLUS] Logged in"),
)


def the_trip(expect: Expect | None = None, send: Send | None = SEND) -> Trip:
    return Trip(
        id="inbox",
        path=Path("inbox.trip.yaml"),
        line=3,
        send=send,
        receive=Receive(IN),
        expect=expect or Expect(),
        description="Mail from outside reaches the office",
        tags=("prod", "inbound"),
        environment="new",
    )


def the_outcome(end: End, ended_s: float) -> Outcome:
    """What every synthetic outcome has in common; it ended `ended_s` after its start."""
    return Outcome(
        end=end,
        token=TOKEN,
        started_at_s=START_S,
        ended_at_s=START_S + ended_s,
        started_wall_s=1767225600.25,
        hosts=HOSTS,
        transcript=(*MAILBOX_DIALOGUE, *SMTP_DIALOGUE),
    )


def delivered_outcome() -> Outcome:
    return replace(
        the_outcome(End.DELIVERED, 0.712),
        stages=(
            *OPENED_STAGES,
            *SMTP_STAGES,
            Stage(Leg.TRANSIT, "transit", START_S + 0.099, 0.543),
            Stage(Leg.MAILBOX, "find", START_S + 0.642, 0.011),
            Stage(Leg.MAILBOX, "fetch", START_S + 0.653, 0.014),
            Stage(Leg.MAILBOX, "delete", START_S + 0.667, 0.045),
        ),
        mail_from_at_s=START_S + 0.065,
        accepted_at_s=START_S + 0.099,
        bracket=Bracket(START_S + 0.512, START_S + 0.642),
        replies=(Reply(Leg.SMTP, "DATA", "250 2.0.0 Ok: queued as 4F2"),),
    )


def lost_outcome() -> Outcome:
    return replace(
        the_outcome(End.LOST, 300.140),
        leg=Leg.TRANSIT,
        stage="transit",
        what='accepted by mail.example.com:25 with "250 2.0.0 Ok: queued as 4F2", looked for 5 m, 61 looks, not there',
        stages=(*OPENED_STAGES, *SMTP_STAGES, Stage(Leg.TRANSIT, "transit", START_S + 0.099, 300.041)),
        mail_from_at_s=START_S + 0.065,
        accepted_at_s=START_S + 0.099,
        replies=(Reply(Leg.SMTP, "DATA", "250 2.0.0 Ok: queued as 4F2"),),
        left_behind=("the mail, should it still come to INBOX of probe@example.com: the next run removes it",),
    )


def login_failed_outcome() -> Outcome:
    refused = "a1 NO [AUTHENTICATIONFAILED] Authentication failed."
    return replace(
        the_outcome(End.LOGIN_FAILED, 2.531),
        leg=Leg.MAILBOX,
        stage="login",
        what="mail.example.com:993 refused the login of probe@example.com",
        advice='Check user and password; this server may want "probe" instead of "probe@example.com".',
        stages=(*OPENED_STAGES[:2], Stage(Leg.MAILBOX, "login", START_S + 0.010, 2.521)),
        replies=(Reply(Leg.MAILBOX, "login", "Authentication failed."),),
        transcript=(MAILBOX_DIALOGUE[0], Line(START_S + 2.530, Leg.MAILBOX, Direction.RECEIVED, refused)),
    )


def shared_outcome() -> Outcome:
    """Its mailbox was opened, eight seconds earlier, by another trip."""
    outcome = delivered_outcome()
    opened = tuple(replace(each, started_at_s=each.started_at_s - 8, shared=True) for each in OPENED_STAGES)
    return replace(outcome, stages=(*opened, *outcome.stages[len(opened) :]))


def connected_outcome() -> Outcome:
    return replace(
        the_outcome(End.CONNECTED, 0.020), stages=OPENED_STAGES, hosts=HOSTS[1:], transcript=MAILBOX_DIALOGUE
    )


@pytest.fixture
def recorded() -> Callable[..., Record]:
    """Makes the record of an outcome: `recorded(outcome, trip=…, secrets=[…])`."""

    def recorded(outcome: Outcome, trip: Trip | None = None, secrets: tuple[str, ...] = ()) -> Record:
        trip = trip or the_trip()
        masker = Masker(Secret(secret) for secret in secrets)
        judgement = judge(outcome, trip.expect)
        return record_of(trip, outcome, judgement, node_id=f"{trip.path}::{trip.id}", masker=masker)

    return recorded


@pytest.fixture
def outcome() -> Outcome:
    """One that was delivered, for tests that change it."""
    return delivered_outcome()


@pytest.fixture
def trip() -> Trip:
    return the_trip()


@pytest.fixture
def delivered(recorded: Callable[..., Record]) -> Record:
    return recorded(delivered_outcome())


@pytest.fixture
def late(recorded: Callable[..., Record]) -> Record:
    limits = (Limit(Channel.TOTAL, fail_s=0.5), Limit(Channel.SMTP, warn_s=0.05))
    return recorded(delivered_outcome(), trip=the_trip(Expect(limits=limits)))


@pytest.fixture
def lost(recorded: Callable[..., Record]) -> Record:
    return recorded(lost_outcome())


@pytest.fixture
def undelivered(recorded: Callable[..., Record]) -> Record:
    """Lost, as its author hoped."""
    return recorded(lost_outcome(), trip=the_trip(Expect(Expected.UNDELIVERED)))


@pytest.fixture
def login_failed(recorded: Callable[..., Record]) -> Record:
    return recorded(login_failed_outcome())


@pytest.fixture
def shared(recorded: Callable[..., Record]) -> Record:
    return recorded(shared_outcome())


@pytest.fixture
def connected(recorded: Callable[..., Record]) -> Record:
    return recorded(connected_outcome(), trip=the_trip(Expect(Expected.CONNECTED), send=None))


@pytest.fixture
def every_record(
    delivered: Record,
    late: Record,
    lost: Record,
    undelivered: Record,
    login_failed: Record,
    shared: Record,
    connected: Record,
) -> tuple[Record, ...]:
    return delivered, late, lost, undelivered, login_failed, shared, connected
