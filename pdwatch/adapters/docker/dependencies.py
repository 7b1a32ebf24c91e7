"""Images of third-party code, each of one layer, from which workflows' images copy it.

Copied from an image, it costs a save one look-up by name, however many files it has;
docs/adr/0012-third-party-imports.md has the figures.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tarfile
import tempfile
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any

from pdwatch.adapters.context import BLOCK_BYTES, tar_chunks
from pdwatch.adapters.docker.api import RefusedError
from pdwatch.adapters.docker.fetch import DIRECTORY, fetch
from pdwatch.adapters.docker.load import image_files, load
from pdwatch.adapters.docker.refusals import load_error
from pdwatch.core.build_context import ContextDirectory, ContextFile, ContextLink
from pdwatch.core.dependencies import dependencies_config, dependencies_reference, fetch_digest, trees_digest
from pdwatch.core.image import parse_reference
from pdwatch.core.image_config import archive_layer_name
from pdwatch.core.model import SourceFile
from pdwatch.core.names import IMAGE_DEPENDENCIES_LABEL
from pdwatch.core.sources import DEPENDENCIES, NODE_MODULES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping

    from pdwatch.adapters.dependencies import ThirdPartyCode
    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.adapters.docker.known import KnownDocker
    from pdwatch.core.build_context import ContextEntry

_OF_THE_INSTALLATION = frozenset(
    f"{DIRECTORY}/{NODE_MODULES}/.deno/{name}" for name in (".deno.lock", ".setup-cache.bin")
)
"""What Deno keeps for the next installation; it differs from one to the next."""


class DependencyImages:
    """Finds or makes the images that hold the third-party code of workflows.

    Args:
        api: The daemon.
        known: What is known of it.
        network: Docker's name of the network to fetch over; None is its default.
        report: Called with each line that Deno prints while it fetches.
    """

    def __init__(
        self, api: DockerApi, known: KnownDocker, *, network: str | None, report: Callable[[str], None]
    ) -> None:
        self._api = api
        self._known = known
        self._network = network
        self._report = report

    async def fetched(self, code: ThirdPartyCode, *, base: Mapping[str, Any], slow_step: asyncio.Lock) -> str:
        """Return the reference of an image with what a workflow lacks, fetched first when there is none.

        Args:
            code: What to fetch, and which trees not to, since the workflow brings them along.
            base: What Docker says of the base image.
            slow_step: Held while it is made.

        Raises:
            DependencyUnavailableError: Where an import comes from can't be reached.
            BuildFailedError: An import does not exist, or is not what ``deno.lock`` says.
            SettingsError: There is no such network.
            DockerError: Docker can't be reached, or answers with another error.
        """
        digest = fetch_digest(code.fetch_files, base_id=base["Id"], left_out=code.trees)
        async with self._lacking(digest, slow_step) as lacking:
            if not lacking:
                return dependencies_reference(digest)
            with tempfile.TemporaryFile() as tree, tempfile.TemporaryFile() as layer:
                await fetch(self._api, code, base=base, network=self._network, report=self._report, into=tree)
                chunks = _fetched_layer(tree, DEPENDENCIES - code.trees)
                diff_id = await asyncio.to_thread(_write, chunks, layer)
                await self._load(digest, diff_id, layer, base=base)
        return dependencies_reference(digest)

    async def brought(
        self,
        trees: Iterable[ContextEntry],
        read: Callable[[SourceFile], Iterator[bytes]],
        *,
        base: Mapping[str, Any],
        slow_step: asyncio.Lock,
    ) -> str:
        """Return the reference of an image with the trees of a workflow directory, made if there is none.

        Args:
            trees: See :func:`pdwatch.core.build_context.split_trees`.
            read: Yields a file's content.
            base: What Docker says of the base image.
            slow_step: Held while it is made.

        Raises:
            DockerError: Docker can't be reached, or answers with an error.
            SourceError: A file can't be read, or has changed.
        """
        entries = tuple(trees)
        digest = trees_digest(entries)
        async with self._lacking(digest, slow_step) as lacking:
            if not lacking:
                return dependencies_reference(digest)
            with tempfile.TemporaryFile() as layer:
                diff_id = await asyncio.to_thread(_write, tar_chunks(entries, read), layer)
                await self._load(digest, diff_id, layer, base=base)
        return dependencies_reference(digest)

    @asynccontextmanager
    async def _lacking(self, digest: str, slow_step: asyncio.Lock) -> AsyncIterator[bool]:
        """Say whether an image is still to be made, and let nobody else of the turn make one meanwhile."""
        if await self._has(digest):
            yield False
            return
        async with slow_step:
            yield not await self._has(digest)

    async def _has(self, digest: str) -> bool:
        found = await self._known.inspect(dependencies_reference(digest))
        labels = (found or {}).get("Config", {}).get("Labels") or {}
        return bool(labels.get(IMAGE_DEPENDENCIES_LABEL) == digest)

    async def _load(self, digest: str, diff_id: str, layer: IO[bytes], *, base: Mapping[str, Any]) -> None:
        """Make the layer an image of its own."""
        reference = parse_reference(dependencies_reference(digest))
        assert reference is not None, "the name is pdwatch's own"
        config = dependencies_config(digest, layer=diff_id, base=base)
        size = layer.seek(0, os.SEEK_END)
        layer.seek(0)
        content = SourceFile(path=archive_layer_name(0), size=size, digest="")
        archive = [*image_files(config, reference), ContextFile(path=content.path, content=content)]
        self._known.own(config.id)
        try:
            await load(
                self._api, tar_chunks(archive, read=lambda _: iter(lambda: layer.read(BLOCK_BYTES), b""))
            )
        except RefusedError as refused:
            raise (load_error(refused, reference) or refused) from refused


def _write(chunks: Iterable[bytes], layer: IO[bytes]) -> str:
    """Write a layer; return its diff ID, ``sha256:<64 hex>``."""
    content = hashlib.sha256()
    for chunk in chunks:
        content.update(chunk)
        layer.write(chunk)
    return f"sha256:{content.hexdigest()}"


def _fetched_layer(tree: IO[bytes], wanted: Collection[str]) -> Iterator[bytes]:
    """Yield a layer of what Deno has fetched, in a form that depends on its content alone.

    Args:
        tree: A tar of the directory that Deno fetched into; can seek.
        wanted: Which of ``node_modules`` and ``vendor`` to take.
    """
    tree.seek(0)
    with tarfile.open(fileobj=tree, mode="r:") as tar:
        yield from tar_chunks(_entries(tar, wanted), read=lambda _: iter(()))


def _entries(tar: tarfile.TarFile, wanted: Collection[str]) -> Iterator[ContextEntry]:
    yield ContextDirectory(DIRECTORY)
    for member in sorted(tar.getmembers(), key=lambda member: member.name.split("/")):
        parts = member.name.split("/")
        if len(parts) == 1 or parts[1] not in wanted or member.name in _OF_THE_INSTALLATION:
            continue
        if member.isdir():
            yield ContextDirectory(member.name)
        elif member.issym():
            yield ContextLink(path=member.name, target=member.linkname)
        elif content := tar.extractfile(member):  # a hard link is read as what it leads to
            yield ContextFile(path=member.name, content=content.read())
