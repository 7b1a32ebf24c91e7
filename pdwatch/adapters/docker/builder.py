"""Builds images in the Docker daemon; docs/adr/0003-image.md says why this way."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.context import off_loop, tar_chunks
from pdwatch.adapters.dependencies import third_party_code
from pdwatch.adapters.docker.api import NOT_FOUND, RefusedError
from pdwatch.adapters.docker.base import inspect, require_base, tag
from pdwatch.adapters.docker.dependencies import DependencyImages
from pdwatch.adapters.docker.refusals import build_error, load_error, refuses_buildkit
from pdwatch.adapters.docker.run import BUILDKIT, CLASSIC, run_build
from pdwatch.adapters.docker.steps import BuildSteps
from pdwatch.adapters.files import read_verified
from pdwatch.core.build_context import ContextFile, build_context, split_trees, with_dockerfile
from pdwatch.core.dockerfile import dockerfile
from pdwatch.core.image import parse_reference
from pdwatch.core.image_config import archive_config_name, archive_manifest, normal_config
from pdwatch.core.model import BuiltImage
from pdwatch.core.names import IMAGE_BUILD_LABEL, IMAGE_DIGEST_LABEL, IMAGE_WORKFLOW_LABEL
from pdwatch.errors import DockerError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.build_context import ContextEntry
    from pdwatch.core.model import BuildRequest, ImageRef, SourceFile, SourceSnapshot

_CONTAINERD_STORE = ["driver-type", "io.containerd.snapshotter.v1"]
_SWEEP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """What an image is made of: the build context, and the images of third-party code."""

    request: BuildRequest
    context: tuple[ContextEntry, ...]
    dependencies: tuple[str, ...]

    def dockerfile(self, *, labels: Mapping[str, str] | None = None) -> str:
        """Return the Dockerfile's text, with ``labels`` on every step's image."""
        snapshot = self.request.snapshot
        assert snapshot.spec is not None, "only a valid snapshot is built"
        return dockerfile(
            snapshot.spec,
            base=self.request.base,
            digest=snapshot.digest,
            dependencies=self.dependencies,
            extra_labels=labels,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """One build as it is asked of Docker."""

    snapshot: SourceSnapshot
    tags: tuple[ImageRef, ...]
    context: tuple[ContextEntry, ...]
    options: tuple[tuple[str, str], ...] = ()


class DockerBuilder:
    """Implements :class:`pdwatch.ports.ImageBuilder`.

    Args:
        api: The daemon.
        engine: The engine's files; see :func:`pdwatch.adapters.engine.engine_files`.
        network: Docker's name of the network that third-party imports are fetched over; None is its default.
        report: Called with each step of a build as it starts.
    """

    def __init__(
        self,
        api: DockerApi,
        *,
        engine: Mapping[str, bytes],
        network: str | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._engine = engine
        self._images = DependencyImages(api, network=network, report=report)
        self._report = report
        self._builder = BUILDKIT
        self._containerd: bool | None = None

    async def find(self, ref: ImageRef, snapshot: SourceSnapshot) -> BuiltImage | None:
        """Return the image under ``ref`` when its label says that it was built from exactly this snapshot."""
        image = await inspect(self._api, ref)
        labels = (image or {}).get("Config", {}).get("Labels") or {}
        if image is None or labels.get(IMAGE_DIGEST_LABEL) != snapshot.digest:
            return None
        return BuiltImage(id=image["Id"], tags=(ref,), cached=True)

    async def build(self, request: BuildRequest) -> BuiltImage:
        """Build and tag; equal requests on equal base images give equal image IDs.

        Raises:
            InvalidWorkflowError: A file lies where pdwatch puts its own.
            BaseImageError: The base image is not there and can't be pulled.
            BuildFailedError: A step failed, or a third-party import does not exist.
            DependencyUnavailableError: Where a third-party import comes from can't be reached.
            DiskFullError: There is no space left.
            DockerError: Docker can't be reached, or answers with another error.
            SourceChangedError: A file is no longer what the snapshot says.
        """
        base = parse_reference(request.base)
        if base is None:
            raise SettingsError(f"{request.base!r} is no image reference")
        code = await asyncio.to_thread(third_party_code, request.snapshot)
        found = await require_base(self._api, base, report=self._report)
        context, trees = split_trees(
            build_context(request.snapshot, dockerfile="", engine=self._engine, deno_config=code.deno_config)
        )
        dependencies = []
        if code.missing:
            dependencies.append(await self._images.fetched(code, base=found))
        if trees:
            read = partial(read_verified, request.snapshot)
            dependencies.append(await self._images.brought(trees, read, base=found))
        recipe = _Recipe(request=request, context=context, dependencies=tuple(dependencies))
        if await self._stores_in_containerd():
            return await self._build_tagged(recipe)
        return await self._build_normal(recipe, found)

    async def _build_tagged(self, recipe: _Recipe) -> BuiltImage:
        """Let BuildKit itself fix the times: the containerd store comes only with a BuildKit that can."""
        options = (
            ("buildargs", json.dumps({"SOURCE_DATE_EPOCH": "0"})),
            *(("t", str(ref)) for ref in recipe.request.tags),
        )
        order = self._order(recipe, recipe.dockerfile(), options=options)
        return BuiltImage(id=await self._run(order), tags=recipe.request.tags)

    async def _build_normal(self, recipe: _Recipe, base: Mapping[str, Any]) -> BuiltImage:
        """Build an image without a name, and register its layers under a configuration in normal form.

        Whatever happens meanwhile, the nameless image does not stay; the label finds it even when the answer
        that names it never came.
        """
        request = recipe.request
        build = {IMAGE_BUILD_LABEL: uuid.uuid4().hex}
        try:
            labels = {**build, IMAGE_WORKFLOW_LABEL: request.snapshot.name}
            built = await self._run(self._order(recipe, recipe.dockerfile(labels=labels)))
            normal = await self._register(recipe, built, base)
            if normal is None:
                for ref in request.tags:
                    await tag(self._api, built, ref)
                return BuiltImage(id=built, tags=request.tags)
            await self._delete(built)
        except BaseException:
            await self._sweep(build)
            raise
        return BuiltImage(id=normal, tags=request.tags)

    def _order(self, recipe: _Recipe, text: str, *, options: tuple[tuple[str, str], ...] = ()) -> _Order:
        request = recipe.request
        context = with_dockerfile(recipe.context, text)
        return _Order(snapshot=request.snapshot, tags=request.tags, context=context, options=options)

    async def _run(self, order: _Order) -> str:
        """Build; return the image's ID."""
        steps = BuildSteps(self._report)

        def read(file: SourceFile) -> Iterator[bytes]:
            return read_verified(order.snapshot, file)

        builder = self._builder
        body = off_loop(tar_chunks(order.context, read))
        try:
            await run_build(self._api, builder=builder, options=order.options, body=body, steps=steps)
        except RefusedError as refused:
            if builder == BUILDKIT and refuses_buildkit(refused):
                self._builder = CLASSIC
                return await self._run(order)
            raise build_error(refused, order.tags[0], steps) from refused
        if steps.image_id is None:
            raise DockerError(
                f"Docker ended the build of {order.tags[0]} without an image and without an error",
                remedy="look at Docker's own log; was it restarted?",
            )
        return steps.image_id

    async def _register(self, recipe: _Recipe, built: str, base: Mapping[str, Any]) -> str | None:
        """Register the built image in its normal form, under its tags; return its ID.

        Returns:
            None when Docker does not load an image whose layers it has already.
        """
        request = recipe.request
        image = await inspect(self._api, built)
        config = image and normal_config(
            image, base=base, dockerfile=recipe.dockerfile(), without_labels={IMAGE_BUILD_LABEL}
        )
        if not config:
            raise DockerError(f"the base image {request.base} changed while {request.tags[0]} was built")
        names = [str(ref) for ref in request.tags]
        files = {
            archive_config_name(config): config.content,
            "manifest.json": archive_manifest(config, names),
        }
        archive = (ContextFile(path=path, content=content) for path, content in files.items())
        body = b"".join(tar_chunks(archive, read=lambda _: iter(())))
        try:
            async with aclosing(
                self._api.messages("images/load", query={"quiet": "1"}, body=body)
            ) as messages:
                async for _ in messages:
                    pass
        except RefusedError as refused:
            if error := load_error(refused, request.tags[0]):
                raise error from refused
            return None
        return config.id

    async def _stores_in_containerd(self) -> bool:
        if self._containerd is None:
            info = await self._api.request("GET", "info")
            self._containerd = _CONTAINERD_STORE in (info.get("DriverStatus") or [])
        return self._containerd

    async def _delete(self, image_id: str) -> None:
        """Delete an image, with the nameless ones that it was built on; one that is gone is no error."""
        try:
            await self._api.request("DELETE", f"images/{image_id}")
        except RefusedError as refused:
            if refused.status != NOT_FOUND:
                raise

    async def _sweep(self, build: Mapping[str, str]) -> None:
        """Delete the nameless images of one build, as far as Docker still answers."""
        filters = {"dangling": ["true"], "label": [f"{key}={value}" for key, value in build.items()]}
        with suppress(DockerError, TimeoutError):  # the build's own failure is on its way and says more
            async with asyncio.timeout(_SWEEP_TIMEOUT_S):
                left = await self._api.request("GET", "images/json", query={"filters": json.dumps(filters)})
                for image in left:
                    await self._delete(image["Id"])
