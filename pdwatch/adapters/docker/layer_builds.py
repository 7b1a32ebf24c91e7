"""Adds the layer of the sources to a parent image, without a build (docs/adr/0022-layer-builder.md)."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.context import tar_chunks
from pdwatch.adapters.docker.api import RefusedError
from pdwatch.adapters.docker.base import inspect
from pdwatch.adapters.docker.dockerfile_builds import missing
from pdwatch.adapters.docker.joint_loads import JointLoads, LayerImage
from pdwatch.adapters.docker.load import layer_archive, load
from pdwatch.adapters.docker.refusals import load_error
from pdwatch.adapters.docker.shared_builds import SharedBuilds
from pdwatch.core.parent_image import dialect_of, is_parent
from pdwatch.core.tar_header import archive_size
from pdwatch.errors import DiskFullError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.adapters.docker.dockerfile_builds import DockerfileBuilds
    from pdwatch.adapters.docker.image_plan import ImagePlan, SplitImage
    from pdwatch.adapters.docker.known import KnownDocker
    from pdwatch.core.image_config import ImageConfig
    from pdwatch.core.model import ImageRef
    from pdwatch.core.tar_header import TarDialect
    from pdwatch.errors import DockerError

_SMALL_BYTES = 1 << 20
"""A layer up to this size is kept in memory, and may travel with others."""
_NEEDS_ALL_LAYERS = RefusedError("it takes no image whose layers it has already")


class LayerBuilds:
    """Makes images of one layer each, on parent images that are built once.

    Args:
        api: The daemon.
        known: What is known of it.
        dockerfiles: Builds the parent images.
        report: Called with each step as it starts.
    """

    def __init__(
        self,
        api: DockerApi,
        known: KnownDocker,
        dockerfiles: DockerfileBuilds,
        *,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._report = report
        self._known = known
        self._dockerfiles = dockerfiles
        self._parents: SharedBuilds[Mapping[str, Any] | None] = SharedBuilds()
        self._loads = JointLoads(api)
        self._dialects: dict[str, TarDialect] = {}

    async def run(self) -> None:
        """Let the build of a parent image outlive those who wait for it, until cancelled."""
        await self._parents.run()

    async def build(self, plan: ImagePlan) -> str:
        """Make the image under its name; return its ID.

        Raises:
            BuilderMissingError: Docker can't do it this way.
            RefusedError: It can, and has not done it this time.
            DockerError: Or another of its subclasses, by cause.
            SourceError: A file can't be read, or has changed.
        """
        image = await asyncio.to_thread(plan.split)
        try:
            return await self._add_layer(image, await self._parent(image))
        except RefusedError as refused:
            error = self._failure(refused, plan.ref)
            self._known.forget_images()
            if isinstance(error, DiskFullError) or await self._found(image):
                raise error from refused
        # Somebody has removed the parent image since it was last looked at, and Docker its layers.
        try:
            return await self._add_layer(image, await self._parent(image))
        except RefusedError as refused:
            raise self._failure(refused, plan.ref) from refused

    def _failure(self, refused: RefusedError, ref: ImageRef) -> DockerError:
        """Return the error for an image that was not loaded."""
        if full := load_error(refused, ref):
            return full
        if self._known.loads_layers:
            return RefusedError(f"Docker did not load {ref}: {refused.message}", status=refused.status)
        return missing("layer", self._api, refused)

    async def _parent(self, image: SplitImage) -> Mapping[str, Any]:
        """Return what Docker says of the parent image, built first when it is not there."""
        if found := await self._found(image):
            return found
        # A build that is shared must wait for no lock of one turn: builds of others wait for it.
        async with image.plan.slow_step:
            built = await self._parents.result(image.parent, partial(self._build_parent, image))
        if built is None:
            raise self._failure(_NEEDS_ALL_LAYERS, image.plan.ref)
        return built

    async def _build_parent(self, image: SplitImage) -> Mapping[str, Any] | None:
        if found := await self._found(image):  # another build of it has ended meanwhile
            return found
        if not await self._dockerfiles.build_normal(image.parent_recipe(), image.plan.base):
            return None
        built = await self._found(image)
        self._known.loads_layers = self._known.loads_layers or built is not None
        return built

    async def _found(self, image: SplitImage) -> Mapping[str, Any] | None:
        found = await self._known.inspect(image.parent_ref)
        return found if is_parent(found, image.parent, base=image.plan.base) else None

    async def _add_layer(self, image: SplitImage, parent: Mapping[str, Any]) -> str:
        self._report(f"Adding the sources to {image.parent_ref}")
        dialect = await self._dialect(image, parent)
        small = archive_size(image.sources, dialect) <= _SMALL_BYTES
        made = await (self._load_small if small else self._load_big)(image, parent, dialect)
        if not self._known.loads_layers:
            await self._prove(made)
        return made.id

    async def _load_small(
        self, image: SplitImage, parent: Mapping[str, Any], dialect: TarDialect
    ) -> ImageConfig:
        made = await asyncio.to_thread(_in_memory, image, parent, dialect)
        self._known.own(made.config.id)
        await self._loads.load(made, turn=image.plan.request.turn)
        return made.config

    async def _load_big(
        self, image: SplitImage, parent: Mapping[str, Any], dialect: TarDialect
    ) -> ImageConfig:
        registered: list[ImageConfig] = []

        def config(layer: str) -> ImageConfig:
            made = image.config(parent, layer)
            self._known.own(made.id)
            registered.append(made)
            return made

        archive = layer_archive(
            image.sources,
            image.plan.read,
            dialect=dialect,
            position=len(parent["RootFS"]["Layers"]),
            config=config,
            reference=image.plan.ref,
        )
        async with image.plan.slow_step:
            await load(self._api, archive)
        (made,) = registered
        return made

    async def _dialect(self, image: SplitImage, parent: Mapping[str, Any]) -> TarDialect:
        if parent["Id"] not in self._dialects:
            self._dialects[parent["Id"]] = await asyncio.to_thread(dialect_of, parent, image.below)
        return self._dialects[parent["Id"]]

    async def _prove(self, made: ImageConfig) -> None:
        """Look once whether Docker keeps an image under its own ID, with the layers that it should have."""
        found = await inspect(self._api, made.id)
        if found is None or tuple(found["RootFS"]["Layers"]) != made.layers:
            raise missing("layer", self._api, _NEEDS_ALL_LAYERS)
        self._known.loads_layers = True


def _in_memory(image: SplitImage, parent: Mapping[str, Any], dialect: TarDialect) -> LayerImage:
    """Read the layer; it is small, so that a thread which a newer save makes pointless soon ends."""
    layer = b"".join(tar_chunks(image.sources, image.plan.read, dialect=dialect))
    config = image.config(parent, f"sha256:{hashlib.sha256(layer).hexdigest()}")
    return LayerImage(layer=layer, config=config, reference=image.plan.ref)
