"""Raw requests to dockerd over one pool of connections: what the floor is measured with."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiodocker
import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
_DELETED_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerd:
    """One Docker daemon."""

    session: aiohttp.ClientSession
    host: str

    async def version(self) -> Any:
        """Return what it says of itself."""
        async with self.session.get(f"{self.host}/version") as response:
            return await response.json()

    async def load(self, archive: bytes) -> None:
        """Register the images of an archive as ``docker save`` writes it; raise what Docker complains of."""
        async with self.session.post(
            f"{self.host}/images/load?quiet=1", data=archive, headers={"Content-Type": "application/x-tar"}
        ) as response:
            answer = await response.text()
            if response.status >= 400 or '"error"' in answer:
                raise RuntimeError(f"Docker does not load the image: {answer}")

    async def save(self, reference: str, target: Path) -> None:
        """Write an image's archive to a file."""
        async with self.session.get(f"{self.host}/images/{reference}/get", timeout=_NO_TIMEOUT) as response:
            response.raise_for_status()
            with target.open("wb") as file:
                async for chunk in response.content.iter_chunked(2**20):
                    file.write(chunk)

    async def remove_images(self, prefix: str) -> int:
        """Delete every image with a repository that begins with ``prefix``; return how many there were."""
        async with self.session.get(f"{self.host}/images/json") as response:
            images = await response.json()
        found = [
            image["Id"] for image in images if any(tag.startswith(prefix) for tag in image["RepoTags"] or ())
        ]
        slots = asyncio.Semaphore(_DELETED_AT_ONCE)

        async def remove(image: str) -> None:
            async with slots, self.session.delete(f"{self.host}/images/{image}?force=1") as response:
                await response.read()

        async with asyncio.TaskGroup() as group:
            for image in found:
                group.create_task(remove(image), name=f"remove {image}")
        return len(found)

    async def sweep(self, label: str) -> None:
        """Delete the nameless images with a label, which builds that were cut short may have left."""
        filters = json.dumps({"label": [label], "dangling": ["true"]})
        async with self.session.post(f"{self.host}/images/prune", params={"filters": filters}) as response:
            await response.read()


@asynccontextmanager
async def connected(docker_host: str) -> AsyncIterator[Dockerd]:
    """Open a pool of connections to the daemon at ``unix://…`` or ``tcp://…``."""
    async with aiodocker.Docker(url=docker_host) as docker:
        yield Dockerd(session=docker.session, host=str(docker.docker_host))
