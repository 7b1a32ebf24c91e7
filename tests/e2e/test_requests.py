"""What a daemon asks of the API server, counted before a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.adapters.api_proxy import IDENTITY, api_proxy, kubeconfig_through
from tests.e2e.daemon import running_daemon
from tests.e2e.test_reload import make_workflow, say

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adapters.api_proxy import ApiProxy
    from tests.testbed import Testbed

RUNTIME_CLASS = "GET /apis/node.k8s.io/v1/runtimeclasses/gvisor"


def taken(proxy: ApiProxy) -> list[str]:
    """Return the requests since the last time, sorted."""
    requests, proxy.requests[:] = sorted(proxy.requests), []
    return requests


async def test_a_save_costs_one_patch_and_a_touch_nothing(tmp_path: Path, namespace: str, testbed: Testbed):
    names = [f"{name}-{namespace}" for name in ("hello", "other")]  # of which Docker has no images yet
    hello, other = (make_workflow(tmp_path / "workflows" / name) for name in names)
    for root in (hello, other):
        with (root / "workflow.yaml").open("a") as file:
            file.write("deployment: {replicas: 0}\n")
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    services = f"/api/v1/namespaces/{namespace}/services"
    pods = f"/api/v1/namespaces/{namespace}/pods"
    async with api_proxy(testbed) as proxy:
        kubeconfig = kubeconfig_through(testbed, tmp_path / "kubeconfig", proxy)
        async with running_daemon(
            hello.parent,
            f"--namespace={namespace}",
            environment={"KUBECONFIG": str(kubeconfig), "DOCKER_HOST": testbed.docker_host},
            log_level="debug",
        ) as daemon:
            await daemon.until("daemon.synced")
            for name in names:
                await daemon.until("rollout.complete", workflow=name)
            a_list_and_a_watch = [f"GET {deployments}", f"GET {pods}"] * 2
            assert taken(proxy) == sorted(
                [f"GET {IDENTITY}", RUNTIME_CLASS, *a_list_and_a_watch]
                + [f"PATCH {path}/{name}" for name in names for path in (deployments, services)]
            )

            mark = daemon.mark
            say(hello, "two")
            await daemon.until("rollout.complete", workflow=hello.name, since=mark)
            assert taken(proxy) == [f"PATCH {deployments}/{hello.name}"]

            mark = daemon.mark
            (hello / "nodes/greet.ts").touch()
            await daemon.until("workflow.unchanged", workflow=hello.name, cause="save", since=mark)
            assert taken(proxy) == []

            mark = daemon.mark
            manifest = (hello / "workflow.yaml").read_text()
            (hello / "workflow.yaml").write_text(manifest.replace('version: "1.0"', 'version: "1.1"'))
            await daemon.until("rollout.complete", workflow=hello.name, since=mark)
            assert taken(proxy) == [f"PATCH {services}/{hello.name}", f"PATCH {deployments}/{hello.name}"]
