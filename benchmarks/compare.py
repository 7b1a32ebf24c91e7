"""Compares two runs: ``python -m benchmarks.compare BASE.json [NEW.json]``.

Figures that have a floor are compared as multiples of it, since it was measured in the same minute on the
same machine: what is left is pdwatch's own doing.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import number
from benchmarks.results import load
from benchmarks.samples import Interval, median, ratio, ratio_interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.results import Results, Series

LATEST = Path("build/bench/results.json")
FEW = 5
"""With fewer samples than this on either side nothing is said of significance."""


class Hint(StrEnum):
    """What the interval of the ratio says."""

    LOWER = "lower"
    HIGHER = "higher"
    SAME = "no difference seen"
    FEW = "too few samples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure in two runs; ``ratio`` is new over base, each as multiple of its floor with ``by_floor``."""

    base: Series
    new: Series
    by_floor: bool
    ratio: float
    interval: Interval
    hint: Hint


def changes(base: Results, new: Results) -> Iterator[Change]:
    """Return every figure that both runs have."""
    before = base.by_key()
    for series in new.series:
        if series.key in before:
            yield change(before[series.key], series, floors=_floors(base, new, series))


def change(base: Series, new: Series, *, floors: tuple[Series, Series] | None = None) -> Change:
    """Compare one figure.

    Args:
        base: The earlier samples,
        new: and the later ones.
        floors: The floor of each; each side is then divided by the median of its floor.
    """
    one, other = _scaled(base, floors and floors[0]), _scaled(new, floors and floors[1])
    interval = ratio_interval(other, one)
    if min(len(one), len(other)) < FEW:
        hint = Hint.FEW
    elif interval.low > 1:
        hint = Hint.HIGHER
    elif interval.high < 1:
        hint = Hint.LOWER
    else:
        hint = Hint.SAME
    return Change(
        base=base, new=new, by_floor=bool(floors), ratio=ratio(other, one), interval=interval, hint=hint
    )


def lines(found: Sequence[Change]) -> Iterator[str]:
    """Return a line for each figure."""
    yield f"{'part':9} {'workflows':>9}  {'figure':40} {'base':>8} {'new':>8}  new/base"
    for each in found:
        figures = f"{number(median(each.base.values)):>8} {number(median(each.new.values)):>8}"
        floor = " of the floor" if each.by_floor else ""
        interval = f"{each.interval.low:.2f} to {each.interval.high:.2f}"
        words = f"{each.ratio:.2f}{floor} ({interval}): {each.hint}"
        yield f"{each.new.part:9} {each.new.workflows:>9,}  {each.new.name:40} {figures}  {words}"


def _floors(base: Results, new: Results, series: Series) -> tuple[Series, Series] | None:
    one, other = base.floor_of(base.by_key()[series.key]), new.floor_of(series)
    return (one, other) if one and other else None


def _scaled(series: Series, floor: Series | None) -> tuple[float, ...]:
    unit = median(floor.values) if floor else 1.0
    return tuple(value / unit for value in series.values)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", type=Path)
    parser.add_argument("new", type=Path, nargs="?", default=LATEST, help=f"default: {LATEST}")
    arguments = parser.parse_args()
    try:
        base, new = load(arguments.base), load(arguments.new)
    except (OSError, ValueError) as error:
        sys.exit(f"{error}")
    for name, results in (("base", base), ("new", new)):
        machine = results.machine
        print(
            f"{name:5} {machine.get('time')}, {machine.get('pdwatch')}, load {machine.get('load at start')}"
        )
    print("\n".join(lines(list(changes(base, new)))))


if __name__ == "__main__":
    main()
