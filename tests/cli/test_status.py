from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from pdwatch.adapters.kubernetes.cluster import ApiCluster
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.adapters.kubernetes.rollout_watch import wait_for_rollout
from pdwatch.cli.table import age
from pdwatch.core.names import DIGEST_ANNOTATION
from tests.adapters.kubeconfigs import kubeconfig, service_account, with_user
from tests.adapters.workloads import CRASH, MISSING, workload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from pdwatch.core.model import Manifest
    from tests.testbed.client import Testbed

WAIT_S = 90
FIRST, SECOND = ("sha256:" + digit * 64 for digit in "12")
Status: TypeAlias = "Callable[..., Awaitable[Ended]]"


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    output: str
    errors: str

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.output)
        assert isinstance(found, dict)
        return found


async def pdwatch_status(*arguments: str, environment: Mapping[str, str]) -> Ended:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pdwatch", "status", *arguments),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in errors
    return Ended(process.returncode, output.decode(), errors.decode())


async def settled(testbed: Testbed, manifest: Manifest) -> None:
    """Apply a Deployment, and return once its rollout is complete or has stalled."""
    metadata = manifest["metadata"]
    async with connect(kubeconfig=testbed.kubeconfig) as api, asyncio.timeout(WAIT_S):
        await ApiCluster(api).apply(manifest)
        await wait_for_rollout(
            api,
            namespace=metadata["namespace"],
            name=metadata["name"],
            digest=metadata["annotations"][DIGEST_ANNOTATION],
            on_status=lambda _: None,
        )


@pytest.fixture
def status(testbed: Testbed, namespace: str) -> Status:
    """Return the command, in the test's namespace."""

    async def run(*arguments: str) -> Ended:
        return await pdwatch_status(*arguments, "--namespace", namespace, environment=testbed.environment)

    return run


async def test_a_workflow_that_runs_is_ready(testbed: Testbed, namespace: str, status: Status) -> None:
    await settled(testbed, workload(namespace))

    told = await status("hello")

    assert told.code == 0
    first, *lines = told.output.splitlines()
    assert first == "hello: ready"
    assert f"  namespace  {namespace}" in lines
    assert "  replicas   1 desired, 1 updated, 1 ready, 1 available" in lines
    assert "  image      denoland/deno:distroless" in lines
    assert f"  digest     {FIRST}" in lines
    assert "why" not in told.output


async def test_json_has_the_seed_s_fields_and_more(testbed: Testbed, namespace: str, status: Status) -> None:
    await settled(testbed, workload(namespace))

    told = await status("hello", "--output", "json")

    assert told.code == 0
    seed = {"name": "hello", "namespace": namespace, "ready": True, "replicas": 1, "available": 1}
    more = {"status": "ready", "image": "denoland/deno:distroless", "source_digest": FIRST, "managed": True}
    assert told.document.items() >= (seed | more).items()
    assert [pod["ready"] for pod in told.document["pods"]] == [True]


async def test_a_crash_shows_the_end_of_the_log_and_that_the_old_pod_serves(
    testbed: Testbed, namespace: str, status: Status
) -> None:
    await settled(testbed, workload(namespace))
    await settled(testbed, workload(namespace, CRASH, digest=SECOND))

    told = await status("hello")

    assert told.code == 1
    assert told.output.startswith(
        "hello: degraded\n  why        CrashLoopBackOff: container hello exited with code 3"
    )
    assert "ready, of an older revision" in told.output
    assert told.output.splitlines()[-1] == "    about to fail"


async def test_an_image_that_is_nowhere_is_told_with_advice(
    testbed: Testbed, namespace: str, status: Status
) -> None:
    await settled(testbed, workload(namespace, image=MISSING))

    told = await status("hello")

    assert told.code == 1
    assert told.output.startswith("hello: not ready\n  why        ImagePullBackOff: Failed to pull image")
    assert "→ push the image with `pdwatch deploy --registry`, or load it into the nodes" in told.output


async def test_a_quota_is_told_in_the_api_server_s_words(
    testbed: Testbed, namespace: str, status: Status
) -> None:
    await testbed.kubectl("create", "quota", "none", "--hard=pods=0", "-n", namespace)
    await settled(testbed, workload(namespace))

    told = await status("hello", "-o", "json")

    assert told.code == 1
    seen = told.document
    assert (seen["status"], seen["ready"], seen["stalled"], seen["reason"]) == (
        "not ready",
        False,
        True,
        "FailedCreate",
    )
    assert "exceeded quota: none" in seen["message"]


