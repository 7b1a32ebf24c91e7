"""Signs of life of the daemon's parts, each with the promise of another one in time."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pdwatch.core.liveness import Beat, overdue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Heartbeats:
    """What every part has last promised; a part that has promised nothing is taken to live."""

    def __init__(self) -> None:
        self._beats: dict[str, Beat] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[Callable[[float], None]]:
        """Yield the part's heartbeat, called as ``beat(within_s)``: alive now, and again within that time.

        Until the first call nothing is promised, and after the end of the block nothing is any more.
        """
        clock = asyncio.get_running_loop().time

        def beat(within_s: float) -> None:
            self._beats[name] = Beat(at_s=clock(), within_s=within_s)

        try:
            yield beat
        finally:
            self._beats.pop(name, None)

    @contextmanager
    def ending(self, name: str, *, within_s: float) -> Iterator[None]:
        """Promise that a piece of work ends in time."""
        with self.part(name) as beat:
            beat(within_s)
            yield

    def overdue(self) -> tuple[str, ...]:
        """Return the names of the parts that have broken their promise, the longest overdue first."""
        return overdue(self._beats, now_s=asyncio.get_running_loop().time())
