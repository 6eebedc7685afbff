"""Threads take turns more often while an engine runs, and as before afterwards."""

import sys
from collections.abc import Generator

import pytest

from mailtrip_checks.switching import SWITCH_S, brisk_switching


@pytest.fixture(autouse=True)
def _usual() -> Generator[None]:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield
    sys.setswitchinterval(before_s)


def now_s() -> float:
    return round(sys.getswitchinterval(), 5)


def test_it_holds_as_long_as_anybody_wants_it() -> None:
    first, second = brisk_switching(), brisk_switching()
    first.__enter__()
    second.__enter__()
    assert now_s() == SWITCH_S
    first.__exit__(None, None, None)
    assert now_s() == SWITCH_S
    second.__exit__(None, None, None)
    assert now_s() == 0.005


def test_who_switches_more_often_anyway_is_left_alone() -> None:
    sys.setswitchinterval(0.0001)
    with brisk_switching():
        assert now_s() == 0.0001
    assert now_s() == 0.0001
