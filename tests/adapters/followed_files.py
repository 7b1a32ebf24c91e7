"""Directories that a watcher follows, and what it tells of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pdwatch.adapters.watcher import FileWatcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BOUND_S = 30.0
"""Ends a test that waits for what never comes."""


class Following:
    """What a watcher has told so far."""

    def __init__(self, changes: AsyncIterator[frozenset[Path]]) -> None:
        self._changes = changes

    async def batch(self) -> frozenset[Path]:
        async with asyncio.timeout(BOUND_S):
            return await anext(self._changes)

    async def beat(self) -> None:
        """Wait for the next beat; the first one says that the watches stand."""
        while await self.batch():
            pass

    async def until(self, path: Path) -> set[Path]:
        """Return all that was told until ``path`` was."""
        told: set[Path] = set()
        while path not in told:
            told |= await self.batch()
        return told


@asynccontextmanager
async def following(
    *roots: Path, beat_s: float = 3600.0, settle_s: float = 0.012, longest_s: float = 0.25
) -> AsyncIterator[Following]:
    changes = FileWatcher(beat_s=beat_s, settle_s=settle_s, longest_s=longest_s).changes(roots)
    try:
        yield Following(changes)
    finally:
        await changes.aclose()


def made_root(within: Path) -> Path:
    """Make a root with one workflow directory, ``hello``, that holds ``nodes/greet.ts``."""
    root = within / "root"
    (root / "hello/nodes").mkdir(parents=True)
    (root / "hello/nodes/greet.ts").write_text("1")
    return root
