"""pdwatch in a pod: its image is built, its manifest applied, and it rolls out a workflow.

The testbed's API server and Docker listen on the node only and its nodes have no storage, so that much of the
manifest is changed: the pod is in the node's network, and its workflow comes from ``pdwatch init``.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests import python_base
from tests.e2e.daemon import WAIT_S
from tests.rbac import CONFIG, RBAC, in_namespace, installed, objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.testbed import Testbed

REPOSITORY = Path(__file__).parents[2]
MANIFEST = CONFIG / "in-cluster.yaml"


@pytest.fixture(scope="module")
def image(testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image of deploy/Dockerfile, on a stand-in for its base that has wheels instead of a network."""
    directory, tag = tmp_path_factory.mktemp("image"), secrets.token_hex(4)
    base, image = f"pdwatch-test/python:{tag}", f"pdwatch-test/pdwatch:{tag}"

    def run(*command: str | Path) -> None:
        subprocess.run(command, env=testbed.environment, cwd=REPOSITORY, check=True)

    wheels, root = directory / "wheels", directory / "base.tar"
    run(sys.executable, "-m", "pip", "wheel", "--wheel-dir", wheels, REPOSITORY, "hatchling")
    python_base.write_base(root, wheels)
    run("docker", "import", *python_base.changes(), root, base)
    run("docker", "build", "--file=deploy/Dockerfile", f"--build-arg=BASE={base}", f"--tag={image}", ".")
    yield image
    run("docker", "image", "rm", "--force", image, base)


async def test_the_image_runs_pdwatch_as_nobody_in_particular_and_has_no_installer(
    testbed: Testbed, image: str
):
    async def run(*command: str) -> str:
        return (await testbed.run("docker", "run", "--rm", "--network=none", *command)).strip()

    assert (await run(image, "--version")).startswith("pdwatch ")
    python = ("--entrypoint=/opt/pdwatch/bin/python", image, "-c")
    assert await run(*python, "import os; print(os.getuid(), os.getgid())") == "65532 65532"
    assert await run(*python, "import importlib.util as u; print(u.find_spec('pip'))") == "None"


async def test_the_manifest_is_valid_as_it_is(testbed: Testbed):
    arguments = ("apply", "--server-side", "--dry-run=server", f"--filename={MANIFEST}")
    printed = await testbed.kubectl(*arguments)
    assert printed.splitlines() == [
        "configmap/pdwatch serverside-applied (server dry run)",
        "deployment.apps/pdwatch serverside-applied (server dry run)",
    ]


def test_the_pod_has_what_kubernetes_calls_restricted_but_for_the_docker_socket():
    """The rules of the Pod Security Standards, level restricted, that a pod can break in its own spec."""
    (deployment,) = (each for each in objects(MANIFEST) if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim"}
    assert [each["name"] for each in pod["volumes"] if not allowed & each.keys()] == ["docker"]


@asynccontextmanager
async def docker_over_tcp(testbed: Testbed) -> AsyncIterator[int]:
    """Yield a port of the loopback address that leads to Docker's socket."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_unix_connection(urlsplit(testbed.docker_host).path)
        try:
            await asyncio.gather(pump(reader, downstream), pump(upstream, writer), return_exceptions=True)
        finally:
            downstream.close()
            writer.close()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def fitted(testbed: Testbed, namespace: str, image: str, docker_port: int) -> str:
    """Return the manifest as the testbed can run it."""
    manifests = [in_namespace(each, namespace) for each in objects(MANIFEST)]
    pod = manifests[-1]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    config = yaml.safe_load(testbed.kubeconfig.read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    container["image"] = image
    container["env"] = environment(
        DOCKER_HOST=f"tcp://127.0.0.1:{docker_port}",
        KUBERNETES_SERVICE_HOST=str(server.hostname),
        KUBERNETES_SERVICE_PORT=str(server.port),
    )
    pod["hostNetwork"] = True
    pod["securityContext"]["supplementalGroups"] = []
    pod["volumes"] = [each for each in pod["volumes"] if each["name"] not in {"docker", "workflows"}]
    pod["volumes"].append({"name": "workflows", "emptyDir": {}})
    container["volumeMounts"] = [each for each in container["volumeMounts"] if each["name"] != "docker"]
    container["livenessProbe"]["periodSeconds"] = 10
    created = {key: container[key] for key in ("image", "securityContext")}
    mounts = [{"name": "workflows", "mountPath": "/workflows"}]
    pod["initContainers"] = [{**created, "name": "init", "args": ["init", "hello"], "volumeMounts": mounts}]
    return yaml.safe_dump_all(manifests)


def environment(**variables: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in variables.items()]


async def test_a_workflow_is_rolled_out_by_a_pod_with_the_rights_of_rbac_yaml(
    testbed: Testbed, namespace: str, image: str
):
    rights = installed(RBAC, namespace)
    await testbed.kubectl("apply", "--server-side", "--filename=-", document=rights)
    try:
        async with docker_over_tcp(testbed) as port:
            document = fitted(testbed, namespace, image, port)
            await testbed.kubectl("apply", "--server-side", "--filename=-", document=document)
            line = await told(testbed, namespace, "rollout.complete", "rollout.stalled")
            assert line["event"] == "rollout.complete", line
            health = json.loads(await testbed.pod_http(namespace, line["workflow"], "/health"))
            assert health["sourceDigest"] == line["source_digest"]
            await stand_still(testbed, namespace)
            await started_again(testbed, namespace)
            await testbed.kubectl("delete", "deployment", "pdwatch", "-n", namespace)
    finally:
        await testbed.kubectl("delete", "--filename=-", "--wait=false", document=rights)


async def stand_still(testbed: Testbed, namespace: str) -> None:
    """Stop the daemon in its pod as a debugger would: it is there, and answers nothing."""
    stop = "import os, signal; os.kill(1, signal.SIGSTOP)"
    in_pod = ("exec", "deployment/pdwatch", "-n", namespace, "--", "/opt/pdwatch/bin/python", "-c", stop)
    await testbed.kubectl(*in_pod)


async def started_again(testbed: Testbed, namespace: str) -> None:
    """Wait until the kubelet has started the container once more."""
    count = 'jsonpath={.status.containerStatuses[0].restartCount}{"\\n"}'
    pods = ("get", "pods", "--selector=app.kubernetes.io/name=pdwatch", "-n", namespace)
    async for line in lines_of(testbed, *pods, "--watch", "-o", count):
        if line.strip() == b"1":
            return


async def told(testbed: Testbed, namespace: str, *events: str) -> dict[str, Any]:
    """Return the first line of one of the events in the daemon's log, once its probe calls it ready."""
    rolled_out = ("rollout", "status", "deployment/pdwatch", "-n", namespace, f"--timeout={WAIT_S}s")
    await testbed.kubectl(*rolled_out)
    log = ("logs", "--follow", "deployment/pdwatch", "-n", namespace)
    async for raw in lines_of(testbed, *log):
        line: dict[str, Any] = json.loads(raw) if raw.startswith(b"{") else {}
        if line.get("event") in events:
            return line
    raise AssertionError


async def lines_of(testbed: Testbed, *arguments: str) -> AsyncIterator[bytes]:
    """Yield what a kubectl prints that goes on for long, and end it with the reader."""
    process = await asyncio.create_subprocess_exec(
        "kubectl", *arguments, env=testbed.environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines: list[bytes] = []
    try:
        async with asyncio.timeout(WAIT_S):
            async for line in process.stdout:
                lines.append(line)
                yield line
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    raise AssertionError(b"".join(lines).decode())
