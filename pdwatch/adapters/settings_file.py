"""Tells when the settings file was saved."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from watchfiles import awatch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection
    from pathlib import Path

_SETTLE_MS = 100
"""How long nothing must have happened: an editor may empty a file before it writes it."""
_LOOK_MS = 5_000
"""How often to look by itself: a network file system tells nothing of what happens elsewhere."""


async def saves(path: Path, *, known: bytes) -> AsyncGenerator[None]:
    """Yield whenever the file has other bytes than before.

    Watched are the directories of the file and of what it links to, since editors put a new file in its
    place, and Kubernetes turns a link around.

    Args:
        path: The file; it may go and come back, and counts only while it is there.
        known: The bytes that it was last known to have, which may be some time ago.
    """
    directories = {path.parent, (await asyncio.to_thread(path.resolve)).parent}
    async with aclosing(_beats(directories)) as beats:
        while True:
            content = await asyncio.to_thread(_read, path)
            if content is not None and content != known:
                known = content
                yield
            await anext(beats)


async def _beats(directories: Collection[Path]) -> AsyncGenerator[None]:
    """Yield when something has happened in one of the directories, and when it is time to look anyway."""
    while True:
        events = awatch(
            *directories,
            recursive=False,
            step=_SETTLE_MS,
            debounce=10 * _SETTLE_MS,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
        )
        try:
            async with aclosing(events):
                async for _ in events:
                    yield
        except FileNotFoundError:  # a directory has gone, and may come back
            await asyncio.sleep(_LOOK_MS / 1000)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
