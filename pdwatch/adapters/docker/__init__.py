"""Docker: builds images and gets them to where the nodes find them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pdwatch.adapters.docker.api import connect
from pdwatch.adapters.docker.builder import DockerBuilder
from pdwatch.adapters.docker.publisher import LocalPublisher, NamedPublisher, RegistryPublisher
from pdwatch.adapters.engine import engine_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pdwatch.ports import ImageBuilder, ImagePublisher


@asynccontextmanager
async def docker_ports(
    *, push: bool | None = None, network: str | None = None, report: Callable[[str], None] = lambda _: None
) -> AsyncIterator[tuple[ImageBuilder, ImagePublisher]]:
    """Open a connection to Docker, and yield what builds and what publishes images over it.

    Args:
        push: Whether images are pushed; None pushes those that are named for a registry.
        network: Docker's name of the network that third-party imports are fetched over; None is its default.
        report: Called with each step of the work, for people to watch.

    Raises:
        SettingsError: Docker's address is unusable.
    """
    async with connect() as api:
        builder = DockerBuilder(api, engine=engine_files(), network=network, report=report)
        publisher: ImagePublisher
        match push:
            case True:
                publisher = RegistryPublisher(api, report=report)
            case False:
                publisher = LocalPublisher(api)
            case None:
                publisher = NamedPublisher(api)
        yield builder, publisher
