"""A build context as a tar stream: equal entries give equal bytes, and memory stays bounded."""

from __future__ import annotations

import asyncio
import tarfile
from typing import TYPE_CHECKING

from pdwatch.core.build_context import ContextDirectory, ContextFile, ContextLink
from pdwatch.core.model import SourceFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from pdwatch.core.build_context import ContextEntry

BLOCK_BYTES = 1 << 18
"""How much is read at a time, at least; small files travel together."""
_FILE_MODE = 0o644
_DIRECTORY_MODE = 0o755
_LINK_MODE = 0o777


def tar_chunks(
    entries: Iterable[ContextEntry], read: Callable[[SourceFile], Iterator[bytes]]
) -> Iterator[bytes]:
    """Yield a POSIX (pax) archive: owner and group 0, times 0, modes 0755 and 0644, no extended attributes.

    Args:
        entries: In the order in which they are written.
        read: Yields the content of a file of the user's; whatever it raises ends the archive.
    """
    for entry in entries:
        yield _header(entry)
        if isinstance(entry, ContextFile):
            content = entry.content
            if isinstance(content, SourceFile):
                yield from read(content)
            else:
                yield content
            yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


async def off_loop(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what ``chunks`` do, in blocks of :data:`BLOCK_BYTES` or more, taken in a thread.

    A file that ``chunks`` has open when this ends early is closed once its thread is done with it.
    """
    while block := await asyncio.to_thread(_next_block, chunks):
        yield block


def _next_block(chunks: Iterator[bytes]) -> bytes:
    block = bytearray()
    for chunk in chunks:
        block += chunk
        if len(block) >= BLOCK_BYTES:
            break
    return bytes(block)


def _header(entry: ContextEntry) -> bytes:
    info = tarfile.TarInfo(entry.path)
    if isinstance(entry, ContextDirectory):
        info.type, info.mode = tarfile.DIRTYPE, _DIRECTORY_MODE
    elif isinstance(entry, ContextLink):
        info.type, info.mode, info.linkname = tarfile.SYMTYPE, _LINK_MODE, entry.target
    else:
        info.size, info.mode = entry.size, _FILE_MODE
    return info.tobuf(tarfile.PAX_FORMAT, encoding="utf-8", errors="strict")
