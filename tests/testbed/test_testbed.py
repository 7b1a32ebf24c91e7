"""The testbed itself, on the real thing: pods under gVisor, images, the registry, and coming and going."""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.testbed import artifacts, client, cluster, processes
from tests.testbed.errors import TestbedError
from tests.testbed.images import BASE_IMAGE
from tests.testbed.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testbed import Testbed
    from tests.testbed.processes import ProcessId

REPOSITORY = Path(__file__).parents[2]
SERVER = """
Deno.serve({port: 8080}, async (request) => Response.json({
  method: request.method,
  body: await request.text(),
  kernel: await Deno.readTextFile("/proc/version"),
  user: Deno.uid(),
  rootIsReadOnly: await Deno.writeTextFile("/written", "").then(() => false, () => true),
}, {status: request.url.endsWith("/teapot") ? 418 : 200}));
"""


def hardened_pod(image: str, *arguments: str, pull: str = "IfNotPresent") -> str:
    """Return a Pod as pdwatch's Deployments have it, and a Service in front of it."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": pull,
        "args": list(arguments),
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec = {
        "runtimeClassName": "gvisor",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    metadata = {"name": "server", "labels": {"app": "server"}}
    service = {"selector": {"app": "server"}, "ports": [{"port": 8080}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    front = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "server"}, "spec": service}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod, front]})


async def start(testbed: Testbed, namespace: str, manifests: str) -> None:
    await testbed.kubectl("apply", "--namespace", namespace, "--filename=-", document=manifests)
    await testbed.kubectl(
        "wait", "--namespace", namespace, "--for=condition=Ready", "pod/server", "--timeout=60s"
    )


async def build(testbed: Testbed, tag: str) -> None:
    dockerfile = f"FROM {BASE_IMAGE}\nCMD {json.dumps(['eval', SERVER])}\n"
    await testbed.run("docker", "build", "--tag", tag, "-", document=dockerfile)


async def test_a_hardened_pod_runs_under_gvisor_and_answers(testbed: Testbed, namespace: str):
    await start(testbed, namespace, hardened_pod(BASE_IMAGE, "eval", SERVER))

    answer = json.loads(await testbed.pod_http(namespace, "server", "/run", "POST", b"payload"))

    assert (answer["method"], answer["body"]) == ("POST", "payload")
    assert answer["kernel"].startswith("Linux version 4.4.0")  # what gVisor says whatever the machine has
    assert answer["user"] == 65532
    assert answer["rootIsReadOnly"]
    assert (await testbed.pod_request(namespace, "server", "/teapot")).status == 418


async def test_kubectl_reaches_into_a_pod(testbed: Testbed, namespace: str):
    await start(testbed, namespace, hardened_pod(BASE_IMAGE, "eval", SERVER))

    assert "8080" in await testbed.kubectl("logs", "--namespace", namespace, "server")
    command = ["exec", "--namespace", namespace, "server", "--", "/bin/deno", "--version"]
    assert (await testbed.kubectl(*command)).startswith("deno ")


async def test_an_image_is_there_for_pods_as_soon_as_it_is_built(testbed: Testbed, namespace: str):
    tag = f"testbed/{namespace}:1"
    await build(testbed, tag)

    await start(testbed, namespace, hardened_pod(tag, pull="Never"))

    assert json.loads(await testbed.pod_http(namespace, "server", "/"))["method"] == "GET"


async def test_a_pod_pulls_what_was_pushed_to_the_registry(testbed: Testbed, namespace: str):
    tag = f"{testbed.registry}/{namespace}:1"
    await build(testbed, tag)
    await testbed.run("docker", "push", tag)
    await testbed.run("docker", "rmi", tag)

    await start(testbed, namespace, hardened_pod(tag, pull="Always"))

    events = await testbed.kubectl("get", "events", "--namespace", namespace, "--output", "json")
    assert "Pulling" in {event["reason"] for event in json.loads(events)["items"]}


async def test_the_developer_may_do_nothing_until_a_role_is_bound(testbed: Testbed, namespace: str):
    question = ["--context=developer", "get", "pods", "--namespace", namespace]
    with pytest.raises(TestbedError, match="forbidden"):
        await testbed.kubectl(*question)

    binding = ["rolebinding", "view", "--clusterrole=view", "--user=developer", "--namespace", namespace]
    await testbed.kubectl("create", *binding)

    assert await testbed.kubectl(*question) == ""


SETTINGS = (
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/panic_on_oops",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/panic_on_oom",
)
"""What kubelet and the ptp plugin write to where they are not kept from it."""


def settings() -> list[str]:
    return [Path(path).read_text() for path in SETTINGS]


def traces(layout: Layout) -> list[str]:
    """Return everything on the machine that bears the testbed's names, since others come and go as well."""
    mountinfo = Path("/proc/self/mountinfo").read_text()
    cgroups = [
        directory
        for mount in cluster.cgroup_mounts(mountinfo)
        for directory, _, _ in os.walk(mount)
        if layout.name in directory
    ]
    mounts = [line for line in mountinfo.splitlines() if str(layout.state) in line]
    directories = [str(layout.state)] if layout.state.exists() else []
    return [*directories, *mounts, *cgroups, *processes_in(layout.state)]