async def test_a_runtime_class_that_is_gone_leads_to_the_cluster_check(
    testbed: Testbed, namespace: str, status: Status
) -> None:
    await settled(testbed, workload(namespace, runtimeClassName=f"gone-{namespace}"))

    told = await status("hello")

    assert told.code == 1
    assert told.output.startswith("hello: not ready\n  why        FailedCreate: ")
    assert "→ `pdwatch cluster check` says what to do about gVisor" in told.output


async def test_a_workflow_that_is_scaled_to_zero_is_ready(
    testbed: Testbed, namespace: str, status: Status
) -> None:
    await settled(testbed, workload(namespace, replicas=0))

    assert (await status("hello")).code == 0


async def test_a_deployment_of_somebody_else_is_shown_as_such(
    testbed: Testbed, namespace: str, status: Status
) -> None:
    await testbed.kubectl("create", "deployment", "theirs", "--image=x", "--replicas=0", "-n", namespace)
    await testbed.kubectl("rollout", "status", "deployment/theirs", "-n", namespace)

    told = await status("theirs")

    assert told.code == 0
    assert "  note       pdwatch did not make this Deployment" in told.output


async def test_an_unknown_name_lists_what_there_is(testbed: Testbed, namespace: str, status: Status) -> None:
    for name in ("hello", "order-quote"):
        await settled(testbed, workload(namespace, name=name, replicas=0))

    told = await status("helo")

    assert told.code == 4
    assert told.errors.splitlines() == [
        f"error: there is no workflow helo in namespace {namespace}; did you mean hello?",
        "  → deployed there: hello, order-quote",
    ]


async def test_an_empty_namespace_says_so(namespace: str, status: Status) -> None:
    told = await status("hello")

    assert (told.code, told.output) == (4, "")
    assert f"there is no workflow hello in namespace {namespace}" in told.errors
    assert "none is deployed there" in told.errors


async def test_the_context_s_namespace_is_the_default(
    testbed: Testbed, namespace: str, tmp_path: Path
) -> None:
    await settled(testbed, workload(namespace, replicas=0))
    binding = ("rolebinding", "sees", "--clusterrole=view", f"--serviceaccount={namespace}:default")
    await testbed.kubectl("create", *binding, "-n", namespace)
    user = await service_account(testbed, namespace, "default")
    config = with_user(testbed, tmp_path / "config", user, namespace=namespace)

    told = await pdwatch_status("hello", environment={**testbed.environment, "KUBECONFIG": str(config)})

    assert told.code == 0
    assert f"  namespace  {namespace}" in told.output


async def test_a_user_without_rights_is_told_which_are_missing(
    testbed: Testbed, namespace: str, tmp_path: Path
) -> None:
    user = await service_account(testbed, namespace, "default")
    config = with_user(testbed, tmp_path / "config", user, namespace=namespace)

    told = await pdwatch_status("hello", environment={**testbed.environment, "KUBECONFIG": str(config)})

    assert told.code == 1
    assert 'cannot get resource "deployments"' in told.errors


async def test_an_api_server_that_is_not_there_is_told_from_a_missing_workflow(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")

    told = await pdwatch_status(
        "hello", environment={**os.environ, "KUBECONFIG": str(config), "NO_PROXY": "*"}
    )

    assert told.code == 3
    assert "http://127.0.0.1:1" in told.errors


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["--context", "c"], "--target go with a NAME", id="a daemon's context"),
        pytest.param(["hello", "--watch"], "goes without a NAME", id="a cluster to be watched"),
        pytest.param(["./hello"], "'./hello' is no name", id="a directory"),
        pytest.param(["hello", "-n", "../x"], "'../x' is no name", id="no namespace's name"),
        pytest.param(
            ["hello", "-o", "yaml"], "'yaml' is not one of 'text', 'json'", id="an output there is not"
        ),
    ],
)
async def test_wrong_usage_is_told_before_anything_is_asked(arguments: list[str], complaint: str) -> None:
    told = await pdwatch_status(*arguments, environment={**os.environ, "KUBECONFIG": "/nowhere"})

    assert told.code == 2
    assert complaint in told.errors


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (7200, "2h"),
        (86_399, "23h"),
        (200_000, "2d"),
    ],
)
def test_an_age_is_written_in_its_largest_unit(seconds: int, written: str) -> None:
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)

    assert age(noon - timedelta(seconds=seconds), noon) == written
