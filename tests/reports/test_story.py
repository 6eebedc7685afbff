"""The story in the terminal: read by people, in 80 columns, without control characters."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.outcome import Bracket, Direction, Outcome, Stage
from mailtrip_checks.secrets import Masker
from mailtrip_checks.trips import Channel, Expect, Expected, Limit, Trip
from mailtrip_reports.html import detail_html
from mailtrip_reports.record import Record, TranscriptLine, record_unrun
from mailtrip_reports.story import cause, failure_text, passed_text, summary_line, transcript_text

LOST = """\
inbox.trip.yaml:3 inbox · lost, after 300.140 s
  Mail from outside reaches the office
  expected delivered, but it ended lost: accepted by mail.example.com:25 with
    "250 2.0.0 Ok: queued as 4F2", looked for 5 m, 61 looks, not there

  leg      stage         began        took
  mailbox  connect    +0.000 s     0.004 s
           tls        +0.004 s     0.006 s
           login      +0.010 s     0.010 s
  smtp     resolve    +0.020 s     0.002 s
           connect    +0.022 s     0.010 s
           tls        +0.032 s     0.012 s
           login      +0.044 s     0.021 s
           submit     +0.065 s     0.034 s
  transit  transit    +0.099 s   300.041 s  <-- here

  the server said
    smtp DATA: 250 2.0.0 Ok: queued as 4F2

  channels: smtp 0.079 s, mailbox 0.020 s, responses 0.099 s
  smtp server: mail.example.com:25 [192.0.2.10]
  mailbox server: mail.example.com:993 [192.0.2.11]
  AlertSite: 2, test timed out
  environment: new
  token: 6f1c0d5e9a3b4c7f8e2d1a0b9c8d7e6f
  Message-ID: <6f1c0d5e9a3b4c7f8e2d1a0b9c8d7e6f@example.org>
  what stays: the mail, should it still come to INBOX of probe@example.com: the
    next run removes it
  try: Look in the server's mail log for the Message-ID, in the junk folder, and
    at forwarding rules and quotas of the mailbox; a longer `timeout` helps
    where the path is slow.

  the dialogue ended so (more is in "mailtrip transcript")
     +0.010 mailbox > a1 LOGIN probe@example.com ***
     +0.020 mailbox < a1 OK [CAPABILITY IMAP4rev1 IDLE UIDPLUS] Logged in
     +0.022 smtp    * connected to 192.0.2.10 port 25
     +0.030 smtp    < 220 mail.example.com ESMTP
     +0.031 smtp    > EHLO probe.example.org
     +0.065 smtp    > MAIL FROM:<probe@example.org>
     +0.070 smtp    < 250 2.1.0 Ok
     +0.099 smtp    < 250 2.0.0 Ok: queued as 4F2"""


def test_the_story_of_a_lost_mail(lost: Record) -> None:
    assert failure_text(lost) == LOST


def test_the_story_of_a_refused_login_keeps_to_its_leg(login_failed: Record) -> None:
    text = failure_text(login_failed)

    assert text.startswith("inbox.trip.yaml:3 inbox · login-failed, after 2.531 s\n")
    assert "           login      +0.010 s     2.521 s  <-- here\n" in text
    assert "    mailbox login: Authentication failed.\n" in text
    assert '  try: Check user and password; this server may want "probe" instead of\n    "probe@example.com".' in text
    assert text.endswith("+2.530 mailbox < a1 NO [AUTHENTICATIONFAILED] Authentication failed.")


def test_a_late_mail_shows_its_limit_its_warning_and_when_it_came(late: Record) -> None:
    text = failure_text(late)

    assert text.startswith("inbox.trip.yaml:3 inbox · late, total 0.577 s\n")
    assert "\n  total took 0.577 s, which is past the limit of 0.5 s\n" in text
    assert "\n  transit  transit    +0.099 s     0.543 s  <-- the longest\n" in text
    channels = "channels: total 0.577 s (limit 0.5 s), smtp 0.079 s (warning past 0.05 s), mailbox 0.090 s, "
    assert channels in " ".join(text.split())
    assert "\n  arrived: between 0.447 s and 0.577 s after MAIL FROM\n" in text
    assert "\n  warning: smtp took 0.079 s, which is past the limit of 0.05 s\n" in text


def test_what_passed_is_told_in_short(delivered: Record, undelivered: Record) -> None:
    text = passed_text(delivered)

    assert text.startswith("inbox.trip.yaml:3 inbox · delivered, total 0.577 s\n")
    assert "  mailbox  find       +0.642 s     0.011 s\n" in text
    assert "dialogue" not in text
    channels = " channels: total 0.577 s, smtp 0.079 s, mailbox 0.090 s, transit 0.543 s, responses 0.169 s "
    assert channels in " ".join(text.split())
    assert "lost, as expected, responses 0.099 s" in passed_text(undelivered)
    assert "<-- here" not in passed_text(undelivered)


def test_a_stage_of_another_trip_is_marked(shared: Record) -> None:
    assert "  mailbox  connect    -8.000 s     0.004 s  (shared)\n" in passed_text(shared)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(every_record: tuple[Record, ...], width: int) -> None:
    for record in every_record:
        wordy = replace(
            record,
            what="word " * 100,
            transcript=(TranscriptLine(0.0, Leg.SMTP, Direction.SENT, "y" * 500),),
        )

        lines = failure_text(wordy, width=width).splitlines()

        assert max(len(line) for line in lines[1:]) <= width


def test_the_summary_is_one_line_with_the_channel_that_says_most(
    delivered: Record, connected: Record, lost: Record
) -> None:
    assert summary_line(delivered) == "delivered, total 0.577 s"
    assert summary_line(connected) == "connected, mailbox 0.020 s"
    assert summary_line(lost) == (
        "lost, after 300.140 s: expected delivered, but it ended lost: accepted by "
        'mail.example.com:25 with "250 2.0.0 Ok: queued as 4F2", looked for 5 m, 61 looks, not there'
    )


def test_a_trip_that_did_not_run_says_why(trip: Trip) -> None:
    record = record_unrun(trip, End.SKIPPED, "maintenance\nwindow", node_id="a::b", at_wall_s=0.0, masker=Masker())

    assert summary_line(record) == "skipped: maintenance window"
    assert failure_text(record).splitlines()[2] == "  maintenance window"


def test_a_mailbox_looked_into_again_and_again_does_not_fill_the_screen(
    recorded: Callable[..., Record], outcome: Outcome
) -> None:
    looks = tuple(Stage(Leg.MAILBOX, "find", outcome.started_at_s + number, 0.1) for number in range(200))

    text = passed_text(recorded(replace(outcome, stages=looks)))

    assert text.count(" find ") == 30
    assert "  and 170 more, left out here\n" in text


def test_the_dialogue_is_bounded_in_the_story_and_whole_in_its_section(delivered: Record) -> None:
    said = tuple(TranscriptLine(number, Leg.SMTP, Direction.RECEIVED, f"line {number}") for number in range(100))
    record = replace(delivered, passed=False, transcript=said)

    assert failure_text(record).count("line ") == 12
    assert failure_text(record).endswith("+99.000 smtp    < line 99")
    assert transcript_text(record).count("line ") == 100


def test_a_line_without_end_is_cut(delivered: Record) -> None:
    said = (TranscriptLine(0.0, Leg.SMTP, Direction.RECEIVED, "y" * 100_000),)

    assert len(transcript_text(replace(delivered, transcript=said))) < 2100


def test_the_cause_is_what_decided(
    lost: Record, late: Record, login_failed: Record, recorded: Callable[..., Record], outcome: Outcome, trip: Trip
) -> None:
    assert cause(lost).startswith('lost: accepted by mail.example.com:25 with "250')
    assert cause(late) == "late: total took 0.577 s, which is past the limit of 0.5 s"
    assert cause(login_failed) == "login-failed: mail.example.com:993 refused the login of probe@example.com"
    hoped = replace(trip, expect=Expect(Expected.REJECTED))
    assert cause(recorded(outcome, trip=hoped)) == "delivered: expected rejected"


@pytest.mark.parametrize(
    ("channel", "longest"), [(Channel.SMTP, "submit"), (Channel.MAILBOX, "delete"), (Channel.RESPONSES, "delete")]
)
def test_what_is_late_marks_the_longest_stage_of_its_channel(
    recorded: Callable[..., Record], outcome: Outcome, trip: Trip, channel: Channel, longest: str
) -> None:
    text = failure_text(recorded(outcome, trip=replace(trip, expect=Expect(limits=(Limit(channel, fail_s=0.05),)))))

    (marked,) = (line for line in text.splitlines() if line.endswith("<-- the longest"))
    assert f" {longest} " in marked


def test_what_a_shade_of_a_millisecond_before_the_start_was_said_is_not_shown_below_zero(lost: Record) -> None:
    early = TranscriptLine(-0.0002, Leg.SMTP, Direction.SENT, "NOOP")
    record = replace(lost, transcript=(early,), stages=(replace(lost.stages[0], start_s=-0.0002),))

    assert "-0.000" not in failure_text(record) + transcript_text(record) + detail_html(record)


@pytest.mark.parametrize(
    ("lag_s", "told"),
    [
        (None, False),
        (0.0, False),
        (0.009, False),
        (0.011, True),
        (0.31, True),
    ],
)
def test_a_story_tells_of_our_own_lag_where_it_matters(
    recorded: Callable[..., Record], outcome: Outcome, lag_s: float | None, told: bool
) -> None:
    record = recorded(replace(outcome, lag_s=lag_s))

    assert record.lag_s == lag_s
    assert ("\n  own lag: our own loop stood still for " in passed_text(record)) is told
    # In the page it stands beside every time.
    assert ("<dt>own lag</dt>" in detail_html(record)) is (lag_s is not None)


def test_a_short_lag_matters_beside_a_short_time(recorded: Callable[..., Record], outcome: Outcome) -> None:
    seen_s = (outcome.mail_from_at_s or 0.0) + 0.1
    quick = replace(outcome, bracket=Bracket(seen_s - 0.01, seen_s))

    assert "own lag" in passed_text(recorded(replace(quick, lag_s=0.006)))
    assert "own lag" not in passed_text(recorded(replace(quick, lag_s=0.004)))


def test_a_trip_that_only_our_own_lag_made_late_blames_no_server(
    recorded: Callable[..., Record], outcome: Outcome, trip: Trip
) -> None:
    expect = Expect(limits=(Limit(Channel.TOTAL, fail_s=0.5),))
    text = failure_text(recorded(replace(outcome, lag_s=0.1), trip=replace(trip, expect=expect)), width=200)

    assert "past the limit of 0.5 s; meanwhile our own loop stood still for 0.100 s" in text
    assert "try: Our own process was too busy" in text
