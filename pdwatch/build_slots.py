"""How many builds go on at once; the number can change meanwhile, which a semaphore's cannot."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEFAULT_BUILDS = 2


class BuildSlots:
    """Lets ``limit`` builds go on at once; the others wait in the order in which they came."""

    def __init__(self, limit: int = DEFAULT_BUILDS) -> None:
        self._limit = limit
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def resize(self, limit: int) -> None:
        """Let another number go on at once; builds beyond a smaller one are left to end."""
        self._limit = limit
        self._admit()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, and keep it for as long as the block runs."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():  # cancelled while waiting: it never had one
                self._taken -= 1
                self._admit()

    def _admit(self) -> None:
        while self._waiting and self._taken < self._limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(None)
