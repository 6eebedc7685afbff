"""A transcript shows what was said, when and by whom, but no secret; stages say how long each step took."""

import pytest

from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import Refused
from mailtrip_checks.outcome import Direction, Line, Stage
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.wire.transcript import LONGEST_LINE, MOST_LINES, MOST_SHOWN, Stages, Transcript
from tests.checks.manual_clock import ManualClock


def transcript(clock: ManualClock | None = None, *secrets: str) -> Transcript:
    return Transcript(clock or ManualClock(), Leg.SMTP, Masker(map(Secret, secrets)))


def texts(lines: tuple[Line, ...]) -> list[str]:
    return [f"{line.direction} {line.text}" for line in lines]


@pytest.mark.asyncio
async def test_each_line_has_its_instant_leg_and_speaker() -> None:
    clock = ManualClock(now_s=5.0)
    record = transcript(clock)
    record.note("connected")
    await clock.advance(1)
    record.sent("EHLO me\r\n")
    record.received("250-you\r\n250 8BITMIME\r\n")
    assert record.since(0).lines() == (
        Line(5.0, Leg.SMTP, Direction.NOTE, "connected"),
        Line(6.0, Leg.SMTP, Direction.SENT, "EHLO me"),
        Line(6.0, Leg.SMTP, Direction.RECEIVED, "250-you"),
        Line(6.0, Leg.SMTP, Direction.RECEIVED, "250 8BITMIME"),
    )


def test_a_secret_is_masked_before_anything_is_cut_or_kept() -> None:
    record = transcript(None, "hunter22", "two\nlines")
    record.sent("PASS hunter22\r\n")
    record.received("x" * (LONGEST_LINE - 4) + "hunter22")
    record.note("two\nlines")
    assert texts(record.since(0).lines()) == ["> PASS ***", "< " + "x" * (LONGEST_LINE - 4) + "***", "* ***"]


def test_nothing_said_is_no_line() -> None:
    record = transcript()
    record.sent("")
    assert record.since(0).lines() == ()


def test_a_long_line_is_cut_and_says_how_long_it_was() -> None:
    record = transcript()
    record.received("x" * LONGEST_LINE)
    record.received("y" * (LONGEST_LINE + 1))
    whole, cut = record.since(0).lines()
    assert whole.text == "x" * LONGEST_LINE
    assert cut.text == "y" * LONGEST_LINE + f"… ({LONGEST_LINE + 1} characters)"


def test_a_mark_divides_what_was_before_from_what_comes_after() -> None:
    record = transcript()
    record.note("before")
    mark = record.mark()
    assert record.since(mark).lines() == ()
    record.note("one\ntwo")
    assert texts(record.since(mark).lines()) == ["* one", "* two"]
    assert texts(record.since(0).lines()) == ["* before", "* one", "* two"]


def dialogue(before: int, behind: int, about: str = "") -> tuple[list[str], list[str]]:
    """What is shown of a dialogue from a mark, and what it was since then."""
    record = transcript()
    for number in range(before):
        record.note(f"before {number}.")
    mark = record.mark()
    for number in range(behind):
        record.note(f"behind {number}.")
    return [line.text for line in record.since(mark, about).lines()], [f"behind {number}." for number in range(behind)]


@pytest.mark.parametrize("before", [0, 1, MOST_LINES - 1, MOST_LINES, MOST_LINES + 5])
@pytest.mark.parametrize("behind", [0, 3, MOST_SHOWN])
def test_no_mark_shows_lines_from_before_it_however_long_the_dialogue(before: int, behind: int) -> None:
    shown, said = dialogue(before, behind)
    assert shown == said


@pytest.mark.parametrize("behind", [MOST_SHOWN + 1, MOST_LINES, MOST_LINES + 7])
def test_of_a_long_dialogue_the_beginning_and_the_end_are_shown(behind: int) -> None:
    shown, said = dialogue(5, behind)
    kept = said[-MOST_LINES:]
    assert len(shown) == MOST_SHOWN + 1
    head = shown.index(f"({len(kept) - MOST_SHOWN} lines left out)")
    assert shown[:head] == kept[:head]
    assert shown[head + 1 :] == kept[head + 1 - len(shown) :]


def test_of_what_is_left_out_the_lines_about_this_trip_are_shown_in_their_order() -> None:
    shown, _ = dialogue(0, 300, about="behind 10")
    named = ["behind 10.", *(f"behind {number}." for number in range(100, 110))]
    assert [line for line in shown if line.startswith("behind 10")] == named
    assert f"({300 - MOST_SHOWN - 10} lines left out)" in shown
    everything, said = dialogue(0, 300, about="behind")
    assert everything == said


@pytest.mark.asyncio
async def test_stages_are_timed_in_the_order_in_which_they_ended() -> None:
    clock = ManualClock(now_s=10.0)
    stages = Stages(clock, Leg.MAILBOX)
    with stages.of("connect"):
        await clock.advance(1.5)
        with stages.of("tls"):
            await clock.advance(0.5)
    stages.add("find", 20.0, 22.0)
    assert stages.taken == [
        Stage(Leg.MAILBOX, "tls", 11.5, 0.5),
        Stage(Leg.MAILBOX, "connect", 10.0, 2.0),
        Stage(Leg.MAILBOX, "find", 20.0, 2.0),
    ]


@pytest.mark.asyncio
async def test_an_error_learns_where_it_was_raised_and_its_stage_is_timed() -> None:
    clock = ManualClock()
    stages = Stages(clock, Leg.SMTP)

    async def log_in() -> None:
        with stages.of("outer"), stages.of("login"):
            await clock.advance(2)
            raise Refused("no")

    with pytest.raises(Refused) as caught:
        await log_in()
    assert (caught.value.leg, caught.value.stage) == (Leg.SMTP, "login")
    assert [(stage.name, stage.length_s) for stage in stages.taken] == [("login", 2.0), ("outer", 2.0)]


def test_an_error_of_ours_is_timed_and_left_as_it_is() -> None:
    stages = Stages(ManualClock(), Leg.SMTP)
    with pytest.raises(KeyError), stages.of("login"):
        raise KeyError("ours")
    assert [stage.name for stage in stages.taken] == ["login"]


def test_a_stage_that_goes_on_is_one_stage() -> None:
    stages = Stages(ManualClock(), Leg.SMTP)
    stages.add("connect", 1.0, 2.0)
    stages.add("connect", 2.0, 2.5)
    stages.add("tls", 2.5, 3.0)
    assert [(stage.name, stage.started_at_s, stage.length_s) for stage in stages.taken] == [
        ("connect", 1.0, 1.5),
        ("tls", 2.5, 0.5),
    ]
