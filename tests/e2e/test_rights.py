"""The loop, whole, by a daemon that has the rights of config/rbac.yaml and no others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.daemon import running_daemon
from tests.e2e.test_loop import HELLO, answer, greeting
from tests.rbac import CLUSTER_WIDE, installed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.e2e.daemon import Daemon
    from tests.testbed import Testbed


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """A workflow with a secret."""
    root = tmp_path / "workflows" / "hello"
    (root / "nodes").mkdir(parents=True)
    (root / "workflow.yaml").write_text(HELLO)
    (root / "nodes/greet.ts").write_text(greeting("first"))
    (root / ".secrets.yaml").write_text("github: {token: canary}\n")
    return root


def assert_nothing_was_refused(daemon: Daemon) -> None:
    refused = [line for line in daemon.lines if "forbidden" in json.dumps(line)]
    assert refused == []


async def test_everything_that_the_daemon_does_it_may_do(
    hello: Path, namespace: str, limited: Path, testbed: Testbed
):
    environment = {"KUBECONFIG": str(limited), "DOCKER_HOST": testbed.docker_host}
    async with running_daemon(hello, "--secrets", environment=environment, log_level="debug") as daemon:
        await daemon.until("secrets.applied")
        await daemon.until("rollout.complete")
        assert await answer(testbed, namespace) == {"greet": "first"}

        mark = daemon.mark
        (hello / "nodes/greet.ts").write_text('throw new Error("cannot start: wrong moon phase");\n')
        stalled = await daemon.until("rollout.stalled", since=mark)
        assert "wrong moon phase" in stalled["output"]

        mark = daemon.mark
        (hello / "nodes/greet.ts").write_text(greeting("second"))
        await daemon.until("rollout.complete", since=mark)
        assert await answer(testbed, namespace) == {"greet": "second"}

        mark = daemon.mark
        await testbed.kubectl("delete", "deployment", "hello", "-n", namespace)
        await daemon.until("deploy.deleted", since=mark)
        applied = await daemon.until("deploy.applied", since=mark)
        await daemon.until("rollout.complete", since=daemon.lines.index(applied))
        mark = daemon.mark
        put = json.dumps({"data": {"theirs": "eA=="}})
        await testbed.kubectl("patch", "secret", "hello-secrets", "-n", namespace, "--patch", put)
        (hello / ".secrets.yaml").unlink()
        await daemon.until("secrets.cleared", since=mark)
        left = await testbed.kubectl("get", "secret", "hello-secrets", "-n", namespace, "-o", "json")
        assert json.loads(left)["data"] == {"theirs": "eA=="}
        assert await daemon.stop() == 0
    assert_nothing_was_refused(daemon)


@pytest.fixture
async def everywhere(testbed: Testbed, namespace: str, limited: Path) -> AsyncIterator[Path]:
    """The kubeconfig of the same service account, with config/rbac-cluster-wide.yaml applied as well."""
    document = installed(CLUSTER_WIDE, namespace)
    await testbed.kubectl("apply", "--server-side", "--filename=-", document=document)
    yield limited
    await testbed.kubectl("delete", "--filename=-", "--wait=false", document=document)


async def test_with_the_cluster_wide_variant_workflows_may_go_to_any_namespace(
    hello: Path, namespace: str, everywhere: Path, other_namespace: str, testbed: Testbed
):
    (hello / "workflow.yaml").write_text(f"{HELLO}deployment: {{namespace: {other_namespace}}}\n")
    environment = {"KUBECONFIG": str(everywhere), "DOCKER_HOST": testbed.docker_host}
    async with running_daemon(hello, environment=environment) as daemon:
        complete = await daemon.until("rollout.complete")
        assert await daemon.stop() == 0
    assert complete["namespace"] == other_namespace
    assert await answer(testbed, other_namespace) == {"greet": "first"}
    assert_nothing_was_refused(daemon)


async def test_without_it_another_namespace_is_refused_with_the_remedy(
    hello: Path, limited: Path, other_namespace: str, testbed: Testbed
):
    (hello / "workflow.yaml").write_text(f"{HELLO}deployment: {{namespace: {other_namespace}}}\n")
    environment = {"KUBECONFIG": str(limited), "DOCKER_HOST": testbed.docker_host}
    async with running_daemon(hello, environment=environment) as daemon:
        line = await daemon.until("watch.disconnected", reason="forbidden")
        assert await daemon.stop() == 0
    assert line["namespace"] == other_namespace
    assert "config/rbac.yaml" in line["remedy"]


@pytest.fixture
async def other_namespace(testbed: Testbed, namespace: str) -> AsyncIterator[str]:
    name = f"{namespace}-other"
    await testbed.kubectl("create", "namespace", name)
    yield name
    await testbed.kubectl("delete", "namespace", name, "--wait=false")
