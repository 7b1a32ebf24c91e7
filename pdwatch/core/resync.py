"""How often everything is looked at in case an event was lost, and how thoroughly."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

FILES_A_SECOND = 150
"""At some 8 µs a stat, that is about a thousandth of a core."""
ROUND = 20
"""How many workflows each look compares with the cluster, too."""


def resync_interval(files: int, *, floor_s: float) -> float:
    """Return the seconds from one look at so many files to the next: ``floor_s``, or more for many."""
    return max(floor_s, files / FILES_A_SECOND)


def turn(everything: Sequence[T], number: int) -> Sequence[T]:
    """Return whose turn it is in look ``number``, such that all have theirs within so many looks as it takes.

    Args:
        everything: In an order that stays.
        number: Of the look, counted from 0.
    """
    rounds = -(-len(everything) // ROUND) or 1
    start = number % rounds * ROUND
    return everything[start : start + ROUND]
