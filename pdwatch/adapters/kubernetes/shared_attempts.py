"""Finds something out once for all who want to know meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class SharedAttempts:
    """A lock whose holder may fail for all who wait for it.

    With a plain lock, each of them would try for itself in turn. While an API server does not answer, every
    try lasts until its time limit, and the last of a hundred would know an hour later.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._failures = 0
        self._failure: Exception | None = None

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """Wait until nobody else tries, and try as long as the block runs.

        Raises:
            Exception: What ended the attempt of another, while this one waited.
        """
        failures = self._failures
        async with self._lock:
            if self._failure is not None and self._failures != failures:
                raise self._failure.with_traceback(None)
            try:
                yield
            except Exception as error:
                self._failures += 1
                self._failure = error
                raise
