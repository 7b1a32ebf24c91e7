"""A workflow directory, and its images in a real Docker, seen through aiodocker."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.docker.builder import DockerBuilder
from pdwatch.adapters.docker.known import KnownDocker
from pdwatch.adapters.engine import engine_files, engine_recipe
from pdwatch.adapters.files import FileSource
from pdwatch.core.image import image_references
from pdwatch.core.model import BuildRequest
from pdwatch.core.parent_image import PARENT_REPOSITORY
from pdwatch.core.retention import copied_from

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import aiodocker

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.builders import BuilderName
    from pdwatch.core.model import BuiltImage, SourceSnapshot
    from pdwatch.core.retention import StoredImage
    from pdwatch.ports import ImageStore

WORKFLOW = """\
name: {name}
version: "1.0"
description: Says hello.
triggers: [{{type: manual}}]
nodes: {{greet: {{path: ./nodes/greet.ts}}}}
edges: []
config: {{include: [prompts, .env, .git/config, .secrets.yaml]}}
"""
NODE = "export default (): string => 'hello';\n"


@dataclass(frozen=True, slots=True)
class Workflow:
    """Written to ``root``; ``name`` is that of its images."""

    root: Path
    name: str

    @classmethod
    def create(cls, root: Path, name: str) -> Workflow:
        workflow = cls(root, name)
        workflow.save("workflow.yaml", WORKFLOW.format(name=name))
        workflow.save("nodes/greet.ts", NODE)
        return workflow

    def save(self, path: str, content: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    async def scan(self) -> SourceSnapshot:
        snapshot = await FileSource(recipe=engine_recipe()).scan(self.root)
        assert snapshot.spec, snapshot.problems
        return snapshot

    async def request(self, **options: Any) -> BuildRequest:
        snapshot = await self.scan()
        assert snapshot.spec
        return BuildRequest(
            snapshot=snapshot, tags=image_references(snapshot.spec, snapshot.digest), **options
        )

    async def build(self, api: DockerApi, *, way: BuilderName = "auto") -> BuiltImage:
        return await builder(api, way=way).build(await self.request())


def builder(
    api: DockerApi,
    report: Callable[[str], None] = lambda _: None,
    *,
    way: BuilderName = "auto",
    known: KnownDocker | None = None,
) -> DockerBuilder:
    return DockerBuilder(api, known or KnownDocker(api), engine=engine_files(), builder=way, report=report)


async def files(docker: aiodocker.Docker, image: str, path: str = "/app") -> dict[str, tarfile.TarInfo]:
    """The entries below a path of an image, by path without it."""
    return {member.name: member for member, _ in await _archive(docker, image, path)}


async def contents(docker: aiodocker.Docker, image: str, path: str = "/app") -> dict[str, bytes]:
    """The regular files below a path of an image."""
    return {member.name: content for member, content in await _archive(docker, image, path) if member.isreg()}


async def _archive(docker: aiodocker.Docker, image: str, path: str) -> list[tuple[tarfile.TarInfo, bytes]]:
    container = await docker.containers.create({"Image": image, "HostConfig": {"NetworkMode": "none"}})
    try:
        async with docker._query(f"containers/{container.id}/archive", params={"path": path}) as response:
            stream = io.BytesIO(await response.read())
    finally:
        await container.delete(force=True)
    with tarfile.open(fileobj=stream) as tar:
        return [
            (member, file.read() if (file := tar.extractfile(member)) else b"")
            for member in tar
            if member.name != path.strip("/").rpartition("/")[2]
        ]


async def nameless(docker: aiodocker.Docker, name: str) -> list[str]:
    """The nameless images that builds of a workflow have left."""
    filters = {"dangling": ["true"], "label": [f"dev.pdwatch.workflow={name}"]}
    return [image["Id"] for image in await docker.images.list(all=True, filters=filters)]


async def layers(docker: aiodocker.Docker, image: str) -> list[str]:
    inspected = await docker.images.inspect(image)
    result: list[str] = inspected["RootFS"]["Layers"]
    return result


async def parents(docker: aiodocker.Docker) -> set[str]:
    """The names of all parent images."""
    return {
        tag
        for image in await docker.images.list()
        for tag in image["RepoTags"] or ()
        if tag.startswith(f"{PARENT_REPOSITORY}:")
    }


async def ingredients(docker: aiodocker.Docker, image: str) -> set[str]:
    """The names of the parent image and the images of third-party code that an image is made of."""
    history: Any = await docker.images.history(image)
    steps = [(step["CreatedBy"], step["Size"]) for step in history]
    below = (await layers(docker, image))[:-1]
    return set(copied_from(steps)) | {
        name for name in await parents(docker) if await layers(docker, name) == below
    }


async def delete_images(docker: aiodocker.Docker, name: str) -> None:
    """Delete the images that have a workflow's name, and those that have lost it to another."""
    for image in await docker.images.list():
        for tag in image["RepoTags"] or []:
            if tag.rpartition(":")[0].rpartition("/")[2] == name:
                await docker.images.delete(tag, force=True)
    for image_id in await nameless(docker, name):
        await docker.images.delete(image_id, force=True)


async def prune_build_cache(docker: aiodocker.Docker) -> None:
    await docker.images.prune_builds(all_builds=True)


async def stored(store: ImageStore, workflow: str) -> tuple[StoredImage, ...]:
    """What the store says of a workflow's images."""
    return await store.images([image for image in await store.listed() if image.workflow == workflow])
