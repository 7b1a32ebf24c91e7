"""A real Docker, and a workflow to build in it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import aiodocker
import pytest_asyncio

from pdwatch.adapters.docker.api import connect
from pdwatch.adapters.docker.endpoint import Endpoint
from tests.adapters.docker_workflow import Workflow, delete_images

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pdwatch.adapters.docker.api import DockerApi
    from tests.testbed.client import Testbed


@pytest_asyncio.fixture
async def api(testbed: Testbed) -> AsyncIterator[DockerApi]:
    async with connect(Endpoint(url=testbed.docker_host, origin="the testbed")) as api:
        yield api


@pytest_asyncio.fixture
async def docker(testbed: Testbed) -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker(url=testbed.docker_host) as docker:
        yield docker


@pytest_asyncio.fixture
async def workflow(docker: aiodocker.Docker, tmp_path: Path) -> AsyncIterator[Workflow]:
    workflow = Workflow.create(tmp_path / "flow", f"flow-{secrets.token_hex(4)}")
    yield workflow
    await delete_images(docker, workflow.name)
