from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

from pdwatch.adapters.kubernetes.cluster import ApiCluster
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.adapters.kubernetes.list_watch import WatchPolicy
from pdwatch.adapters.kubernetes.pods import ApiPodLogs
from pdwatch.adapters.kubernetes.view import WorkflowView
from pdwatch.core.model import RolloutPhase
from pdwatch.core.rollout import RolloutTransition, transitions
from pdwatch.logs import Event
from tests.adapters.kubeconfigs import service_account, with_user
from tests.adapters.recorded_log import RecordedLog
from tests.adapters.workloads import CRASH, MISSING, NEVER_HEALTHY, workload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import RolloutStatus, ViewChange
    from tests.testbed.client import Testbed

WAIT_S = 90
"""A bound, not an expectation."""
T = RolloutTransition


FIRST, SECOND = ("sha256:" + digit * 64 for digit in "12")


@dataclass(slots=True)
class Watched:
    """A view of one namespace, what it has told, and what there is to say about that."""

    changes: list[ViewChange] = field(default_factory=list)
    told: list[RolloutTransition] = field(default_factory=list)
    _status: RolloutStatus | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, change: ViewChange) -> None:
        if change.status is not None:
            self.told += transitions(self._status, change.status)
        self._status = change.status
        self.changes.append(change)
        self._news.set()

    async def until(self, wanted: Callable[[ViewChange], bool]) -> ViewChange:
        """Return the first change that is wanted, of those so far and of those to come."""
        seen = 0
        async with asyncio.timeout(WAIT_S):
            while True:
                for change in self.changes[seen:]:
                    if wanted(change):
                        return change
                seen = len(self.changes)
                self._news.clear()
                await self._news.wait()

    async def status(self, **wanted: Any) -> RolloutStatus:
        """Return the first status that has these values."""

        def has_them(change: ViewChange) -> bool:
            return all(getattr(change.status, name, None) == value for name, value in wanted.items())

        change = await self.until(has_them)
        assert change.status is not None
        return change.status


@asynccontextmanager
async def running(view: WorkflowView) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(view.run())
        yield
        task.cancel()


@pytest.fixture
async def api(testbed: Testbed) -> AsyncIterator[Api]:
    async with connect(kubeconfig=testbed.kubeconfig) as api:
        yield api


@pytest.fixture
def cluster(api: Api) -> ApiCluster:
    return ApiCluster(api)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
async def view(api: Api, namespace: str, watched: Watched) -> AsyncIterator[WorkflowView]:
    view = WorkflowView(api, notify=watched.take, log=RecordedLog())
    async with running(view):
        await view.synced(namespace)
        yield view


@pytest.mark.usefixtures("view")
async def test_a_rollout_is_followed_to_its_end(
    watched: Watched, cluster: ApiCluster, namespace: str
) -> None:
    await cluster.apply(workload(namespace))

    await watched.status(phase=RolloutPhase.READY, source_digest=FIRST, available=1)
    assert watched.told == [T.PROGRESSING, T.COMPLETE]


@pytest.mark.usefixtures("view")
async def test_a_new_pod_that_crashes_stalls_the_rollout_while_the_old_one_serves(
    watched: Watched, cluster: ApiCluster, api: Api, namespace: str
) -> None:
    await cluster.apply(workload(namespace))
    await watched.status(phase=RolloutPhase.READY)
    await cluster.apply(workload(namespace, CRASH, digest=SECOND))

    status = await watched.status(stalled=True)
    assert (status.phase, status.reason, status.available) == (RolloutPhase.DEGRADED, "CrashLoopBackOff", 1)
    assert status.message == "container hello exited with code 3, restarted 1 time"
    assert watched.told == [T.PROGRESSING, T.COMPLETE, T.PROGRESSING, T.STALLED]
    assert status.pod is not None
    assert await ApiPodLogs(api).last_lines(namespace, status.pod) == ("about to fail",)


@pytest.mark.usefixtures("view")
async def test_an_image_that_is_nowhere_stalls_the_rollout(
    watched: Watched, cluster: ApiCluster, api: Api, namespace: str
) -> None:
    await cluster.apply(workload(namespace, image=MISSING))

    status = await watched.status(stalled=True)
    assert (status.phase, status.reason) == (RolloutPhase.NOT_READY, "ImagePullBackOff")
    assert "127.0.0.1:1/" in status.message
    assert status.pod is not None
    assert await ApiPodLogs(api).last_lines(namespace, status.pod) == (), "it has never run"


