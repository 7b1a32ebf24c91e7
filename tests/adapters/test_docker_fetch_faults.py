"""What goes wrong between pdwatch and a real Docker while third-party imports are fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.docker.api import connect
from pdwatch.errors import (
    DependencyUnavailableError,
    DiskFullError,
    DockerError,
    DockerUnavailableError,
    SettingsError,
)
from tests.adapters.docker_proxy import docker_proxy, refusal
from tests.adapters.test_docker_dependencies import build, dependency_images, fetchers, workflow

if TYPE_CHECKING:
    from pathlib import Path

    import aiodocker
    from aiohttp import web

    from pdwatch.adapters.docker.api import DockerApi
    from tests.adapters.docker_proxy import Fault
    from tests.adapters.docker_workflow import Workflow
    from tests.testbed.client import Testbed

__all__ = ["workflow"]


@pytest.mark.parametrize(
    ("path", "fault", "error", "message"),
    [
        pytest.param(
            "/images/load",
            refusal("write /layer.tar: no space left on device", status=500),
            DiskFullError,
            "Docker's disk is full",
            id="no space for the image",
        ),
        pytest.param(
            "/images/load",
            refusal("not now", status=500),
            DockerError,
            "not now",
            id="the image is refused",
        ),
        pytest.param("/logs", b"", DockerUnavailableError, "Docker", id="the connection breaks"),
        pytest.param(
            "/start", refusal("no runc here", status=400), DockerError, "no runc here", id="it does not start"
        ),
    ],
)
async def test_a_fetch_that_fails_leaves_neither_container_nor_image(
    testbed: Testbed,
    docker: aiodocker.Docker,
    workflow: Workflow,
    tmp_path: Path,
    path: str,
    fault: Fault,
    error: type[DockerError],
    message: str,
) -> None:
    def inject(request: web.Request) -> Fault | None:
        return fault if request.path.endswith(path) else None

    before = await dependency_images(docker)
    async with (
        docker_proxy(testbed.docker_host, tmp_path, inject) as proxy,
        connect(proxy.endpoint) as cut,
    ):
        with pytest.raises(error, match=message):
            await build(cut, workflow)
    assert await fetchers(docker) == []
    assert await dependency_images(docker) == before


async def test_a_proxy_of_the_environment_is_asked(
    api: DockerApi, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:t0ken@127.0.0.1:9")
    with pytest.raises(DependencyUnavailableError, match="error sending request") as failed:
        await build(api, workflow)
    assert "t0ken" not in failed.value.message


async def test_a_file_of_certificates_that_can_not_be_read_is_named_with_its_variable(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DENO_CERT", "/nowhere/ca.pem")
    with pytest.raises(SettingsError, match=r"/nowhere/ca\.pem, which DENO_CERT names, can't be read"):
        await build(api, workflow)
    assert await fetchers(docker) == []
