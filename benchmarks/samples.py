"""What a list of samples says: median, spread, and the ratio of two lists with its uncertainty. Pure."""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``low`` to ``high``, both included."""

    low: float
    high: float


def median(values: Sequence[float]) -> float:
    """Return the middle value.

    Raises:
        statistics.StatisticsError: There are no values.
    """
    return statistics.median(values)


def spread(values: Sequence[float]) -> Interval:
    """Return the first and third quartile; of fewer than four values the least and the greatest."""
    if len(values) < 4:
        return Interval(min(values), max(values))
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return Interval(first, third)


def ratio(values: Sequence[float], base: Sequence[float]) -> float:
    """Return the median of ``values`` over that of ``base``; infinite when the latter is 0."""
    denominator = median(base)
    return median(values) / denominator if denominator else float("inf")


def ratio_interval(values: Sequence[float], base: Sequence[float], *, seed: int = 0) -> Interval:
    """Return where the ratio of the medians lies with a confidence of :data:`CONFIDENCE`.

    It is a percentile bootstrap (Efron 1979): both lists are drawn anew, with replacement, many times. Fewer
    than about eight samples make it too narrow.

    Args:
        values: The samples whose median is above the line,
        base: and below.
        seed: Of the random draws: equal arguments give equal intervals.
    """
    draw = random.Random(seed)
    ratios = sorted(
        ratio(draw.choices(values, k=len(values)), draw.choices(base, k=len(base))) for _ in range(RESAMPLES)
    )
    tail = round((1 - CONFIDENCE) / 2 * RESAMPLES)
    return Interval(ratios[tail], ratios[-1 - tail])
