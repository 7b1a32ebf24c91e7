from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.samples import Interval, ratio, ratio_interval, spread

times = st.lists(st.floats(min_value=0.1, max_value=1e6), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], Interval(7.0, 7.0)),
        ([3.0, 1.0, 2.0], Interval(1.0, 3.0)),
        ([5.0, 1.0, 2.0, 3.0, 4.0], Interval(2.0, 4.0)),
    ],
    ids=["one value", "too few for quartiles", "quartiles"],
)
def test_the_spread_is_that_of_the_middle_half(values, expected):
    assert spread(values) == expected


def test_the_ratio_is_that_of_the_medians():
    assert ratio([10.0, 20.0, 900.0], [5.0, 5.0, 1.0]) == 4.0


def test_nothing_is_infinitely_many_times_zero():
    assert ratio([1.0], [0.0]) == float("inf")


@given(times, times)
def test_the_interval_lies_among_the_ratios_that_the_samples_allow(values, base):
    interval = ratio_interval(values, base)
    assert min(values) / max(base) <= interval.low <= interval.high <= max(values) / min(base)


def test_samples_that_differ_clearly_have_an_interval_without_one():
    slow, quick = [110.0, 112.0, 109.0, 111.0, 113.0, 110.5], [100.0, 101.0, 99.0, 100.5, 99.5, 100.0]
    assert ratio_interval(slow, quick).low > 1
    assert ratio_interval(quick, slow).high < 1


def test_equal_samples_have_equal_intervals():
    values, base = [1.01**number for number in range(30)], [1.02**number for number in range(20)]
    assert ratio_interval(values, base) == ratio_interval(values, base)
