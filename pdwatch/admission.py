"""Lets so much work go on at once; :mod:`pdwatch.core.admission` decides who is next."""

from __future__ import annotations

import asyncio
import heapq
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

from pdwatch.core.admission import Priority, Work, hold, next_turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Admission:
    """Lets ``limit`` pieces of work go on at once; unlike a semaphore's, the number can change meanwhile.

    Args:
        limit: So many.
        turn: What each waits for: ``build slot``.
    """

    def __init__(self, limit: int, *, turn: str) -> None:
        self._limit = limit
        self._turn = turn
        self._running: list[Work] = []
        self._lines: dict[Priority, list[tuple[float, int, Work, asyncio.Future[None]]]] = {
            priority: [] for priority in Priority
        }
        """Heaps of what waits, the first to come first."""
        self._waiting = 0
        self._entered = count()

    def resize(self, limit: int) -> None:
        """Let another number go on at once; what is beyond a smaller one is left to end."""
        self._limit = limit
        self._admit()

    @asynccontextmanager
    async def slot(self, work: Work) -> AsyncIterator[None]:
        """Wait for the turn of ``work``, whose ``since`` is loop time; it lasts as long as the block runs."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._lines[work.priority], (work.since, next(self._entered), work, turn))
        self._waiting += 1
        self._admit()
        try:
            if not turn.done():
                await turn
            yield
        finally:
            if turn.cancelled():  # while it was waiting: it never had its turn
                self._waiting -= 1
            else:
                self._running.remove(work)
                self._admit()

    def hold(self, work: Work) -> str:
        """Say why work that is in line waits."""
        return hold(work, self._running, limit=self._limit, waiting=self._waiting, turn=self._turn)

    def _admit(self) -> None:
        now = asyncio.get_running_loop().time()
        while (work := next_turn(self._heads(), self._running, limit=self._limit, now=now)) is not None:
            *_, turn = heapq.heappop(self._lines[work.priority])
            self._waiting -= 1
            self._running.append(work)
            turn.set_result(None)

    def _heads(self) -> list[Work]:
        """Return the first in line of each priority."""
        for line in self._lines.values():
            while line and line[0][-1].cancelled():
                heapq.heappop(line)
        return [line[0][2] for line in self._lines.values() if line]
