"""Builds images in the Docker daemon, in the quickest way that it has."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from pdwatch.adapters.dependencies import third_party_code
from pdwatch.adapters.docker.api import RefusedError
from pdwatch.adapters.docker.base import inspect, require_base
from pdwatch.adapters.docker.dependencies import DependencyImages
from pdwatch.adapters.docker.dockerfile_builds import DockerfileBuilds
from pdwatch.adapters.docker.image_plan import ImagePlan
from pdwatch.adapters.docker.joint_loads import TOGETHER
from pdwatch.adapters.docker.layer_builds import LayerBuilds
from pdwatch.adapters.files import read_verified
from pdwatch.core.build_context import build_context, split_trees
from pdwatch.core.image import parse_reference
from pdwatch.core.model import BuiltImage
from pdwatch.core.names import IMAGE_DIGEST_LABEL
from pdwatch.errors import BuilderMissingError, BuildFailedError, DockerError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdwatch.adapters.dependencies import ThirdPartyCode
    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.adapters.docker.known import KnownDocker
    from pdwatch.core.build_context import ContextEntry
    from pdwatch.core.builders import BuilderName
    from pdwatch.core.model import BuildRequest, ImageRef, SourceSnapshot, Turn


class DockerBuilder:
    """Implements :class:`pdwatch.ports.ImageBuilder`.

    Args:
        api: The daemon.
        known: What is known of it.
        engine: The engine's files; see :func:`pdwatch.adapters.engine.engine_files`.
        builder: How images are made.
        network: Docker's name of the network that third-party imports are fetched over; None is its default.
        report: Called with each step of a build as it starts.
    """

    def __init__(
        self,
        api: DockerApi,
        known: KnownDocker,
        *,
        engine: Mapping[str, bytes],
        builder: BuilderName = "auto",
        network: str | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._known = known
        self._engine = engine
        self._builder = builder
        self._images = DependencyImages(api, known, network=network, report=report)
        self._dockerfiles = DockerfileBuilds(api, known, builder=builder, report=report)
        self._layers = LayerBuilds(api, known, self._dockerfiles, report=report)
        self._report = report
        self._slow_steps: WeakValueDictionary[Turn, asyncio.Lock] = WeakValueDictionary()
        """By turn, as long as any of its builds goes on."""

    @property
    def builds_per_turn(self) -> int:
        """How many builds may share a turn: once Docker has taken a layer, what goes in one archive."""
        return TOGETHER if self._adds_layers and self._known.loads_layers else 1

    @property
    def _adds_layers(self) -> bool:
        return self._builder == "layer" or (self._builder == "auto" and "layer" not in self._known.refused)

    async def run(self) -> None:
        """Let what several saves wait for outlive each of them, until cancelled; may be left out."""
        await self._layers.run()

    async def find(self, ref: ImageRef, snapshot: SourceSnapshot) -> BuiltImage | None:
        """Return the image under ``ref`` when its label says that it was built from exactly this snapshot."""
        image = await inspect(self._api, ref)
        labels = (image or {}).get("Config", {}).get("Labels") or {}
        if image is None or labels.get(IMAGE_DIGEST_LABEL) != snapshot.digest:
            return None
        return BuiltImage(id=image["Id"], tags=(ref,), cached=True)

    async def build(self, request: BuildRequest) -> BuiltImage:
        """Build under the first tag; equal requests on equal base images give equal image IDs.

        Raises:
            InvalidWorkflowError: A file lies where pdwatch puts its own.
            BaseImageError: The base image is not there and can't be pulled.
            BuilderMissingError: Docker does not have the builder that was asked for by name.
            BuildFailedError: A step failed, or a third-party import does not exist.
            DependencyUnavailableError: Where a third-party import comes from can't be reached.
            DiskFullError: There is no space left.
            DockerError: Docker can't be reached, or answers with another error.
            SourceChangedError: A file is no longer what the snapshot says.
        """
        plan = await self._plan(request)
        try:
            return await self._build(plan)
        except BuildFailedError as failed:
            self._known.forget_images()
            for image in plan.dependencies:
                if await self._known.inspect(image) is None:
                    raise DockerError(f"{image} was removed while {plan.ref} was built") from failed
            raise

    async def _build(self, plan: ImagePlan) -> BuiltImage:
        tags = plan.request.tags
        if self._adds_layers:
            try:
                return BuiltImage(id=await self._layers.build(plan), tags=tags, builder="layer")
            except (BuilderMissingError, RefusedError) as error:
                if self._builder == "layer":
                    raise
                if isinstance(error, BuilderMissingError):
                    self._known.refused.add("layer")
        async with plan.slow_step:
            image_id = await self._dockerfiles.build(plan.recipe(), plan.base)
        return BuiltImage(id=image_id, tags=tags, builder=self._dockerfiles.builder)

    async def _plan(self, request: BuildRequest) -> ImagePlan:
        base = parse_reference(request.base)
        if base is None:
            raise SettingsError(f"{request.base!r} is no image reference")
        code, context, trees = await asyncio.to_thread(_contents, request.snapshot, self._engine)
        found = await require_base(self._api, base, known=self._known, report=self._report)
        dependencies, slow_step = [], self._lock(request.turn)
        if code.missing:
            dependencies.append(await self._images.fetched(code, base=found, slow_step=slow_step))
        if trees:
            read = partial(read_verified, request.snapshot)
            dependencies.append(await self._images.brought(trees, read, base=found, slow_step=slow_step))
        return ImagePlan(
            request=request,
            base=found,
            dependencies=tuple(dependencies),
            context=context,
            slow_step=slow_step,
        )

    def _lock(self, turn: Turn | None) -> asyncio.Lock:
        """Return what the builds of a turn have in common; builds without a turn have nothing."""
        lock = asyncio.Lock()
        return lock if turn is None else self._slow_steps.setdefault(turn, lock)


def _contents(
    snapshot: SourceSnapshot, engine: Mapping[str, bytes]
) -> tuple[ThirdPartyCode, tuple[ContextEntry, ...], tuple[ContextEntry, ...]]:
    """Return a workflow's third-party code, its build context, and the trees that it brings along."""
    code = third_party_code(snapshot)
    context = build_context(snapshot, dockerfile="", engine=engine, deno_config=code.deno_config)
    return code, *split_trees(context)
