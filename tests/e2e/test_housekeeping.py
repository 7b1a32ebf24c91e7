"""Rolling back, removing and pruning around a real ``pdwatch run``."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiodocker
import pytest

from pdwatch.adapters.docker.api import connect as docker_api
from pdwatch.adapters.docker.endpoint import Endpoint
from pdwatch.adapters.docker.prune import DockerImageStore
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.adapters.kubernetes.deployments import ApiRevisionHistory
from pdwatch.core.names import IMAGE_WORKFLOW_LABEL
from pdwatch.core.retention import ON_ITS_WAY, surplus
from tests.adapters.docker_workflow import delete_images, nameless, stored
from tests.cli.command import pdwatch
from tests.e2e.daemon import running_daemon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.e2e.daemon import Daemon
    from tests.testbed import Testbed

WORKFLOW = """\
name: {name}
version: "1.0"
triggers: [{{type: manual}}]
nodes: {{greet: {{path: ./nodes/greet.ts}}}}
edges: []
"""
HELD = "pdwatch.dev/rolled-back-from"


def save(root: Path, text: str) -> None:
    (root / "nodes").mkdir(parents=True, exist_ok=True)
    (root / "nodes/greet.ts").write_text(f"export default () => Promise.resolve({json.dumps(text)});\n")
    (root / "workflow.yaml").write_text(WORKFLOW.format(name=root.name))


@pytest.fixture
async def hello(tmp_path: Path, testbed: Testbed, namespace: str) -> AsyncIterator[Path]:
    """A workflow directory whose name no other test has, so that its images are its own."""
    root = tmp_path / "workflows" / f"hello-{secrets.token_hex(4)}"
    save(root, "first")
    yield root
    await pdwatch(
        "undeploy", root.name, "-n", namespace, environ=testbed.variables
    )  # its pods use its images
    async with aiodocker.Docker(url=testbed.docker_host) as docker:
        await delete_images(docker, root.name)


async def answer(testbed: Testbed, namespace: str, name: str) -> Any:
    return json.loads(await testbed.pod_http(namespace, name, "/run"))["outputs"]["greet"]


async def saved_again(daemon: Daemon, root: Path, text: str) -> str:
    """Save, and return the source digest once it is rolled out."""
    mark = daemon.mark
    save(root, text)
    changed = await daemon.until("workflow.changed", since=mark, workflow=root.name)
    digest: str = changed["source_digest"]
    await daemon.until("rollout.complete", since=mark, workflow=root.name, source_digest=digest)
    return digest


async def test_a_rollback_is_held_through_a_restart_until_the_next_save(
    testbed: Testbed, namespace: str, hello: Path
):
    arguments = (hello.parent, f"--namespace={namespace}")
    async with running_daemon(*arguments, environment=testbed.variables) as daemon:
        first = (await daemon.until("rollout.complete", workflow=hello.name))["source_digest"]
        second = await saved_again(daemon, hello, "second")
        mark = daemon.mark
        ended = await pdwatch("rollback", hello.name, "-n", namespace, environ=testbed.variables)
        assert ended.status == 0, ended.err
        assert await answer(testbed, namespace, hello.name) == "first"
        held = await daemon.until("workflow.held", since=mark, workflow=hello.name, reason="rolled-back")
        assert held["source_digest"] == second
        assert first in held["message"]
        await daemon.stop()
    async with running_daemon(*arguments, environment=testbed.variables) as daemon:
        await daemon.until("workflow.held", workflow=hello.name, reason="rolled-back")
        await daemon.until("daemon.synced")
        assert await answer(testbed, namespace, hello.name) == "first"
        await saved_again(daemon, hello, "third")
        assert await answer(testbed, namespace, hello.name) == "third"
        assert "deploy.drifted" not in daemon.events()
    deployment = json.loads(
        await testbed.kubectl("get", "deployment", hello.name, "-n", namespace, "-o", "json")
    )
    assert HELD not in deployment["metadata"]["annotations"]


async def test_what_a_build_left_goes_after_a_rollout(testbed: Testbed, namespace: str, hello: Path):
    async with (
        aiodocker.Docker(url=testbed.docker_host) as docker,
        running_daemon(hello.parent, f"--namespace={namespace}", environment=testbed.variables) as daemon,
    ):
        await daemon.until("rollout.complete", workflow=hello.name)
        await make_nameless(docker, hello.name)
        assert len(await nameless(docker, hello.name)) == 1
        await saved_again(daemon, hello, "second")
        await daemon.until("images.pruned", workflow=hello.name)
        assert await nameless(docker, hello.name) == []


async def make_nameless(docker: aiodocker.Docker, workflow: str) -> None:
    """Make an image of the workflow that nothing names, as a build leaves one that is not ended."""
    (listed,) = await docker.images.list(filters={"label": [f"{IMAGE_WORKFLOW_LABEL}={workflow}"]})
    container = await docker.containers.create({"Image": listed["Id"], "HostConfig": {"NetworkMode": "none"}})
    try:
        await container.commit(changes=[f"LABEL {IMAGE_WORKFLOW_LABEL}={workflow}"])
    finally:
        await container.delete(force=True)


async def test_old_images_go_and_what_can_be_rolled_back_to_stays(
    testbed: Testbed, namespace: str, hello: Path, tmp_path: Path
):
    """Docker's clock is not ours, so that the test prunes by one that is ahead."""
    settings = tmp_path / "pdwatch.yaml"
    settings.write_text(f"roots: [{hello.parent}]\nkeep_images: 1\n")
    async with running_daemon(
        f"--config={settings}", f"--namespace={namespace}", environment=testbed.variables
    ) as daemon:
        await daemon.until("rollout.complete", workflow=hello.name)
        # The Deployment keeps three earlier revisions: the fifth save is the first to leave one behind.
        for text in ("second", "third", "fourth", "fifth", "sixth"):
            await saved_again(daemon, hello, text)
        assert "images.pruned" not in daemon.events(), "each may still be on its way"
    ahead = datetime.now(UTC) + 2 * ON_ITS_WAY
    async with (
        docker_api(Endpoint(url=testbed.docker_host, origin="the testbed")) as docker,
        connect(kubeconfig=testbed.kubeconfig) as api,
    ):
        store = DockerImageStore(docker)
        in_use = await ApiRevisionHistory(api).images(namespace, hello.name)
        images = await stored(store, hello.name)
        await store.remove(surplus(images, in_use=in_use, keep=1, now=ahead))
        assert len(await stored(store, hello.name)) == len(images) - 2 == 4
    listed = json.loads(
        await testbed.kubectl(
            "get",
            "replicasets",
            "-n",
            namespace,
            f"--selector=app.kubernetes.io/name={hello.name}",
            "-o",
            "json",
        )
    )["items"]
    async with aiodocker.Docker(url=testbed.docker_host) as docker:
        for each in listed:
            await docker.images.inspect(each["spec"]["template"]["spec"]["containers"][0]["image"])


