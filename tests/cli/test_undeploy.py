"""``pdwatch undeploy`` on a real cluster."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.adapters.kubernetes.cluster import ApiCluster
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.adapters.kubernetes.rollout_watch import wait_for_rollout
from pdwatch.adapters.lock import claim
from pdwatch.core.manifests import secret, service
from tests.adapters.docker_workflow import Workflow
from tests.adapters.workloads import workload
from tests.cli.command import pdwatch
from tests.e2e.daemon import running_daemon
from tests.world import spec_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import Manifest
    from tests.testbed.client import Testbed

DIGEST = "sha256:" + "1" * 64
KINDS = "deployments,replicasets,services,secrets,pods"
HELM = {"app.kubernetes.io/managed-by": "helm"}


@pytest.fixture
async def api(testbed: Testbed) -> AsyncIterator[Api]:
    async with connect(kubeconfig=testbed.kubeconfig) as api:
        yield api


def objects(namespace: str, *, replicas: int = 0) -> tuple[Manifest, Manifest, Manifest]:
    """The Service, the Secret and the Deployment of a workflow."""
    return (
        service(spec_of("hello"), namespace=namespace),
        secret("hello", namespace=namespace, values={"key": b"value"}),
        workload(namespace, digest=DIGEST, replicas=replicas),
    )


async def applied(api: Api, *manifests: Manifest) -> None:
    for manifest in manifests:
        await ApiCluster(api).apply(manifest)


async def there(testbed: Testbed, namespace: str) -> list[str]:
    listed = json.loads(await testbed.kubectl("get", KINDS, "-n", namespace, "-o", "json"))["items"]
    named = [f"{each['kind']} {each['metadata']['name']}" for each in listed]
    return [each for each in named if not each.startswith("Secret default-token")]


def somebody_elses(manifest: Manifest) -> Manifest:
    manifest["metadata"]["labels"] |= HELM
    return manifest


async def test_all_that_pdwatch_made_goes_with_its_pods_and_with_the_daemons_rights(
    api: Api, testbed: Testbed, namespace: str, limited: Path
):
    await applied(api, *objects(namespace, replicas=1))
    await wait_for_rollout(api, namespace=namespace, name="hello", digest=DIGEST, on_status=lambda _: None)
    environ = {**testbed.variables, "KUBECONFIG": str(limited)}
    before = await there(testbed, namespace)
    assert len([each for each in before if "hello" in each]) == 5

    dry = await pdwatch("undeploy", "hello", "-n", namespace, "--dry-run", environ=environ)
    assert dry.status == 0, dry.err
    assert await there(testbed, namespace) == before

    ended = await pdwatch("undeploy", "hello", "-n", namespace, "-o", "json", environ=environ)
    assert ended.status == 0, ended.err
    answer: dict[str, Any] = json.loads(ended.out)
    assert [each["kind"] for each in answer["removed"]] == ["Service", "Secret", "Deployment"]
    assert (answer["left"], answer["gone"]) == ([], True)
    assert [each for each in await there(testbed, namespace) if "hello" in each] == []

    again = await pdwatch("undeploy", "hello", "-n", namespace, environ=environ)
    assert again.status == 4


async def test_what_others_made_under_these_names_is_left_and_named(
    api: Api, testbed: Testbed, namespace: str
):
    its_service, its_secret, deployment = objects(namespace)
    await applied(api, its_service, somebody_elses(its_secret), deployment)
    ended = await pdwatch("undeploy", "hello", "-n", namespace, environ=testbed.variables)
    assert ended.status == 0, ended.err
    assert "left Secret hello-secrets, which pdwatch did not make" in ended.out
    left = [each for each in await there(testbed, namespace) if "hello" in each]
    assert left == ["Secret hello-secrets"]


async def test_a_deployment_of_somebody_elses_is_refused_and_all_of_it_stays(
    api: Api, testbed: Testbed, namespace: str
):
    its_service, _, deployment = objects(namespace)
    await applied(api, its_service, somebody_elses(deployment))
    ended = await pdwatch("undeploy", "hello", "-n", namespace, environ=testbed.variables)
    assert ended.status == 5
    assert f"pdwatch did not make Deployment hello in namespace {namespace}" in ended.err
    left = await there(testbed, namespace)
    assert {"Service hello", "Deployment hello"} <= set(left)


async def test_a_misspelt_name_is_asked_after(api: Api, testbed: Testbed, namespace: str):
    await applied(api, *objects(namespace))
    ended = await pdwatch("undeploy", "helo", "-n", namespace, environ=testbed.variables)
    assert ended.status == 4
    assert "did you mean hello?" in ended.err


async def test_a_daemon_that_watches_the_directory_is_named_since_it_would_deploy_it_again(
    api: Api, testbed: Testbed, namespace: str, tmp_path: Path
):
    watched = Workflow.create(tmp_path / "watched" / "hello", "hello")
    Workflow.create(tmp_path / "watched" / "other", "other")
    Workflow.create(tmp_path / "elsewhere" / "hello", "hello")
    await applied(api, *objects(namespace))
    with claim([tmp_path / "watched"]):
        ended = await pdwatch("undeploy", "hello", "-n", namespace, "-o", "json", environ=testbed.variables)
    assert ended.status == 0, ended.err
    assert json.loads(ended.out)["watched"] == [{"pid": os.getpid(), "directory": str(watched.root)}]


@pytest.mark.parametrize(
    ("flags", "delivered"),
    [
        pytest.param(["--target=local", "--no-check"], "build.succeeded", id="to this machine"),
        pytest.param(["--namespace=another"], "build.failed", id="to another namespace"),
    ],
)
async def test_a_daemon_that_brings_it_elsewhere_is_not_named(
    api: Api, testbed: Testbed, namespace: str, tmp_path: Path, flags: list[str], delivered: str
):
    Workflow.create(tmp_path / "watched" / "hello", "hello")
    await applied(api, *objects(namespace))
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path / "runtime"), "RUNTIME_DIRECTORY": ""}
    environ = {**testbed.variables, **runtime, "DOCKER_HOST": f"unix://{tmp_path}/no-docker"}
    async with running_daemon(tmp_path / "watched", *flags, environment=environ) as daemon:
        await daemon.until(delivered)
        ended = await pdwatch("undeploy", "hello", "-n", namespace, "-o", "json", environ=environ)
    assert ended.status == 0, ended.err
    assert json.loads(ended.out)["watched"] == []


async def test_pods_that_do_not_end_in_time_are_an_answer_of_no(api: Api, testbed: Testbed, namespace: str):
    deployment = workload(namespace, digest=DIGEST, replicas=0)
    deployment["metadata"]["finalizers"] = ["tests.pdwatch.dev/holds"]
    await applied(api, deployment)
    ended = await pdwatch("undeploy", "hello", "-n", namespace, "--timeout=1s", environ=testbed.variables)
    patch = '{"metadata":{"finalizers":null}}'
    await testbed.kubectl("patch", "deployment", "hello", "-n", namespace, "--type=merge", f"--patch={patch}")
    assert ended.status == 1
    assert "are not gone after 1 s" in ended.err
