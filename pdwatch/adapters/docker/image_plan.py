"""What a workflow's image is made of, as a whole and in the two parts that the layer builder makes it of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.docker.dockerfile_builds import Recipe
from pdwatch.adapters.files import read_verified
from pdwatch.core.dockerfile import dockerfile, entrypoint, labels, parent_dockerfile
from pdwatch.core.image_config import normal_config, with_layer
from pdwatch.core.names import IMAGE_PARENT_LABEL
from pdwatch.core.parent_image import parent_digest, parent_reference, split_sources

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Mapping

    from pdwatch.core.build_context import ContextEntry
    from pdwatch.core.image_config import ImageConfig
    from pdwatch.core.model import BuildRequest, ImageRef, SourceFile, WorkflowSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlan:
    """One image: what was asked for, and what it takes."""

    request: BuildRequest
    base: Mapping[str, Any]
    """What Docker says of the base image."""
    dependencies: tuple[str, ...]
    """The images of third-party code."""
    context: tuple[ContextEntry, ...]
    slow_step: asyncio.Lock
    """For what takes Docker long: one build of a turn does it at a time."""

    @property
    def spec(self) -> WorkflowSpec:
        """The workflow."""
        assert self.request.snapshot.spec is not None, "only a valid snapshot is built"
        return self.request.snapshot.spec

    @property
    def ref(self) -> ImageRef:
        """What the build calls the image."""
        return self.request.tags[0]

    def read(self, file: SourceFile) -> Iterator[bytes]:
        """Yield the content of a file of the user's; see :func:`pdwatch.adapters.files.read_verified`."""
        return read_verified(self.request.snapshot, file)

    def dockerfile(self, extra_labels: Mapping[str, str]) -> str:
        """Return the Dockerfile's text, with these labels on every step's image."""
        return dockerfile(
            self.spec,
            base=self.request.base,
            digest=self.request.snapshot.digest,
            dependencies=self.dependencies,
            extra_labels=extra_labels,
        )

    def recipe(self) -> Recipe:
        """Return how to build the image from its Dockerfile."""
        return Recipe(
            ref=self.ref,
            workflow=self.request.snapshot.name,
            context=self.context,
            read=self.read,
            dockerfile=self.dockerfile,
        )

    def split(self) -> SplitImage:
        """Return the image in two parts; it takes milliseconds, since the engine's files are hashed."""
        below, sources = split_sources(self.context)
        text = parent_dockerfile(base=self.request.base, dependencies=self.dependencies)
        digest = parent_digest(below, base=self.base, dockerfile=text)
        return SplitImage(plan=self, below=below, sources=sources, parent=digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitImage:
    """The two parts of an image: what its parent image has, and what the layer on top has."""

    plan: ImagePlan
    below: tuple[ContextEntry, ...]
    """The build context of the parent image."""
    sources: tuple[ContextEntry, ...]
    parent: str
    """The parent image's digest; see :func:`pdwatch.core.parent_image.parent_digest`."""

    @property
    def parent_ref(self) -> ImageRef:
        """What the parent image is called."""
        return parent_reference(self.parent)

    def parent_recipe(self) -> Recipe:
        """Return how to build the parent image."""
        plan = self.plan
        return Recipe(
            ref=self.parent_ref,
            workflow=plan.request.snapshot.name,
            context=self.below,
            read=plan.read,
            dockerfile=partial(
                _parent_dockerfile, plan.request.base, plan.dependencies, {IMAGE_PARENT_LABEL: self.parent}
            ),
            own_labels=frozenset(),
            cached=False,
        )

    def config(self, parent: Mapping[str, Any], layer: str) -> ImageConfig:
        """Return the configuration that the Dockerfile gives the image.

        Args:
            parent: What Docker says of the parent image.
            layer: The diff ID of the layer on top.
        """
        plan = self.plan
        request, spec = plan.request, plan.spec
        own = labels(spec, base=request.base, digest=request.snapshot.digest)
        image = with_layer(parent, layer=layer, entrypoint=entrypoint(spec), labels=own)
        config = normal_config(
            image, base=plan.base, dockerfile=plan.dockerfile({}), without_labels={IMAGE_PARENT_LABEL}
        )
        assert config is not None, "a parent image in normal form has the base image's layers below"
        return config


def _parent_dockerfile(
    base: str, dependencies: tuple[str, ...], labels: Mapping[str, str], extra_labels: Mapping[str, str]
) -> str:
    return parent_dockerfile(base=base, dependencies=dependencies, labels=labels, extra_labels=extra_labels)