@pytest.mark.usefixtures("view")
async def test_a_pod_that_is_never_healthy_is_explained_by_its_events(
    watched: Watched, cluster: ApiCluster, namespace: str
) -> None:
    manifest = workload(namespace, NEVER_HEALTHY)
    manifest["spec"]["progressDeadlineSeconds"] = 10
    await cluster.apply(manifest)

    status = await watched.status(reason="Unhealthy")
    assert (status.phase, status.stalled) == (RolloutPhase.PROGRESSING, False)
    assert "statuscode: 503" in status.message
    assert (await watched.status(stalled=True)).reason == "Unhealthy"


@pytest.mark.usefixtures("view")
async def test_a_runtime_that_no_node_has_stalls_the_rollout(
    watched: Watched, cluster: ApiCluster, testbed: Testbed, namespace: str
) -> None:
    runtime = f"missing-{namespace}"
    await testbed.kubectl("create", "-f", "-", document=runtime_class(runtime))
    try:
        await cluster.apply(workload(namespace, runtimeClassName=runtime))
        status = await watched.status(stalled=True)
    finally:
        await testbed.kubectl("delete", "runtimeclass", runtime)
    assert (status.phase, status.reason) == (RolloutPhase.NOT_READY, "FailedCreatePodSandBox")


def runtime_class(name: str) -> str:
    metadata = {"name": name}
    return json.dumps(
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": metadata, "handler": "missing"}
    )


@pytest.mark.usefixtures("view")
async def test_a_quota_that_is_used_up_stalls_the_rollout(
    watched: Watched, cluster: ApiCluster, testbed: Testbed, namespace: str
) -> None:
    await testbed.kubectl("create", "quota", "none", "--hard=pods=0", "-n", namespace)
    await cluster.apply(workload(namespace))

    status = await watched.status(stalled=True)
    assert (status.reason, status.pod) == ("FailedCreate", None)
    assert "exceeded quota: none" in status.message


@pytest.mark.usefixtures("view")
async def test_a_pod_that_no_node_has_room_for_stalls_the_rollout(
    watched: Watched, cluster: ApiCluster, namespace: str
) -> None:
    await cluster.apply(workload(namespace, cpu="1000"))

    status = await watched.status(stalled=True)
    assert status.reason == "Unschedulable"
    assert "Insufficient cpu" in status.message


@pytest.mark.usefixtures("view")
async def test_a_deployment_that_is_scaled_to_zero_is_ready(
    watched: Watched, cluster: ApiCluster, namespace: str
) -> None:
    await cluster.apply(workload(namespace, replicas=0))

    assert (await watched.status(phase=RolloutPhase.READY)).desired == 0


@pytest.mark.usefixtures("view")
async def test_a_rollout_that_was_complete_and_loses_its_pod_is_degraded_until_it_recovers(
    watched: Watched, cluster: ApiCluster, testbed: Testbed, namespace: str
) -> None:
    await cluster.apply(workload(namespace))
    await watched.status(phase=RolloutPhase.READY)
    await testbed.kubectl("delete", "pods", "--all", "--wait=false", "-n", namespace)

    await watched.until(lambda _: watched.told[-2:] == [T.DEGRADED, T.COMPLETE])
    assert watched.told == [T.PROGRESSING, T.COMPLETE, T.DEGRADED, T.COMPLETE]


async def test_a_deployment_that_is_deleted_is_gone_from_the_view(
    view: WorkflowView, watched: Watched, cluster: ApiCluster, testbed: Testbed, namespace: str
) -> None:
    view.observe(await cluster.apply(workload(namespace, replicas=0)))
    assert view.deployment(namespace, "hello") is not None
    await testbed.kubectl("delete", "deployment", "hello", "-n", namespace)

    await watched.until(lambda change: change.deployment is None)
    assert view.deployment(namespace, "hello") is None


async def test_what_an_apply_returned_is_seen_at_once(
    view: WorkflowView, watched: Watched, cluster: ApiCluster, namespace: str
) -> None:
    view.observe(await cluster.apply(workload(namespace, replicas=0)))

    seen = view.deployment(namespace, "hello")
    assert seen is not None
    assert (seen.generation, seen.source_digest, seen.managed) == (1, FIRST, True)
    assert watched.told[0] is T.PROGRESSING


async def test_what_is_known_is_told_again_on_request(
    view: WorkflowView, watched: Watched, cluster: ApiCluster, namespace: str
) -> None:
    view.announce(namespace, "hello")
    assert watched.changes == []
    view.observe(await cluster.apply(workload(namespace, replicas=0)))
    view.announce(namespace, "hello")

    assert watched.changes[-1] is watched.changes[-2]


