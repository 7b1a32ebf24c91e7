"""Builds images from their Dockerfile; docs/adr/0003-image.md says why this way."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.context import off_loop, tar_chunks
from pdwatch.adapters.docker.api import NOT_FOUND, RefusedError
from pdwatch.adapters.docker.base import inspect, tag
from pdwatch.adapters.docker.load import image_files, load
from pdwatch.adapters.docker.refusals import build_error, load_error, refuses_buildkit
from pdwatch.adapters.docker.run import VERSIONS, run_build
from pdwatch.adapters.docker.steps import BuildSteps
from pdwatch.core.build_context import with_dockerfile
from pdwatch.core.image_config import normal_config
from pdwatch.core.names import IMAGE_BUILD_LABEL, IMAGE_WORKFLOW_LABEL
from pdwatch.errors import BuilderMissingError, DockerError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.adapters.docker.known import KnownDocker
    from pdwatch.core.build_context import ContextEntry
    from pdwatch.core.builders import BuilderName
    from pdwatch.core.model import ImageRef, SourceFile

_SWEEP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an image is made of, and what it is called."""

    ref: ImageRef
    workflow: str
    """Whose it is; on what a build leaves in Docker until it ends."""
    context: tuple[ContextEntry, ...]
    read: Callable[[SourceFile], Iterator[bytes]]
    """Yields the content of a file of the user's."""
    dockerfile: Callable[[Mapping[str, str]], str]
    """Returns the Dockerfile's text, with these labels on every step's image."""
    own_labels: frozenset[str] = frozenset({IMAGE_WORKFLOW_LABEL})
    """Those of a build's labels that the image keeps."""
    cached: bool = True
    """Whether layers of earlier builds will do.

    BuildKit takes those of equal files with other times too, which somebody else may have built.
    """


class DockerfileBuilds:
    """Builds with BuildKit, or with the classic builder where there is none.

    Args:
        api: The daemon.
        known: What is known of it.
        builder: Which of Docker's builders to take; ``auto`` and ``layer`` leave it to this class.
        report: Called with each step of a build as it starts.
    """

    def __init__(
        self,
        api: DockerApi,
        known: KnownDocker,
        *,
        builder: BuilderName = "auto",
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._known = known
        self._builder = builder
        self._report = report

    async def build(self, recipe: Recipe, base: Mapping[str, Any]) -> str:
        """Build an image under its name; return its ID.

        Raises:
            DockerError: Or one of its subclasses, by cause.
            SourceError: A file can't be read, or has changed.
        """
        if await self._known.stores_in_containerd():
            return await self._build_tagged(recipe)
        image_id = await self._build_nameless(recipe, base, as_built=True)
        assert image_id is not None, "where no normal form can be, the image is taken as it was built"
        return image_id

    async def build_normal(self, recipe: Recipe, base: Mapping[str, Any]) -> bool:
        """Build an image under its name, in normal form; return whether Docker can do that.

        Where it can't, it leaves nothing in Docker.

        Raises:
            DockerError: Or one of its subclasses, by cause.
            SourceError: A file can't be read, or has changed.
        """
        if await self._known.stores_in_containerd():
            return False
        return await self._build_nameless(recipe, base, as_built=False) is not None

    async def _build_tagged(self, recipe: Recipe) -> str:
        """Let BuildKit itself fix the times: the containerd store comes only with a BuildKit that can."""
        options = (("buildargs", json.dumps({"SOURCE_DATE_EPOCH": "0"})), ("t", str(recipe.ref)))
        return await self._run(recipe, recipe.dockerfile({}), options=options)

    async def _build_nameless(self, recipe: Recipe, base: Mapping[str, Any], *, as_built: bool) -> str | None:
        """Build an image without a name, and register its layers under a configuration in normal form.

        Whatever happens meanwhile, the nameless image does not stay; the label finds it even when the answer
        that names it never came.

        Args:
            recipe: What to build.
            base: What Docker says of the base image.
            as_built: Whether to take the image as it was built where Docker can't register it.

        Returns:
            The image's ID; None when it could not be registered, and is not taken as it was built.
        """
        build = {IMAGE_BUILD_LABEL: uuid.uuid4().hex}
        labels = {**build, IMAGE_WORKFLOW_LABEL: recipe.workflow}
        try:
            options = () if recipe.cached else (("nocache", "1"),)
            built = await self._run(recipe, recipe.dockerfile(labels), options=options)
            registered = await self._register(
                recipe, built, base, without_labels=labels.keys() - recipe.own_labels
            )
            if registered is None and as_built:
                await tag(self._api, built, recipe.ref)
                return built
            await self._delete(built)
        except BaseException:
            await self._sweep(build)
            raise
        return registered

    async def _run(self, recipe: Recipe, text: str, *, options: tuple[tuple[str, str], ...] = ()) -> str:
        """Build; return the image's ID."""
        steps = BuildSteps(self._report)
        builder = self.builder
        context = tar_chunks(with_dockerfile(recipe.context, text), recipe.read)
        version = VERSIONS[builder]
        try:
            async with off_loop(context) as body:
                await run_build(self._api, version=version, options=options, body=body, steps=steps)
        except RefusedError as refused:
            if builder != "buildkit" or not refuses_buildkit(refused):
                raise build_error(refused, recipe.ref, steps) from refused
            if self._builder == "buildkit":
                raise missing(self._builder, self._api, refused) from refused
            self._known.refused.add("buildkit")
            return await self._run(recipe, text, options=options)
        if steps.image_id is None:
            raise DockerError(
                f"Docker ended the build of {recipe.ref} without an image and without an error",
                remedy="look at Docker's own log; was it restarted?",
            )
        return steps.image_id

    @property
    def builder(self) -> BuilderName:
        """Which of Docker's builders is taken, as far as Docker is known."""
        if self._builder == "classic" or (self._builder != "buildkit" and "buildkit" in self._known.refused):
            return "classic"
        return "buildkit"

    async def _register(
        self,
        recipe: Recipe,
        built: str,
        base: Mapping[str, Any],
        *,
        without_labels: Collection[str],
    ) -> str | None:
        """Register the built image in its normal form, under its name; return its ID.

        Returns:
            None when Docker does not load an image whose layers it has already.
        """
        image = await inspect(self._api, built)
        config = image and normal_config(
            image, base=base, dockerfile=recipe.dockerfile({}), without_labels=without_labels
        )
        if not config:
            self._known.forget_images()
            raise DockerError(f"the base image changed while {recipe.ref} was built")
        self._known.own(config.id)
        try:
            await load(self._api, tar_chunks(image_files(config, recipe.ref), recipe.read))
        except RefusedError as refused:
            if error := load_error(refused, recipe.ref):
                raise error from refused
            return None
        return config.id

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


def missing(builder: BuilderName, api: DockerApi, refused: RefusedError) -> BuilderMissingError:
    """Return the error for a builder that was asked for by name, and that Docker does not have."""
    return BuilderMissingError(
        f"Docker at {api.endpoint} can't build with {builder}: {refused.message}",
        remedy="set `builder` to auto, which takes what Docker can do",
    )
