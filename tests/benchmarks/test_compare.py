from __future__ import annotations

import pytest

from benchmarks.compare import Hint, change, changes, lines
from benchmarks.results import Results, Series
from tests.benchmarks.runs import run

STEADY = (100.0, 101.0, 99.0, 100.5, 99.5)


def series(*values: float) -> Series:
    return Series(part="loop", name="save", values=values)


@pytest.mark.parametrize(
    ("new", "hint"),
    [
        (tuple(value * 1.2 for value in STEADY), Hint.HIGHER),
        (tuple(value * 0.8 for value in STEADY), Hint.LOWER),
        (STEADY[::-1], Hint.SAME),
        ((130.0, 140.0), Hint.FEW),
    ],
    ids=lambda case: case.value if isinstance(case, Hint) else "",
)
def test_the_hint_says_whether_the_interval_leaves_a_doubt(new, hint):
    assert change(series(*STEADY), series(*new)).hint is hint


def test_on_a_machine_twice_as_slow_a_save_that_takes_twice_as_long_is_no_change():
    slow = run(*(value * 2 for value in STEADY), floor=20.0)
    (saved,) = [each for each in changes(run(*STEADY), slow) if each.by_floor]
    assert saved.ratio == pytest.approx(1.0)
    assert saved.hint is Hint.SAME


def test_figures_that_only_one_run_has_are_left_out():
    assert list(changes(Results(machine={}, series=()), run(*STEADY))) == []


def test_a_line_has_both_medians_the_ratio_and_the_hint():
    _, floor, saved = lines(list(changes(run(*STEADY), run(*(value * 1.5 for value in STEADY)))))
    assert "no difference seen" in floor
    assert "100      150  1.50 of the floor" in saved
    assert saved.endswith("higher")