async def test_deployments_of_others_are_not_seen(
    view: WorkflowView, watched: Watched, cluster: ApiCluster, testbed: Testbed, namespace: str
) -> None:
    await testbed.kubectl("create", "deployment", "theirs", "--image=x", "--replicas=0", "-n", namespace)
    await cluster.apply(workload(namespace, replicas=0))

    await watched.status(phase=RolloutPhase.READY)
    assert {change.name for change in watched.changes} == {"hello"}


async def test_a_namespace_that_is_not_watched_holds_nothing(view: WorkflowView) -> None:
    view.observe(workload("elsewhere"))

    assert view.deployment("elsewhere", "hello") is None


class Gate:
    """A port that leads to the API server while it is open, and cuts everything off when it closes."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            there, back = await asyncio.open_connection(*self._target)
            self._writers |= {writer, back}
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, back))
                group.create_task(self._pass(there, writer))

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while content := await reader.read(2**16):
                writer.write(content)
                await writer.drain()
        writer.close()


@pytest.fixture
async def gate(testbed: Testbed, tmp_path: Path) -> AsyncIterator[tuple[Gate, Path]]:
    """Return a gate that is open, and a kubeconfig that leads through it."""
    config = yaml.safe_load(testbed.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    assert server.hostname is not None
    gate = Gate(server.hostname, server.port or 443)
    await gate.open()
    cluster |= {"server": f"{server.scheme}://127.0.0.1:{gate.port}", "tls-server-name": server.hostname}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    try:
        yield gate, path
    finally:
        gate.close()


async def test_what_happens_while_the_api_server_is_away_is_seen_when_it_is_back(
    gate: tuple[Gate, Path], watched: Watched, cluster: ApiCluster, testbed: Testbed, namespace: str
) -> None:
    door, config = gate
    log = RecordedLog()
    await cluster.apply(workload(namespace, name="doomed", replicas=0))
    async with connect(kubeconfig=config) as api:
        view = WorkflowView(api, notify=watched.take, log=log, policy=WatchPolicy(retry_base_s=0.05))
        async with running(view):
            await view.synced(namespace)
            door.close()
            await testbed.kubectl("delete", "deployment", "doomed", "-n", namespace)
            await cluster.apply(workload(namespace, name="born", replicas=0))
            assert view.deployment(namespace, "doomed") is not None
            await door.open()
            await watched.until(lambda change: change.name == "doomed" and change.deployment is None)
            await watched.until(lambda change: change.name == "born")
    assert view.deployment(namespace, "doomed") is None
    reported = [line["resource"] for line in log.named(Event.WATCH_DISCONNECTED)]
    assert sorted(reported) == ["deployments", "pods"], "each says it once"


async def test_a_view_waits_for_an_api_server_that_is_not_there_yet(
    gate: tuple[Gate, Path], watched: Watched, namespace: str
) -> None:
    door, config = gate
    door.close()
    log = RecordedLog()
    async with connect(kubeconfig=config) as api:
        view = WorkflowView(api, notify=watched.take, log=log, policy=WatchPolicy(retry_base_s=0.05))
        async with running(view), asyncio.TaskGroup() as group:
            synced = group.create_task(view.synced(namespace))
            await log.until(Event.WATCH_DISCONNECTED)
            assert not synced.done()
            await door.open()
    assert {line["resource"] for line in log.named(Event.WATCH_LISTED)} == {"deployments", "pods"}


async def test_a_view_waits_for_rights_that_are_missing(
    testbed: Testbed, watched: Watched, namespace: str, tmp_path: Path
) -> None:
    user = await service_account(testbed, namespace, "default")
    log = RecordedLog()
    policy = WatchPolicy(refused_base_s=0.1, refused_cap_s=0.1)
    async with connect(kubeconfig=with_user(testbed, tmp_path / "config", user)) as api:
        view = WorkflowView(api, notify=watched.take, log=log, policy=policy)
        async with running(view), asyncio.TaskGroup() as group:
            synced = group.create_task(view.synced(namespace))
            await log.until(Event.WATCH_DISCONNECTED)
            assert not synced.done()
            binding = ("rolebinding", "sees", "--clusterrole=view", f"--serviceaccount={namespace}:default")
            await testbed.kubectl("create", *binding, "-n", namespace)
    assert {line["reason"] for line in log.named(Event.WATCH_DISCONNECTED)} == {"forbidden"}
