"""Who goes next when more is to be done than may be at once, and why everything else waits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AGING_S = 30.0
"""After so long in line, work counts as one class more urgent; so endless saves starve nothing."""
_NAMED = 3
"""So many of those that go on are named in a hold."""


class Priority(IntEnum):
    """How urgent work is, the most urgent first."""

    SAVE = 0
    """Somebody waits for what they have saved."""
    REPAIR = 1
    """What failed before, has drifted, or was missed when it was saved."""
    START = 2
    """A first look at everything: when the daemon starts, or goes by other settings."""
    ROUTINE = 3
    """Nothing is known to have happened."""


_OF_CAUSE = {
    "save": Priority.SAVE,
    "start": Priority.START,
    "settings": Priority.START,
    "resync": Priority.ROUTINE,
}


def priority_of(cause: str) -> Priority:
    """Return the priority of work by the cause that log lines tell of it."""
    return _OF_CAUSE.get(cause, Priority.REPAIR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Something that wants its turn; ``since`` is when it came, in seconds of any clock.

    Works with an equal ``joins`` that is not None may share a turn.
    """

    name: str
    priority: Priority
    since: float
    joins: object = None


def next_turn(waiting: Iterable[Work], running: Sequence[Work], *, limit: int, now: float) -> Work | None:
    """Return the work whose turn it is, None when none may begin.

    It is the most urgent, and of equally urgent work what came first; each :data:`AGING_S` in line counts as
    a class. The last of several turns is kept for saves: so a save never waits until long work is done that
    nobody asked for.

    Args:
        waiting: What is in line. Of each priority the first to come is enough.
        running: What goes on; of what shares a turn, one.
        limit: How many turns there are at once.
        now: The time, by the clock of ``since``.
    """
    if len(running) >= limit:
        return None
    candidates = waiting if _admits_background(running, limit) else filter(_is_save, waiting)
    return min(candidates, key=lambda work: _rank(work, now), default=None)


def may_share(work: Work, first: Work, *, limit: int) -> bool:
    """Tell whether the next in line of a priority may join one of it that has just got its turn.

    Where no turn is kept for saves, only they share one: the next save would wait for all of it.

    Args:
        work: What is in line.
        first: What has just got its turn.
        limit: How many turns there are at once.
    """
    return work.joins is not None and work.joins == first.joins and (limit > 1 or _is_save(first))


def hold(work: Work, running: Sequence[Work], *, limit: int, waiting: int, turn: str) -> str:
    """Say why work waits: ``waits for a build slot behind alpha, beta (2 at once, 5 wait)``.

    Args:
        work: What is in line.
        running: What goes on.
        limit: How much may go on at once.
        waiting: How much is in line, this work included.
        turn: What it waits for: ``build slot``.
    """
    names = [each.name for each in running]
    shown = [*names[:_NAMED], *([f"{len(names) - _NAMED} more"] if len(names) > _NAMED else [])]
    kept = "" if _is_save(work) or len(running) >= limit else ", one of them for saves"
    others = f", {waiting} wait" if waiting > 1 else ""
    behind = f" behind {', '.join(shown)}" if shown else ""
    return f"waits for a {turn}{behind} ({limit} at once{kept}{others})"


def _admits_background(running: Sequence[Work], limit: int) -> bool:
    return len(running) - sum(map(_is_save, running)) < max(1, limit - 1)


def _is_save(work: Work) -> bool:
    return work.priority is Priority.SAVE


def _rank(work: Work, now: float) -> tuple[int, float]:
    return max(0, work.priority - int((now - work.since) // AGING_S)), work.since
