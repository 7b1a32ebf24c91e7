"""How often everything is looked at, and whose turn it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.resync import ROUND, resync_interval, turn


@pytest.mark.parametrize(
    ("files", "floor_s", "interval_s"),
    [
        pytest.param(0, 30, 30, id="no files"),
        pytest.param(2_000, 30, 30, id="200 workflows of 10 files, by default"),
        pytest.param(4_500, 30, 30, id="as many as fit the default"),
        pytest.param(10_500, 30, 70, id="more files, less often"),
        pytest.param(10_500, 600, 600, id="never more often than the settings say"),
        pytest.param(150, 1, 1, id="a short setting with few files"),
        pytest.param(15_000, 1, 100, id="a short setting with many files"),
    ],
)
def test_the_interval_grows_with_the_files(files: int, floor_s: float, interval_s: float):
    assert resync_interval(files, floor_s=floor_s) == interval_s


@given(count=st.integers(0, 500), first=st.integers(0, 100))
def test_everything_has_its_turn_and_no_look_has_many(count: int, first: int):
    everything = range(count)
    looks = range(first, first + -(-count // ROUND))

    turns = [turn(everything, look) for look in looks]

    assert {each for one in turns for each in one} == set(everything)
    assert all(len(one) <= ROUND for one in turns)


def test_nothing_has_no_turn():
    assert list(turn([], 7)) == []
