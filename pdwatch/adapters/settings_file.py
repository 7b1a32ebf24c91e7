"""Tells when the settings file was saved."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from pdwatch.adapters.doorbell import Doorbell

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection
    from pathlib import Path

_SETTLE_S = 0.1
"""How long nothing must have happened: an editor may empty a file before it writes it."""
_LOOK_S = 5.0
"""How often to look by itself: a network file system tells nothing of what happens elsewhere."""


async def saves(path: Path, *, known: bytes) -> AsyncGenerator[None]:
    """Yield whenever the file has other bytes than before.

    Watched are the directories of the file and of what it links to, since editors put a new file in its
    place, and Kubernetes turns a link around.

    Args:
        path: The file; it may go and come back, and counts only while it is there.
        known: The bytes that it was last known to have, which may be some time ago.
    """
    directories = {str(path.parent), str((await asyncio.to_thread(path.resolve)).parent)}
    async with aclosing(_beats(directories)) as beats:
        async for _ in beats:
            content = await asyncio.to_thread(_read, path)
            if content is not None and content != known:
                known = content
                yield


async def _beats(directories: Collection[str]) -> AsyncGenerator[None]:
    """Yield at once, when something has happened in one of the directories, and when it is time to look."""
    while True:
        try:
            with Doorbell(directories) as bell:
                while True:
                    yield
                    if await bell.rings(within_s=_LOOK_S):
                        await bell.settled(quiet_s=_SETTLE_S, at_most_s=10 * _SETTLE_S)
        except OSError:  # a directory has gone, and may come back, or nobody may list it: look all the same
            yield
            await asyncio.sleep(_LOOK_S)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
