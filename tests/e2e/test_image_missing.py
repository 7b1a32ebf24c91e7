"""An image that goes while it is needed, on a real node: it is brought back, and the kubelet finds it."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiodocker
import aiohttp
import pytest

from tests.adapters.docker_workflow import delete_images
from tests.cli.command import pdwatch
from tests.e2e.daemon import running_daemon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.testbed import Testbed

WORKFLOW = """\
name: {name}
version: "1.0"
triggers: [{{type: manual}}]
nodes: {{greet: {{path: ./nodes/greet.ts}}}}
edges: []
"""


@pytest.fixture
async def docker(testbed: Testbed) -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker(url=testbed.docker_host) as docker:
        yield docker


@pytest.fixture
async def hello(
    tmp_path: Path, testbed: Testbed, namespace: str, docker: aiodocker.Docker
) -> AsyncIterator[Path]:
    """A workflow directory whose name no other test has, so that its image is its own."""
    root = tmp_path / "workflows" / f"hello-{secrets.token_hex(4)}"
    (root / "nodes").mkdir(parents=True)
    (root / "nodes/greet.ts").write_text("export default () => Promise.resolve('here');\n")
    (root / "workflow.yaml").write_text(WORKFLOW.format(name=root.name))
    yield root
    await pdwatch("undeploy", root.name, "-n", namespace, environ=testbed.variables)
    await delete_images(docker, root.name)


async def lose(testbed: Testbed, docker: aiodocker.Docker, namespace: str, image: str) -> None:
    """Take every name away from an image in Docker, and have its pod come again, as when a node restarts."""
    found = await docker.images.inspect(image)
    for name in [*found["RepoDigests"], *found["RepoTags"]]:
        with suppress(aiodocker.DockerError):  # the last tag takes the digests along
            await docker.images.delete(name, force=True)
    await testbed.kubectl("delete", "pods", "--all", "-n", namespace, "--wait=false")


async def waits_for_its_image(testbed: Testbed, namespace: str) -> bool:
    pods: list[Any] = json.loads(await testbed.kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
    return any(
        "Image" in container["state"].get("waiting", {}).get("reason", "")
        for pod in pods
        for container in pod["status"].get("containerStatuses", ())
    )


async def test_an_image_that_is_removed_from_docker_comes_back_and_its_pod_runs(
    testbed: Testbed, namespace: str, docker: aiodocker.Docker, hello: Path
):
    arguments = (hello.parent, f"--namespace={namespace}")
    async with running_daemon(*arguments, environment=testbed.variables) as daemon:
        image = (await daemon.until("rollout.complete", workflow=hello.name))["image"]
        mark = daemon.mark
        await lose(testbed, docker, namespace, image)
        missing = await daemon.until("image.missing", since=mark)
        assert missing["image"] == image
        applied = await daemon.until("deploy.applied", since=mark)
        assert (applied["cause"], applied["image"]) == ("image-missing", image)
        await daemon.until("rollout.complete", since=daemon.lines.index(applied))
        assert "workflow.held" not in daemon.events()
        await daemon.stop()

    await lose(testbed, docker, namespace, image)
    while not await waits_for_its_image(testbed, namespace):
        pass
    async with running_daemon(*arguments, environment=testbed.variables) as daemon:
        applied = await daemon.until("deploy.applied", workflow=hello.name)
        assert (applied["cause"], applied["image"]) == ("image-missing", image)
        await daemon.until("rollout.complete", since=daemon.lines.index(applied))
    answer = json.loads(await testbed.pod_http(namespace, hello.name, "/run"))
    assert answer["outputs"] == {"greet": "here"}


async def test_an_image_that_its_registry_has_lost_is_pushed_again_under_its_digest(
    testbed: Testbed, namespace: str, docker: aiodocker.Docker, hello: Path
):
    registry = f"{testbed.registry}/{namespace}"
    async with running_daemon(
        hello.parent, f"--namespace={namespace}", f"--registry={registry}", environment=testbed.variables
    ) as daemon:
        image: str = (await daemon.until("rollout.complete", workflow=hello.name))["image"]
        digest, mark = image.partition("@")[2], daemon.mark
        manifest = f"http://{testbed.registry}/v2/{namespace}/{hello.name}/manifests/{digest}"
        async with aiohttp.ClientSession() as session:
            async with session.delete(manifest) as answer:
                assert answer.status == 202
            await lose(testbed, docker, namespace, image)
            missing = await daemon.until("image.missing", since=mark)
            assert "registry" in missing["message"]
            applied = await daemon.until("deploy.applied", since=mark, cause="image-missing")
            assert applied["image"] == image
            await daemon.until("rollout.complete", since=daemon.lines.index(applied))
            async with session.head(manifest) as answer:
                assert answer.status == 200
