"""A build context as a tar stream: equal entries give equal bytes, and memory stays bounded."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pdwatch.core.build_context import ContextFile
from pdwatch.core.model import SourceFile
from pdwatch.core.tar_header import END, PLAIN, header, padded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator

    from pdwatch.core.build_context import ContextEntry
    from pdwatch.core.tar_header import TarDialect

BLOCK_BYTES = 1 << 18
"""How much is read at a time, at least; small files travel together."""


def tar_chunks(
    entries: Iterable[ContextEntry],
    read: Callable[[SourceFile], Iterator[bytes]],
    *,
    dialect: TarDialect = PLAIN,
) -> Generator[bytes, None, None]:
    """Yield a POSIX (pax) archive: owner and group 0, times 0, modes 0755 and 0644, no extended attributes.

    Args:
        entries: In the order in which they are written.
        read: Yields the content of a file of the user's; whatever it raises ends the archive.
        dialect: How headers are written.
    """
    for entry in entries:
        yield header(entry, dialect)
        if isinstance(entry, ContextFile):
            content = entry.content
            if isinstance(content, SourceFile):
                yield from read(content)
            else:
                yield content
            yield bytes(padded(entry.size) - entry.size)
    yield END


@asynccontextmanager
async def off_loop(chunks: Generator[bytes, None, None]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield what ``chunks`` do, in blocks of :data:`BLOCK_BYTES` or more, taken in a thread.

    While a block is sent the next one is read, and no more than that. However this ends, no thread reads any
    longer then, and a file that ``chunks`` had open is closed.
    """
    ahead = _reading(chunks)

    async def blocks() -> AsyncIterator[bytes]:
        nonlocal ahead
        while block := await asyncio.shield(ahead):
            ahead = _reading(chunks)
            yield block

    try:
        yield blocks()
    finally:
        await asyncio.gather(ahead, return_exceptions=True)  # who takes the blocks has been told of its error
        chunks.close()


def _reading(chunks: Iterator[bytes]) -> asyncio.Task[bytes]:
    return asyncio.create_task(asyncio.to_thread(_next_block, chunks), name="read a block ahead")


def _next_block(chunks: Iterator[bytes]) -> bytes:
    block = bytearray()
    for chunk in chunks:
        block += chunk
        if len(block) >= BLOCK_BYTES:
            break
    return bytes(block)
