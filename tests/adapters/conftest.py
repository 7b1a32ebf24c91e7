"""Fixtures that several modules share: a real Docker, a workflow directory, a machine without kubeconfig."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import aiodocker
import pytest
import pytest_asyncio

from pdwatch.adapters.docker.api import connect
from pdwatch.adapters.docker.endpoint import Endpoint
from pdwatch.adapters.kubernetes import credentials
from tests.adapters.docker_workflow import Workflow, delete_images
from tests.adapters.workflow_files import WORKFLOW, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

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


@pytest.fixture
def nothing_around_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this machine's kubeconfig nor its proxies nor its service account."""
    names = ("KUBECONFIG", "CREDENTIALS_DIRECTORY", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")
    for name in (*names, "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", tmp_path / "no-service-account")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path.resolve() / "greeter"
    write(directory, "workflow.yaml", WORKFLOW)
    write(directory, "nodes/greet.ts", "export default () => 1;")
    return directory


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Take root's power to read everything away, if the tests have it."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Yield a directory that every user can enter, which pytest's are not."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory).resolve()
        root.chmod(0o755)
        write(root, "workflow.yaml", WORKFLOW)
        write(root, "nodes/greet.ts")
        write(root, "lib/closed/a.ts")
        yield root
