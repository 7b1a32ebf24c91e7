"""Runs one build in Docker, and does not leave before Docker has."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from pdwatch.core.dockerfile import DOCKERFILE
from pdwatch.errors import DockerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from pdwatch.adapters.docker.api import DockerApi, Query
    from pdwatch.adapters.docker.steps import BuildSteps
    from pdwatch.core.builders import BuilderName

VERSIONS: Mapping[BuilderName, str] = {"classic": "1", "buildkit": "2"}
"""The Engine API's names for Docker's builders."""
CANCEL_TIMEOUT_S = 30.0


async def run_build(
    api: DockerApi,
    *,
    version: str,
    options: Sequence[tuple[str, str]],
    body: AsyncIterator[bytes],
    steps: BuildSteps,
) -> None:
    """Send a build context, and take the messages in until the build has ended.

    When it is cancelled, so is the build, and it returns only when Docker has ended it: what Docker still
    makes after the connection is closed, nobody would remove. BuildKit is told to stop; the classic builder
    can't be, and is waited for.

    Args:
        api: The daemon.
        version: Which builder; one of :data:`VERSIONS`.
        options: More parameters of ``POST /build``.
        body: The context, a tar stream.
        steps: Takes the messages in.

    Raises:
        RefusedError: The build failed, or was not begun.
        DockerUnavailableError: The connection broke.
        SourceError: A file can't be read, or has changed.
    """
    build_id = uuid.uuid4().hex
    query = [
        *(("version", version), ("buildid", build_id), ("dockerfile", DOCKERFILE)),
        *(("rm", "1"), ("forcerm", "1")),
        *options,
    ]
    build = asyncio.create_task(_follow(api, query, body, steps), name=f"build {build_id}")
    try:
        await asyncio.shield(build)
    except asyncio.CancelledError:
        await _end(api, build_id, build)
        raise


async def _follow(api: DockerApi, query: Query, body: AsyncIterator[bytes], steps: BuildSteps) -> None:
    async with aclosing(api.messages("build", query=query, body=body)) as messages:
        async for message in messages:
            steps.take(message)


async def _end(api: DockerApi, build_id: str, build: asyncio.Task[None]) -> None:
    try:
        with suppress(DockerError, TimeoutError):  # a Docker that is gone has no build under way
            async with asyncio.timeout(CANCEL_TIMEOUT_S):
                await api.request("POST", "build/cancel", query={"id": build_id})
                await asyncio.wait([build])
    finally:
        build.cancel()
        await asyncio.gather(build, return_exceptions=True)
