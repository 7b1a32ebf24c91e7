"""Tells when the settings file was saved."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from watchfiles import awatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_SETTLE_MS = 100
"""How long nothing must have happened: an editor may empty a file before it writes it."""


async def saves(path: Path) -> AsyncIterator[None]:
    """Yield whenever the file has other bytes than before.

    Watched are the directories of the file and of what it links to, since editors put a new file in its
    place, and Kubernetes turns a link around.

    Args:
        path: The file; it may go and come back, and counts only while it is there.
    """
    known = await asyncio.to_thread(_read, path)
    directories = {path.parent, (await asyncio.to_thread(path.resolve)).parent}
    async for _ in awatch(*directories, recursive=False, step=_SETTLE_MS, debounce=10 * _SETTLE_MS):
        content = await asyncio.to_thread(_read, path)
        if content is not None and content != known:
            known = content
            yield


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
