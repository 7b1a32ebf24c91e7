"""Docker: builds images and gets them to where the nodes find them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.docker.api import connect
from pdwatch.adapters.docker.builder import DockerBuilder
from pdwatch.adapters.docker.known import KnownDocker
from pdwatch.adapters.docker.prune import DockerImageStore
from pdwatch.adapters.docker.publisher import LocalPublisher, NamedPublisher, RegistryPublisher
from pdwatch.adapters.engine import engine_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from pdwatch.core.builders import BuilderName
    from pdwatch.ports import ImageBuilder, ImagePublisher, ImageStore


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerPorts:
    """The ports of one Docker daemon, which share their connections."""

    builder: ImageBuilder
    publisher: ImagePublisher
    image_store: ImageStore
    run: Callable[[], Coroutine[Any, Any, None]]
    """Until cancelled, listens to Docker's events, so that a build asks for fewer images, and lets what
    several saves wait for outlive each of them; may be left out.
    """


@asynccontextmanager
async def docker_ports(
    *,
    push: bool | None = None,
    builder: BuilderName = "auto",
    network: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[DockerPorts]:
    """Open a pool of connections to Docker, and yield what works over it.

    Args:
        push: Whether images are pushed; None pushes those that are named for a registry.
        builder: How images are made.
        network: Docker's name of the network that third-party imports are fetched over; None is its default.
        report: Called with each step of the work, for people to watch.

    Raises:
        SettingsError: Docker's address is unusable.
    """
    async with connect() as api:
        known = KnownDocker(api)
        publisher: ImagePublisher
        match push:
            case True:
                publisher = RegistryPublisher(api, report=report)
            case False:
                publisher = LocalPublisher(api)
            case None:
                publisher = NamedPublisher(api)
        images = DockerBuilder(
            api, known, engine=engine_files(), builder=builder, network=network, report=report
        )

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(known.follow(), name="follow Docker's events")
                group.create_task(images.run(), name="build what is shared")

        yield DockerPorts(builder=images, publisher=publisher, image_store=DockerImageStore(api), run=run)
