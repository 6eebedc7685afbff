"""What is new in a maildrop that others change too, against reading all of it."""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TypeVar, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from mailtrip_checks.mailbox.pop3_newcomers import MOST_ONE_BY_ONE, Newcomers
from mailtrip_checks.wire.pop3 import Pop3Session


@dataclass
class Maildrop:
    """A session with these unique ids; every mail has a size of its own."""

    mails: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])

    async def stat(self) -> tuple[int, int]:
        self.asked.append("STAT")
        return len(self.mails), sum(2 ** int(mail) for mail in self.mails)

    async def uidl(self) -> list[tuple[int, str]]:
        self.asked.append("UIDL")
        return list(enumerate(self.mails, 1))

    async def unique_id(self, number: int) -> str:
        self.asked.append(f"UIDL {number}")
        return self.mails[number - 1] if number <= len(self.mails) else ""

    @property
    def session(self) -> Pop3Session:
        return cast("Pop3Session", self)


Result = TypeVar("Result")


def at_once(doing: Coroutine[None, None, Result]) -> Result:
    """What a coroutine returns that waits for nothing."""
    try:
        doing.send(None)
    except StopIteration as done:
        return cast("Result", done.value)
    raise AssertionError("it waits")


def new(newcomers: Newcomers, maildrop: Maildrop, *, thorough: bool = False) -> list[str]:
    maildrop.asked.clear()
    unseen = at_once(newcomers.unseen(maildrop.session, thorough=thorough))
    assert all(maildrop.mails[number - 1] == unique_id for number, unique_id in unseen)
    newcomers.looked_at([unique_id for _, unique_id in unseen])
    return [unique_id for _, unique_id in unseen]


@pytest.fixture
def maildrop() -> Maildrop:
    return Maildrop([str(number) for number in range(50)])


@pytest.fixture
def newcomers(maildrop: Maildrop) -> Newcomers:
    known = Newcomers()
    at_once(known.ignore_what_is_there(maildrop.session))
    assert new(known, maildrop) == []
    return known


def test_a_look_that_finds_nothing_asks_for_the_size_and_the_last_mail(
    newcomers: Newcomers, maildrop: Maildrop
) -> None:
    assert new(newcomers, maildrop) == []
    assert maildrop.asked == ["STAT", "UIDL 50"]


def test_a_mail_that_takes_the_place_of_another_of_its_size_is_new(
    newcomers: Newcomers, maildrop: Maildrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def same_size() -> tuple[int, int]:
        return len(maildrop.mails), 1000

    monkeypatch.setattr(maildrop, "stat", same_size)
    assert new(newcomers, maildrop) == []
    maildrop.mails[-1:] = ["50"]
    assert new(newcomers, maildrop) == ["50"]


def test_what_is_new_is_asked_for_alone(newcomers: Newcomers, maildrop: Maildrop) -> None:
    maildrop.mails += ["50", "51"]
    assert new(newcomers, maildrop) == ["50", "51"]
    assert maildrop.asked == ["STAT", "UIDL 50", "UIDL 51", "UIDL 52"]
    maildrop.mails.append("52")
    assert new(newcomers, maildrop) == ["52"]
    assert maildrop.asked == ["STAT", "UIDL 52", "UIDL 53"]


def test_numbers_that_moved_are_not_trusted(newcomers: Newcomers, maildrop: Maildrop) -> None:
    del maildrop.mails[3]
    maildrop.mails += ["50", "51"]
    assert new(newcomers, maildrop) == ["50", "51"]
    assert maildrop.asked == ["STAT", "UIDL 50", "UIDL"]


def test_a_thorough_look_reads_all(newcomers: Newcomers, maildrop: Maildrop) -> None:
    assert new(newcomers, maildrop, thorough=True) == []
    assert maildrop.asked == ["STAT", "UIDL"]


def test_very_many_are_listed_at_once(newcomers: Newcomers, maildrop: Maildrop) -> None:
    maildrop.mails += [str(number) for number in range(50, 51 + MOST_ONE_BY_ONE)]
    assert len(new(newcomers, maildrop)) == MOST_ONE_BY_ONE + 1
    assert maildrop.asked == ["STAT", "UIDL"]


def test_after_a_deletion_of_ours_what_is_behind_it_is_asked_for(newcomers: Newcomers, maildrop: Maildrop) -> None:
    maildrop.mails += ["50", "51"]
    at_once(newcomers.unseen(maildrop.session, thorough=False))
    newcomers.looked_at(["50", "51"], deleted=[51])
    maildrop.mails.remove("50")
    assert new(newcomers, maildrop) == []
    assert maildrop.asked == ["STAT", "UIDL 50", "UIDL 51"]


def test_a_server_that_tells_no_single_unique_id_is_asked_for_all(
    newcomers: Newcomers, maildrop: Maildrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def only_the_last(number: int) -> str:
        return "49" if number == 50 else ""

    monkeypatch.setattr(maildrop, "unique_id", only_the_last)
    maildrop.mails.append("50")
    assert new(newcomers, maildrop) == ["50"]


class OfAMaildrop(RuleBasedStateMachine):
    """Others deliver and delete between our sessions; some mails cannot be read at first; some we delete."""

    def __init__(self) -> None:
        super().__init__()
        self.maildrop = Maildrop()
        self.newcomers = Newcomers()
        self.known: set[str] = set()
        self.next = 0

    @rule(count=st.integers(1, 30))
    def deliver(self, count: int) -> None:
        self.maildrop.mails += [str(number) for number in range(self.next, self.next + count)]
        self.next += count

    @precondition(lambda self: self.maildrop.mails)
    @rule(data=st.data())
    def somebody_deletes(self, data: st.DataObject) -> None:
        self.maildrop.mails.remove(data.draw(st.sampled_from(self.maildrop.mails)))

    @rule(thorough=st.booleans(), data=st.data())
    def look(self, thorough: bool, data: st.DataObject) -> None:
        unseen = at_once(self.newcomers.unseen(self.maildrop.session, thorough=thorough))
        assert unseen == [mail for mail in enumerate(self.maildrop.mails, 1) if mail[1] not in self.known]
        if data.draw(st.booleans(), "the session broke"):
            return
        read = [mail for mail in unseen if data.draw(st.booleans(), "it could be read")]
        doomed = [mail for mail in read if data.draw(st.booleans(), "it is ours")]
        self.known |= {unique_id for _, unique_id in read}
        self.newcomers.looked_at([unique_id for _, unique_id in read], deleted=[number for number, _ in doomed])
        for _, unique_id in doomed:
            self.maildrop.mails.remove(unique_id)


TestOfAMaildrop = OfAMaildrop.TestCase
TestOfAMaildrop.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