async def test_a_removed_directory_takes_its_deployment_along_where_the_settings_say_so(
    testbed: Testbed, namespace: str, hello: Path, tmp_path: Path
):
    other = hello.with_name("other")
    save(other, "stays")
    settings = tmp_path / "pdwatch.yaml"
    settings.write_text(f"roots: [{hello.parent}]\nundeploy_removed: true\n")
    async with running_daemon(
        f"--config={settings}", f"--namespace={namespace}", environment=testbed.variables
    ) as daemon:
        await asyncio.gather(
            *(daemon.until("rollout.complete", workflow=root.name) for root in (hello, other))
        )
        moved = hello.with_name("moved")
        other.rename(moved)
        shutil.rmtree(hello)
        await daemon.until("workflow.removed", workflow=hello.name)
        undeployed = await daemon.until("workflow.undeployed")
        assert undeployed["workflow"] == hello.name
        assert undeployed["objects"] == f"Service {hello.name}, Deployment {hello.name}"
    left = json.loads(await testbed.kubectl("get", "deployments,services", "-n", namespace, "-o", "json"))
    names = {
        f"{each['kind']} {each['metadata']['name']}"
        for each in left["items"]
        if "deletionTimestamp" not in each["metadata"]
    }
    assert names == {"Deployment other", "Service other"}
