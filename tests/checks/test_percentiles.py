"""Percentiles are lengths that were measured."""

from hypothesis import given
from hypothesis import strategies as st

from mailtrip_checks.percentiles import Statistics, nearest_rank, statistics

LENGTHS = st.lists(st.floats(0, 1e6), min_size=1)


def test_the_nearest_rank_is_the_first_that_so_many_percent_do_not_exceed() -> None:
    twenty = [float(number) for number in range(1, 21)]
    assert [nearest_rank(twenty, percent) for percent in (1, 50, 75, 90, 95, 96, 99, 100)] == [
        *(1, 10, 15, 18, 19, 20, 20, 20),
    ]
    assert nearest_rank([7.0], 50) == nearest_rank([7.0], 99) == 7.0


def test_the_statistics_of_lengths_in_any_order() -> None:
    assert statistics([4.0, 1.0, 3.0, 2.0]) == Statistics(4, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 4.0)


@given(LENGTHS, st.integers(1, 100))
def test_a_percentile_is_one_of_the_lengths_and_no_more_than_it_says_lie_above(lengths: list[float], n: int) -> None:
    found = nearest_rank(sorted(lengths), n)
    assert found in lengths
    assert sum(length > found for length in lengths) * 100 <= (100 - n) * len(lengths)
    assert sum(length < found for length in lengths) * 100 < n * len(lengths)
