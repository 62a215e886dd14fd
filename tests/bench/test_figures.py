from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures import Spread, percentile, ratio_of_medians
from tests.bench.rounds import alternate

numbers = st.lists(st.floats(0, 1e9), min_size=1, max_size=50)


def test_a_spread_names_the_middle_and_both_ends() -> None:
    assert Spread.of([3.0, 1.0, 10.0, 2.0, 4.0]) == Spread(3.0, 1.0, 10.0)


def test_the_median_of_an_even_number_lies_between_the_middle_two() -> None:
    assert Spread.of([1.0, 2.0, 4.0, 100.0]).median == 3.0


def test_one_disturbed_round_does_not_move_the_median_ratio() -> None:
    assert ratio_of_medians([20, 20, 1, 20, 20], [10, 10, 10, 10, 500]) == 2.0


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of([])
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("percent", "expected"), [(1, 1), (50, 50), (50.1, 51), (95, 95), (99, 99), (99.5, 100), (100, 100)]
)
def test_percentiles_are_nearest_ranks(percent: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_percentiles_outside_of_the_range_are_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile([1.0], percent)


@given(numbers, st.floats(0.1, 100))
def test_a_percentile_is_a_measured_value_that_enough_others_do_not_exceed(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= len(values) * percent * (1 - 1e-12)


@given(numbers)
def test_a_spread_is_ordered(values: list[float]) -> None:
    spread = Spread.of(values)
    assert spread.low <= spread.median <= spread.high


def test_sides_take_turns_and_keep_their_order() -> None:
    clock, turns = count(), []

    def side(name: str) -> int:
        turns.append(name)
        return next(clock)

    found = alternate({"ours": lambda: side("ours"), "theirs": lambda: side("theirs")}, 3)
    assert turns == ["ours", "theirs"] * 3
    assert found == {"ours": [0, 2, 4], "theirs": [1, 3, 5]}
