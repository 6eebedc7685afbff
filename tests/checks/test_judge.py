"""An outcome is held against what its author expected, and what was not seen is never judged."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.judge import above, advice, channels, judge
from mailtrip_checks.outcome import Bracket, Outcome, Reply, Stage
from mailtrip_checks.trips import Channel, Expect, Expected, Limit

STAGES = (
    Stage(Leg.SMTP, "connect", 100.0, 0.25),
    Stage(Leg.SMTP, "submit", 101.0, 0.5),
    Stage(Leg.MAILBOX, "login", 100.0, 1.0),
    Stage(Leg.MAILBOX, "fetch", 104.0, 0.125),
)
DELIVERED = Outcome(
    End.DELIVERED,
    "TOKEN",
    100.0,
    110.0,
    1_800_000_000.0,
    stages=STAGES,
    mail_from_at_s=101.0,
    accepted_at_s=101.5,
    bracket=Bracket(103.0, 104.0),
)
SEEN = {
    Channel.SMTP: 0.75,
    Channel.MAILBOX: 1.125,
    Channel.TRANSIT: 2.5,
    Channel.TOTAL: 3.0,
    Channel.RESPONSES: 1.875,
}
WANTED = {
    Expected.DELIVERED: End.DELIVERED,
    Expected.ACCEPTED: End.ACCEPTED,
    Expected.CONNECTED: End.CONNECTED,
    Expected.REJECTED: End.REJECTED,
    Expected.UNDELIVERED: End.LOST,
}


def ended(end: End, *replies: str, what: str = "") -> Outcome:
    return replace(DELIVERED, end=end, what=what, replies=tuple(Reply(Leg.SMTP, "RCPT", text) for text in replies))


@pytest.mark.parametrize("expected", Expected)
@pytest.mark.parametrize("end", End)
def test_a_trip_passes_where_it_ended_as_expected_and_nowhere_else(expected: Expected, end: End) -> None:
    judgement = judge(ended(end, what="so it was"), Expect(expected))
    assert judgement.end is end
    assert judgement.passed is (end is WANTED[expected])
    if not judgement.passed:
        assert judgement.failures == (f"expected {expected.value}, but it ended {end.value}: so it was",)


def test_an_end_that_needs_no_words_gets_none() -> None:
    assert judge(ended(End.LOST), Expect()).failures == ("expected delivered, but it ended lost",)


# Replies.

EXPECTED_550 = Expect(Expected.REJECTED, "550", re.compile(r"^550(?=[ -]|$)"))


def test_the_last_reply_is_the_one_that_must_fit() -> None:
    assert judge(ended(End.REJECTED, "250 Ok", "550 5.7.1 No"), EXPECTED_550).passed
    judgement = judge(ended(End.REJECTED, "550 No", "554 Never"), EXPECTED_550)
    assert judgement.failures == ("expected the reply 550, but the server said '554 Never'",)


def test_without_any_reply_the_expected_one_did_not_come() -> None:
    assert judge(ended(End.REJECTED), EXPECTED_550).failures == ("expected the reply 550, but the server gave none",)


def test_a_wrong_end_is_told_without_its_reply() -> None:
    [failure] = judge(ended(End.DELIVERED, "250 Ok"), EXPECTED_550).failures
    assert "ended delivered" in failure


# Channels.


def test_channels_are_sums_of_stages_and_spans_of_instants() -> None:
    assert channels(DELIVERED) == SEEN


def test_what_another_trip_paid_for_is_in_no_channel() -> None:
    shared = tuple(replace(stage, shared=stage.name in ("connect", "login")) for stage in STAGES)
    assert channels(replace(DELIVERED, stages=shared))[Channel.SMTP] == 0.5
    assert channels(replace(DELIVERED, stages=shared))[Channel.MAILBOX] == 0.125
    all_shared = tuple(replace(stage, shared=True) for stage in STAGES)
    assert channels(replace(DELIVERED, stages=all_shared)).keys() == {Channel.TRANSIT, Channel.TOTAL}


def test_what_was_not_seen_is_missing_and_never_zero() -> None:
    assert channels(replace(DELIVERED, stages=())).keys() == {Channel.TRANSIT, Channel.TOTAL}
    assert channels(replace(DELIVERED, bracket=None)).keys() == {Channel.SMTP, Channel.MAILBOX, Channel.RESPONSES}
    assert Channel.TRANSIT not in channels(replace(DELIVERED, accepted_at_s=None))
    assert Channel.TOTAL not in channels(replace(DELIVERED, mail_from_at_s=None))
    smtp_only = tuple(stage for stage in STAGES if stage.leg is Leg.SMTP)
    assert channels(replace(DELIVERED, stages=smtp_only, bracket=None)).keys() == {Channel.SMTP}


def test_a_mail_seen_before_it_was_accepted_took_no_transit() -> None:
    seen = channels(replace(DELIVERED, accepted_at_s=104.5))
    assert (seen[Channel.TRANSIT], seen[Channel.TOTAL]) == (0.0, 3.0)


# Limits.


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize(
    ("warn_by_s", "fail_by_s", "end", "failures", "warnings"),
    [
        (None, 0.0, End.DELIVERED, 0, 0),
        (None, -0.001, End.LATE, 1, 0),
        (0.0, None, End.DELIVERED, 0, 0),
        (-0.001, None, End.DELIVERED, 0, 1),
        (-0.001, 0.001, End.DELIVERED, 0, 1),
        (-0.002, -0.001, End.LATE, 1, 0),
        (None, None, End.DELIVERED, 0, 0),
    ],
)
def test_a_limit_is_past_only_when_it_is_exceeded(
    channel: Channel, warn_by_s: float | None, fail_by_s: float | None, end: End, failures: int, warnings: int
) -> None:
    warn_s, fail_s = (None if by_s is None else SEEN[channel] + by_s for by_s in (warn_by_s, fail_by_s))
    judgement = judge(DELIVERED, Expect(limits=(Limit(channel, warn_s, fail_s),)))
    assert judgement.end is end
    assert (len(judgement.failures), len(judgement.warnings)) == (failures, warnings)
    for sentence in (*judgement.failures, *judgement.warnings):
        assert sentence.startswith(f"{channel.value} took {SEEN[channel]:.3f} s, which is past the limit of ")


def test_a_length_is_told_exactly_enough_to_see_that_it_is_past_its_limit() -> None:
    assert [above(length_s, 0.001) for length_s in (0.002, 0.0014, 0.00100007)] == ["0.002", "0.001400", "0.001000070"]


def test_every_limit_is_judged_and_the_outcomes_own_warnings_stay() -> None:
    limits = (Limit(Channel.SMTP, fail_s=0.1), Limit(Channel.TOTAL, fail_s=0.2), Limit(Channel.MAILBOX, warn_s=0.3))
    judgement = judge(replace(DELIVERED, warnings=("no TLS",)), Expect(limits=limits))
    assert [failure.split()[0] for failure in judgement.failures] == ["smtp", "total"]
    assert judgement.warnings == ("no TLS", "mailbox took 1.125 s, which is past the limit of 0.3 s")


def test_a_limit_on_what_was_not_seen_is_not_judged() -> None:
    judgement = judge(
        replace(DELIVERED, end=End.ACCEPTED, stages=(), bracket=None),
        Expect(Expected.ACCEPTED, limits=tuple(Limit(channel, 0.001, 0.002) for channel in Channel)),
    )
    assert judgement.passed
    assert judgement.channels == {}


def test_a_trip_that_ended_wrong_is_not_called_late() -> None:
    judgement = judge(ended(End.LOST), Expect(limits=(Limit(Channel.SMTP, fail_s=0.1),)))
    assert judgement.end is End.LOST
    assert len(judgement.failures) == 2


# The trip's own duration.

spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10), st.booleans()), max_size=12)


@given(spans)
def test_a_trips_duration_is_the_union_of_its_own_stages(spans: list[tuple[int, int, bool]]) -> None:
    stages = tuple(Stage(Leg.SMTP, "s", float(start), float(length), shared) for start, length, shared in spans)
    instants = {at for start, length, shared in spans if not shared for at in range(start, start + length)}
    assert replace(DELIVERED, stages=stages).duration_s == len(instants)


def test_waiting_for_a_connection_is_in_no_ones_duration() -> None:
    assert DELIVERED.duration_s == 1.0 + 0.5 + 0.125


# What to look at.


def advised(outcome: Outcome, expect: Expect) -> str:
    return advice(outcome, judge(outcome, expect), expect)


def test_what_was_rejected_in_other_words_is_told_to_look_at_the_pattern() -> None:
    rejected = replace(ended(End.REJECTED), replies=(Reply(Leg.SMTP, "RCPT", "550 5.1.1 no such user"),))
    unlike = Expect(Expected.REJECTED, "/unknown/", re.compile("unknown"))
    assert "compare `expect.reply` with the reply" in advised(rejected, unlike)
    assert "The address may not exist" in advised(rejected, Expect())
    assert advised(rejected, Expect(Expected.REJECTED)) == ""


@pytest.mark.parametrize("end", [End.DELIVERED, End.ACCEPTED])
def test_what_came_through_against_hope_has_a_hint(end: End) -> None:
    assert "took what it should reject" in advised(ended(end), Expect(Expected.REJECTED))
    assert "came through, and should not" in advised(ended(end), Expect(Expected.UNDELIVERED))


def test_what_is_late_is_told_to_look_at_the_timeline_also_where_it_was_rejected_as_hoped() -> None:
    late = Expect(limits=(Limit(Channel.TOTAL, fail_s=0.001),))
    assert "the timeline shows" in advised(DELIVERED, late)
    slow = Expect(Expected.REJECTED, limits=(Limit(Channel.SMTP, fail_s=0.001),))
    assert "the timeline shows" in advised(ended(End.REJECTED), slow)


def lagging(lag_s: float | None) -> Outcome:
    return replace(DELIVERED, lag_s=lag_s)


STOOD_STILL = "meanwhile our own loop stood still for"


@pytest.mark.parametrize("limit", [Limit(Channel.TOTAL, fail_s=2.75), Limit(Channel.TOTAL, warn_s=2.75)])
def test_a_time_past_its_limit_while_our_own_loop_stood_still_says_so(limit: Limit) -> None:
    judgement = judge(lagging(0.3), Expect(limits=(limit,)))
    (told,) = (*judgement.failures, *judgement.warnings)
    assert told == f"total took 3.000 s, which is past the limit of 2.75 s; {STOOD_STILL} 0.300 s"


@pytest.mark.parametrize(("lag_s", "bound_s"), [(None, 2.0), (0.0, 2.0), (0.1, 2.0), (0.009, 2.995)])
def test_a_lag_that_explains_nothing_is_not_mentioned(lag_s: float | None, bound_s: float) -> None:
    judgement = judge(lagging(lag_s), Expect(limits=(Limit(Channel.TOTAL, fail_s=bound_s),)))
    assert judgement.end is End.LATE
    assert STOOD_STILL not in judgement.failures[0]


def test_the_lag_between_sending_and_arrival_does_not_explain_the_mailbox() -> None:
    judgement = judge(lagging(2.0), Expect(limits=(Limit(Channel.MAILBOX, fail_s=1.0),)))
    assert STOOD_STILL not in judgement.failures[0]


@pytest.mark.parametrize(
    ("limits", "ours"),
    [
        ((Limit(Channel.TOTAL, fail_s=2.75),), True),
        ((Limit(Channel.TOTAL, fail_s=2.5),), False),
        ((Limit(Channel.TOTAL, fail_s=2.75), Limit(Channel.SMTP, fail_s=5), Limit(Channel.TRANSIT, warn_s=1)), True),
        ((Limit(Channel.TOTAL, fail_s=2.75), Limit(Channel.MAILBOX, fail_s=1.0)), False),
    ],
)
def test_where_only_our_lag_broke_the_limits_the_advice_is_about_us(limits: tuple[Limit, ...], ours: bool) -> None:
    outcome, expect = lagging(0.3), Expect(limits=limits)
    assert ("Our own process" in advice(outcome, judge(outcome, expect), expect)) is ours
