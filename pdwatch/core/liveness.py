"""Whether every part of the daemon still lives, judged by when each last showed life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

GRACE_S = 30.0
"""How much later than promised a sign of life may come: a busy machine is not a hung part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A sign of life at ``at_s`` (seconds of any steady clock), with the promise of another ``within_s``."""

    at_s: float
    within_s: float


def overdue(beats: Mapping[str, Beat], *, now_s: float) -> tuple[str, ...]:
    """Return the names of the parts that have broken their promise, the longest overdue first."""
    late_s = {part: now_s - beat.at_s - beat.within_s for part, beat in beats.items()}
    hung = (part for part, late in late_s.items() if late > GRACE_S)
    return tuple(sorted(hung, key=lambda part: (-late_s[part], part)))
