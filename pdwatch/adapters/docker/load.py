"""Loads images from archives that need not hold the layers that Docker has already."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from typing import TYPE_CHECKING

from pdwatch.adapters.context import off_loop, tar_chunks
from pdwatch.adapters.docker.api import RefusedError
from pdwatch.core.build_context import ContextFile
from pdwatch.core.image_config import (
    ArchivedImage,
    archive_config_name,
    archive_layer_name,
    archive_manifest,
)
from pdwatch.core.model import SourceFile
from pdwatch.core.tar_header import archive_size, header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.build_context import ContextEntry
    from pdwatch.core.image_config import ImageConfig
    from pdwatch.core.model import ImageRef
    from pdwatch.core.tar_header import TarDialect

_LOADED = "Loaded image"
_HANDED_OVER_S = 10.0
"""How long a load that was cancelled may hold up what comes after it."""


async def load(api: DockerApi, archive: Generator[bytes, None, None]) -> None:
    """Send an archive with one image, taken in a thread, and wait until Docker says that it has the image.

    A load that is cancelled after Docker has got the whole archive is waited for all the same: Docker goes on
    with it in any case, and loads that nobody waits for would pile up before the one that somebody does.

    Raises:
        RefusedError: Docker answers with an error, at once or in the course of the work, or says nothing.
        DockerUnavailableError: The connection breaks.
    """
    sent = asyncio.Event()
    await handed_over(asyncio.create_task(send(api, archive, sent=sent), name="load an image"), sent)


async def handed_over(loading: asyncio.Task[None], sent: asyncio.Event) -> None:
    """Wait for a load; once ``sent`` is set, for a while even if this is cancelled meanwhile.

    However this ends, the task has ended then.
    """
    try:
        await asyncio.shield(loading)
    except asyncio.CancelledError:
        if sent.is_set():
            await asyncio.wait({loading}, timeout=_HANDED_OVER_S)
        raise
    finally:
        loading.cancel()
        await asyncio.wait({loading})


async def send(
    api: DockerApi, archive: Generator[bytes, None, None], *, sent: asyncio.Event, images: int = 1
) -> None:
    """Send an archive, taken in a thread, and wait until Docker says that it has so many images.

    Args:
        api: The daemon.
        archive: Yields it.
        sent: Set when Docker has got all of it, and can't be kept from loading it any more.
        images: How many images with one reference each are in it.

    Raises:
        RefusedError: Docker answers with an error, at once or in the course of the work, or says too little.
        DockerUnavailableError: The connection breaks.
    """

    async def body(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for block in blocks:
            yield block
        sent.set()

    loaded = 0
    async with (
        off_loop(archive) as blocks,
        aclosing(api.messages("images/load", query={"quiet": "1"}, body=body(blocks))) as messages,
    ):
        async for message in messages:
            loaded += str(message.get("stream")).startswith(_LOADED)
    if loaded < images:
        raise RefusedError("Docker ended the load without an image and without an error")


def image_files(config: ImageConfig, reference: ImageRef) -> tuple[ContextEntry, ...]:
    """Return the files of an archive that register ``config`` under the reference."""
    return archive_files([ArchivedImage(config=config, references=(str(reference),))])


def archive_files(images: Sequence[ArchivedImage]) -> tuple[ContextEntry, ...]:
    """Return the files of an archive that register these images, besides their layers."""
    configs = [
        ContextFile(path=archive_config_name(each.config), content=each.config.content) for each in images
    ]
    return (*configs, ContextFile(path="manifest.json", content=archive_manifest(images)))


def layer_archive(
    entries: Sequence[ContextEntry],
    read: Callable[[SourceFile], Iterator[bytes]],
    *,
    dialect: TarDialect,
    position: int,
    config: Callable[[str], ImageConfig],
    reference: ImageRef,
) -> Generator[bytes, None, None]:
    """Yield an archive with one layer, which is read once: it comes first, and is hashed in passing.

    Args:
        entries: What the layer holds.
        read: Yields the content of a file of the user's; whatever it raises ends the archive.
        dialect: How the layer's headers are written.
        position: How many layers lie below it.
        config: Called with the layer's diff ID; returns the image's configuration.
        reference: What the image is called.
    """
    file = SourceFile(path=archive_layer_name(position), size=archive_size(entries, dialect), digest="")
    yield header(ContextFile(path=file.path, content=file))
    content = hashlib.sha256()
    for chunk in tar_chunks(entries, read, dialect=dialect):
        content.update(chunk)
        yield chunk
    registered = config(f"sha256:{content.hexdigest()}")
    yield from tar_chunks(image_files(registered, reference), read)