def processes_in(state: Path) -> list[str]:
    """Return the command lines of the processes that name the state directory or live in its namespaces."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            inside = str(state) in command or str(state) in (process / "mountinfo").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if inside and process.name != str(os.getpid()):
            found.append(command)
    return found


@pytest.fixture
def session_layout(testbed: Testbed) -> Layout:
    """Where the session's testbed is."""
    if os.environ.get("PDWATCH_TESTBED") == "external":
        pytest.skip("an external cluster is not this program's")
    return Layout.from_environment(os.environ)


@pytest.fixture
def layout(session_layout: Layout) -> Iterator[Layout]:
    """A place for a second testbed beside the session's, to be maltreated."""
    other = replace(session_layout, state=Path(f"/var/tmp/pdwatch-{secrets.token_hex(4)}"))
    yield other
    cluster.down(other)


def test_up_on_a_testbed_that_is_well_changes_nothing(session_layout: Layout):
    before = session_layout.record.read_bytes()

    assert not cluster.up(session_layout, print)

    assert session_layout.record.read_bytes() == before


def test_up_heals_a_testbed_that_has_lost_a_component(layout: Layout):
    cluster.up(layout, print)
    before = cluster.running(layout)
    [dockerd] = before.components["dockerd"].children()
    dockerd.kill()
    assert "dockerd" in cluster.complaints(layout, before)

    assert cluster.up(layout, print)

    assert cluster.complaints(layout, cluster.running(layout)) == {}
    assert not before.running


async def test_down_leaves_nothing_behind(layout: Layout):
    settings_before = settings()
    cluster.up(layout, print)
    second = client.of_instance(layout, cluster.running(layout))
    await start(second, "default", hardened_pod(BASE_IMAGE, "eval", SERVER))
    await build(second, "testbed/built:1")
    links = cluster.running(layout).links
    assert links
    assert any("cgroup" in trace for trace in traces(layout))

    assert cluster.down(layout)

    assert traces(layout) == []
    assert links.isdisjoint(link.name for link in Path("/sys/class/net").iterdir())
    assert settings() == settings_before
    assert not cluster.down(layout)


def test_an_up_that_was_killed_half_way_is_healed_by_the_next(layout: Layout):
    environment = {**os.environ, "PDWATCH_TESTBED_STATE": str(layout.state)}
    command = [sys.executable, "-m", "tests.testbed", "up"]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr is not None
        assert any("Starting kube-controller-manager" in line for line in up.stderr)
        up.kill()
    half_way = cluster.running(layout)
    assert half_way.running

    assert cluster.up(layout, print)

    assert not half_way.running
    assert cluster.complaints(layout, cluster.running(layout)) == {}


def test_a_first_process_that_could_not_be_recorded_ends_by_itself(layout: Layout):
    layout.state.mkdir()
    parts = artifacts.prepare(layout.cache, print)
    seen: list[int] = []

    def fail(first: ProcessId) -> None:
        seen.append(os.pidfd_open(first.pid))
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        processes.create_namespaces(
            debian=parts.debian,
            kubernetes=parts.kubernetes,
            state=layout.state,
            log=layout.state / "log",
            record=fail,
        )

    with os.fdopen(seen[0]) as first:
        ended, _, _ = select.select([first], [], [], 10)
        if not ended:
            signal.pidfd_send_signal(first.fileno(), signal.SIGKILL)
    shutil.rmtree(layout.state)
    assert ended


def test_a_directory_that_is_no_testbed_s_is_left_alone(layout: Layout):
    layout.state.mkdir()
    (layout.state / "thesis.tex").write_text("years of work")

    with pytest.raises(TestbedError, match="no testbed's"):
        cluster.up(layout, print)

    assert not cluster.down(layout)
    assert (layout.state / "thesis.tex").read_text() == "years of work"
    (layout.state / "thesis.tex").unlink()
    layout.state.rmdir()
