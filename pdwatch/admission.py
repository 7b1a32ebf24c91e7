"""Lets so much work go on at once; :mod:`pdwatch.core.admission` decides who is next."""

from __future__ import annotations

import asyncio
import heapq
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from pdwatch.core.admission import Priority, Work, hold, may_share, next_turn
from pdwatch.core.model import Turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass(slots=True, eq=False)
class _Turn:
    number: int
    size: int = 0
    works: list[Work] = field(default_factory=list)
    """Those of it that have not ended."""


class Admission:
    """Gives ``limit`` turns at once; unlike a semaphore's, the number can change meanwhile.

    Args:
        limit: So many.
        turn: What each waits for: ``build slot``.
        together: Returns how many works may share a turn that one of them has just got.
    """

    def __init__(self, limit: int, *, turn: str, together: Callable[[Work], int] = lambda _: 1) -> None:
        self._limit = limit
        self._turn = turn
        self._together = together
        self._running: list[_Turn] = []
        self._lines: dict[Priority, list[tuple[float, int, Work, asyncio.Future[_Turn]]]] = {
            priority: [] for priority in Priority
        }
        """Heaps of what waits, the first to come first."""
        self._waiting = 0
        self._entered = count()
        self._turns = count()

    def resize(self, limit: int) -> None:
        """Let another number go on at once; what is beyond a smaller one is left to end."""
        self._limit = limit
        self._admit()

    @asynccontextmanager
    async def slot(self, work: Work) -> AsyncIterator[Turn]:
        """Wait for the turn of ``work``, whose ``since`` is loop time; it lasts as long as the block runs.

        Yields:
            The turn, which is the same for works that share it.
        """
        admitted: asyncio.Future[_Turn] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._lines[work.priority], (work.since, next(self._entered), work, admitted))
        self._waiting += 1
        self._admit()
        try:
            turn = await admitted
            yield Turn(turn.number, turn.size)
        finally:
            if admitted.cancelled():  # while it was waiting: it never had its turn
                self._waiting -= 1
            else:
                self._ended(admitted.result(), work)

    def hold(self, work: Work) -> str:
        """Say why work that is in line waits."""
        return hold(work, self._going(), limit=self._limit, waiting=self._waiting, turn=self._turn)

    def _ended(self, turn: _Turn, work: Work) -> None:
        turn.works.remove(work)
        if not turn.works:
            self._running.remove(turn)
            self._admit()

    def _admit(self) -> None:
        now = asyncio.get_running_loop().time()
        while (work := next_turn(self._heads(), self._going(), limit=self._limit, now=now)) is not None:
            turn = _Turn(next(self._turns))
            self._running.append(turn)
            self._enter(turn, work.priority)
            while turn.size < self._together(work) and self._next_may_share(work):
                self._enter(turn, work.priority)

    def _enter(self, turn: _Turn, priority: Priority) -> None:
        """Let the first in line of a priority have a turn."""
        *_, work, admitted = heapq.heappop(self._lines[priority])
        self._waiting -= 1
        turn.size += 1
        turn.works.append(work)
        admitted.set_result(turn)

    def _next_may_share(self, first: Work) -> bool:
        head = self._head(first.priority)
        return head is not None and may_share(head, first, limit=self._limit)

    def _going(self) -> list[Work]:
        """Return of each turn what came first of that which has not ended."""
        return [turn.works[0] for turn in self._running]

    def _heads(self) -> list[Work]:
        """Return the first in line of each priority."""
        return [head for priority in Priority if (head := self._head(priority)) is not None]

    def _head(self, priority: Priority) -> Work | None:
        line = self._lines[priority]
        while line and line[0][-1].cancelled():
            heapq.heappop(line)
        return line[0][2] if line else None
