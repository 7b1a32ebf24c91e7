"""Loads small images, several in one archive: most of what a load costs Docker is its own start."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pdwatch.adapters.context import tar_chunks
from pdwatch.adapters.docker.api import RefusedError
from pdwatch.adapters.docker.load import archive_files, handed_over, send
from pdwatch.core.build_context import ContextFile
from pdwatch.core.image_config import ArchivedImage
from pdwatch.errors import DockerError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.image_config import ImageConfig
    from pdwatch.core.model import ImageRef, Turn

TOGETHER = 8
"""So many images go in one archive at most: with more, the first waits longer, and the last gains little."""
GATHER_S = 0.02
"""The first of a turn waits so long for the others, if there are any: they are read at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerImage:
    """An image, and the one layer of it that Docker lacks."""

    layer: bytes
    config: ImageConfig
    reference: ImageRef

    @property
    def file(self) -> ContextFile:
        """The layer, under a name of its own: that of its diff ID."""
        return ContextFile(path=f"{self.config.layers[-1].removeprefix('sha256:')}.tar", content=self.layer)

    @property
    def archived(self) -> ArchivedImage:
        """What the archive says of it."""
        return ArchivedImage(config=self.config, references=(str(self.reference),), layer=self.file.path)


@dataclass(slots=True, eq=False)
class _Waiting:
    image: LayerImage
    error: DockerError | None = None


@dataclass(slots=True, eq=False)
class _Line:
    """What waits to be loaded in one turn, or is on its way.

    Before the first load, ``expected`` images are waited for; ``joined`` says that another one has come.
    """

    expected: int
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: list[_Waiting] = field(default_factory=list)


class JointLoads:
    """Loads images; those of a turn that come while one is on its way go together, next.

    Whoever is next in line loads for all who wait. If that one is cancelled, the load is waited for all the
    same, as Docker goes on with it in any case.

    Args:
        api: The daemon.
    """

    def __init__(self, api: DockerApi) -> None:
        self._api = api
        self._lines: dict[Turn, _Line] = {}

    async def load(self, image: LayerImage, *, turn: Turn | None) -> None:
        """Load an image.

        Raises:
            RefusedError: Docker answers with an error, at once or in the course of the work, or says nothing.
            DockerUnavailableError: The connection breaks.
        """
        line = _Line(1) if turn is None else self._lines.setdefault(turn, _Line(turn.size))
        each = _Waiting(image)
        line.waiting.append(each)
        line.joined.set()
        try:
            async with line.busy:
                if each in line.waiting:
                    await _gathered(line)
                    await self._load(line)
        finally:
            if each in line.waiting:
                line.waiting.remove(each)
            if turn is not None and not line.waiting and self._lines.get(turn) is line:
                del self._lines[turn]
        if each.error is not None:
            raise each.error.with_traceback(None)  # it may be told to several

    async def _load(self, line: _Line) -> None:
        sent = asyncio.Event()
        loading = self._load_all(line, line.waiting[:TOGETHER], sent)
        await handed_over(asyncio.create_task(loading, name="load images"), sent)

    async def _load_all(self, line: _Line, images: Sequence[_Waiting], sent: asyncio.Event) -> None:
        """Load images, and take them out of line; each by itself if Docker refuses one of them."""
        error: DockerError | None = None
        try:
            archive = _archive([each.image for each in images])
            await send(self._api, archive, sent=sent, images=len(images))
        except RefusedError as refused:
            if len(images) > 1:
                for each in images:
                    await self._load_all(line, [each], sent)
                return
            error = refused
        except DockerError as failed:
            error = failed
        for each in images:
            each.error = error
            if each in line.waiting:
                line.waiting.remove(each)


async def _gathered(line: _Line) -> None:
    """Wait for those that have their turn at the same time; a little, since some may need no load."""
    with suppress(TimeoutError):
        async with asyncio.timeout(GATHER_S):
            while len(line.waiting) < line.expected:
                line.joined.clear()
                await line.joined.wait()
    line.expected = 1


def _archive(images: Sequence[LayerImage]) -> Generator[bytes, None, None]:
    files = [each.file for each in images]
    return tar_chunks([*files, *archive_files([each.archived for each in images])], lambda _: iter(()))
