"""``pdwatch rollback`` on real ReplicaSets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.adapters.kubernetes.cluster import ApiCluster
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.adapters.kubernetes.rollout_watch import wait_for_rollout
from pdwatch.core.model import ImageRef
from tests.adapters.workloads import BASE, CRASH, workload
from tests.cli.command import pdwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pdwatch.adapters.kubernetes.connection import Api
    from tests.testbed.client import Testbed

FIRST, SECOND, THIRD = ("sha256:" + digits * 32 for digits in ("1a", "2b", "3c"))
HELD = "pdwatch.dev/rolled-back-from"


@pytest.fixture
async def api(testbed: Testbed) -> AsyncIterator[Api]:
    async with connect(kubeconfig=testbed.kubeconfig) as api:
        yield api


async def rolled_out(api: Api, manifest: dict[str, Any]) -> None:
    metadata = manifest["metadata"]
    await ApiCluster(api).apply(manifest)
    digest = metadata["annotations"]["pdwatch.dev/source-digest"]
    await wait_for_rollout(
        api, namespace=metadata["namespace"], name="hello", digest=digest, on_status=lambda _: None
    )


async def deployed(api: Api, namespace: str) -> dict[str, Any]:
    return await api.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/hello")


async def pod_digests(testbed: Testbed, namespace: str) -> set[str]:
    """The digests of the pods that serve."""
    pods = json.loads(await testbed.kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
    return {
        pod["metadata"]["annotations"]["pdwatch.dev/source-digest"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }


async def test_a_rollback_brings_the_earlier_pods_back_and_holds_them_until_it_is_released(
    api: Api, testbed: Testbed, namespace: str, limited: Path
):
    for digest in (FIRST, SECOND):
        await rolled_out(api, workload(namespace, digest=digest))
    environ = {**testbed.variables, "KUBECONFIG": str(limited)}

    ended = await pdwatch("rollback", "hello", "-n", namespace, "-o", "json", environ=environ)
    assert ended.status == 0, ended.err
    answer = json.loads(ended.out)
    assert (answer["source_digest"], answer["rolled_back_from"], answer["ready"]) == (FIRST, SECOND, True)
    assert await pod_digests(testbed, namespace) == {FIRST}
    replica_sets = json.loads(await testbed.kubectl("get", "replicasets", "-n", namespace, "-o", "json"))
    assert len(replica_sets["items"]) == 2, (
        "the earlier ReplicaSet serves again, as after kubectl rollout undo"
    )

    status = await pdwatch("status", "hello", "-n", namespace, environ=environ)
    assert f"held       rolled back from {SECOND}, until the next save" in status.out

    again = await pdwatch("rollback", "hello", "-n", namespace, environ=environ)
    assert again.status == 5
    assert "rolled back already" in again.err

    released = await pdwatch("rollback", "hello", "-n", namespace, "--release", environ=environ)
    assert released.status == 0, released.err
    assert "no longer held" in released.out
    assert HELD not in (await deployed(api, namespace))["metadata"]["annotations"]


async def test_what_is_deployed_next_ends_the_hold_and_leaves_nothing_of_the_rollback(
    api: Api, testbed: Testbed, namespace: str
):
    for digest in (FIRST, SECOND):
        await rolled_out(api, workload(namespace, digest=digest, replicas=0))
    await pdwatch("rollback", "hello", "-n", namespace, environ=testbed.variables)
    assert (await deployed(api, namespace))["metadata"]["annotations"][HELD] == SECOND

    await rolled_out(api, workload(namespace, digest=THIRD, replicas=0))
    now = await deployed(api, namespace)
    assert HELD not in now["metadata"]["annotations"]
    assert {each["manager"] for each in now["metadata"]["managedFields"] if each["operation"] == "Apply"} == {
        "pdwatch"
    }


async def test_the_revision_that_is_named_comes_back_by_number_and_by_digest(
    api: Api, testbed: Testbed, namespace: str
):
    for digest in (FIRST, SECOND, THIRD):
        await rolled_out(api, workload(namespace, digest=digest, replicas=0))
    for to, expected, held in (("1", FIRST, THIRD), ("2b2b2b", SECOND, THIRD), (THIRD, THIRD, None)):
        ended = await pdwatch(
            "rollback", "hello", "-n", namespace, "--to", to, "-o", "json", environ=testbed.variables
        )
        assert ended.status == 0, ended.err
        answer = json.loads(ended.out)
        assert (answer["source_digest"], answer["rolled_back_from"]) == (expected, held)


async def test_what_cannot_be_gone_back_to_is_said_and_changes_nothing(
    api: Api, testbed: Testbed, namespace: str
):
    gone = ImageRef(repository=f"hello-{namespace}", tag="1-0-000000000000")
    await ApiCluster(api).apply(workload(namespace, digest=FIRST, image=gone, replicas=0))
    await rolled_out(api, workload(namespace, digest=SECOND, image=BASE, replicas=0))
    before = (await deployed(api, namespace))["metadata"]["generation"]

    pruned = await pdwatch("rollback", "hello", "-n", namespace, environ=testbed.variables)
    assert pruned.status == 5
    assert f"the image {gone} of revision 1 (1a1a1a1a1a1a) is no longer in Docker" in pruned.err
    unknown = await pdwatch("rollback", "hello", "-n", namespace, "--to", "77", environ=testbed.variables)
    assert unknown.status == 4
    assert "name one with --to: 1 (1a1a1a1a1a1a)" in unknown.err
    misspelt = await pdwatch("rollback", "helo", "-n", namespace, environ=testbed.variables)
    assert misspelt.status == 4
    assert "did you mean hello?" in misspelt.err
    assert (await deployed(api, namespace))["metadata"]["generation"] == before


async def test_without_docker_the_rollback_goes_on_and_tells_of_pods_that_do_not_start(
    api: Api, testbed: Testbed, namespace: str
):
    await ApiCluster(api).apply(workload(namespace, CRASH, digest=FIRST))
    await rolled_out(api, workload(namespace, digest=SECOND))
    environ = {**testbed.variables, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    ended = await pdwatch("rollback", "hello", "-n", namespace, environ=environ)
    assert ended.status == 1, ended.err
    assert "is rolled back, but not ready: CrashLoopBackOff" in ended.err


async def test_a_deployment_of_somebody_elses_is_refused(api: Api, testbed: Testbed, namespace: str):
    manifest = workload(namespace, replicas=0)
    manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "helm"
    await ApiCluster(api).apply(manifest)
    ended = await pdwatch("rollback", "hello", "-n", namespace, environ=testbed.variables)
    assert ended.status == 5
    assert "pdwatch did not make Deployment hello" in ended.err
