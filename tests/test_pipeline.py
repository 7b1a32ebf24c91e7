from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.core.model import BuiltImage, ImageRef, Problem, SourceSnapshot, WorkflowSpec
from pdwatch.errors import InvalidWorkflowError, SettingsError
from pdwatch.pipeline import image_for

if TYPE_CHECKING:
    from pdwatch.core.model import BuildRequest
    from pdwatch.pipeline import Image

SNAPSHOT = SourceSnapshot(
    name="hello",
    root=Path("/flows/hello"),
    files=(),
    digest="sha256:" + "ab" * 32,
    spec=WorkflowSpec(name="hello", version="1.0", triggers=(), nodes=()),
)
IMMUTABLE, MOVING = (ImageRef(repository="hello", tag=tag) for tag in ("1-0-" + "ab" * 6, "1-0"))


@dataclass(slots=True)
class Docker:
    """A builder and publisher that note what they are asked."""

    there: bool = False
    built: list[BuildRequest] = field(default_factory=list)
    published: list[BuiltImage] = field(default_factory=list)

    @property
    def builds_per_turn(self) -> int:
        return 1

    async def find(self, ref: ImageRef, snapshot: SourceSnapshot) -> BuiltImage | None:
        return BuiltImage(id="found", tags=(ref,), cached=True) if self.there else None

    async def build(self, request: BuildRequest) -> BuiltImage:
        self.built.append(request)
        return BuiltImage(id="built", tags=request.tags)

    async def publish(self, image: BuiltImage) -> ImageRef:
        self.published.append(image)
        return replace(image.tags[-1], digest="sha256:" + "cd" * 32)


async def deliver(docker: Docker, snapshot: SourceSnapshot = SNAPSHOT, **options: Any) -> Image:
    ticks = count(10, 5)
    return await image_for(
        snapshot,
        builder=docker,
        publisher=docker,
        clock=lambda: next(ticks),
        **{"reuse": True, **options},
    )


async def test_a_new_snapshot_is_built_under_all_its_references_and_published() -> None:
    docker = Docker()
    image = await deliver(docker)
    assert docker.built[0].tags == docker.published[0].tags == (IMMUTABLE, MOVING)
    assert (image.id, image.cached) == ("built", False)
    assert str(image.ref) == "hello:1-0@sha256:" + "cd" * 32
    assert (image.build_s, image.publish_s) == (5, 5)


async def test_an_image_of_this_very_snapshot_is_published_again_instead_of_built() -> None:
    docker = Docker(there=True)
    image = await deliver(docker)
    assert docker.built == []
    assert docker.published == [BuiltImage(id="found", tags=(IMMUTABLE, MOVING), cached=True)]
    assert image.cached


async def test_without_reuse_it_is_built_all_the_same() -> None:
    docker = Docker(there=True)
    assert (await deliver(docker, reuse=False)).id == "built"


async def test_registry_and_tag_decide_what_it_is_called() -> None:
    image = await deliver(Docker(), registry="ghcr.io/me", tag="nightly")
    assert image.tags == (ImageRef(repository="ghcr.io/me/hello", tag="nightly"),)


async def test_nothing_is_built_for_what_is_wrong() -> None:
    docker = Docker()
    problem = Problem(path="workflow.yaml", line=3, column=1, message="is wrong")
    with pytest.raises(InvalidWorkflowError, match=r"workflow\.yaml:3:1: is wrong"):
        await deliver(docker, replace(SNAPSHOT, spec=None, problems=(problem,)))
    with pytest.raises(SettingsError):
        await deliver(docker, tag="a b")
    assert docker.built == []
