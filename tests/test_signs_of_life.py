"""Every part of the daemon that hangs is found out, on virtual time; nothing else is taken for hung."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from pdwatch.adapters.kubernetes.list_watch import Collection, ListWatch
from pdwatch.building import BUILD_S
from pdwatch.core.liveness import GRACE_S
from pdwatch.delivery import APPLY_S, Delivery, World
from pdwatch.errors import ClusterUnavailableError, ForbiddenError
from pdwatch.heartbeats import Heartbeats
from pdwatch.reconciler import SCAN_S, Reconciler
from pdwatch.tracked import Policy, TrackedWorkflows
from pdwatch.workqueue import WorkQueue
from tests.adapters.recorded_log import RecordedLog
from tests.world import NAMESPACE, FakeWorld, everywhere

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.errors import PdwatchError

pytestmark = pytest.mark.looptime
HELLO = Path("/w/hello")


async def hang(*_: Any, **__: Any) -> Any:
    await asyncio.Event().wait()


@asynccontextmanager
async def working(world: FakeWorld) -> AsyncIterator[Heartbeats]:
    """Work on ``hello`` as the daemon does."""
    clock, tracked, heartbeats = asyncio.get_running_loop().time, TrackedWorkflows(), Heartbeats()
    world.cluster.relist()
    ports = World(
        reader=world.disk,
        builder=world.docker,
        publisher=world.docker,
        cluster=world.cluster,
        view=world.cluster,
    )
    common: dict[str, Any] = {"tracked": tracked, "log": world.log, "clock": clock, "heartbeats": heartbeats}
    delivery = Delivery(lambda _: ports, jitter=random.Random(0).random, **common)
    queue = WorkQueue(
        Reconciler(world.disk, delivery, policy=everywhere(Policy(namespace=NAMESPACE)), **common).reconcile
    )
    queue.add(HELLO, cause="start")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(queue.run())
        yield heartbeats
        task.cancel()


@pytest.fixture
def world() -> FakeWorld:
    world = FakeWorld()
    world.disk.save(HELLO, "first")
    return world


@pytest.mark.parametrize(
    ("port", "call", "part", "within_s"),
    [
        pytest.param("disk", "scan", "scan /w/hello", SCAN_S, id="its files can't be read"),
        pytest.param("docker", "build", "build /w/hello", BUILD_S, id="its build does not end"),
        pytest.param("docker", "publish", "build /w/hello", BUILD_S, id="its push does not end"),
        pytest.param("cluster", "apply", "apply /w/hello", APPLY_S, id="its apply does not end"),
    ],
)
async def test_a_worker_that_hangs_is_overdue_where_it_hangs(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch, port: str, call: str, part: str, within_s: float
):
    monkeypatch.setattr(type(getattr(world, port)), call, hang)
    async with working(world) as heartbeats:
        await asyncio.sleep(within_s)
        assert heartbeats.overdue() == ()
        await asyncio.sleep(2 * GRACE_S)
        assert heartbeats.overdue() == (part,)


async def test_a_worker_that_waits_for_a_cluster_that_is_away_for_a_week_lives(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(type(world.cluster), "synced", hang)
    async with working(world) as heartbeats:
        await asyncio.sleep(7 * 24 * 3600)
        assert heartbeats.overdue() == ()


async def test_a_worker_that_is_done_lives(world: FakeWorld):
    async with working(world) as heartbeats:
        await asyncio.sleep(7 * 24 * 3600)
        assert heartbeats.overdue() == ()


class Server:
    """An API server as a watch sees it: it fails, or is so deaf that not even time limits help."""

    server = "https://it"

    def __init__(self, failure: PdwatchError | None) -> None:
        self.failure = failure

    async def request(self, *_: Any, **__: Any) -> dict[str, Any]:
        if self.failure is not None:
            raise self.failure
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        pytest.param(ClusterUnavailableError("away"), set(), id="a cluster that is away is tried again"),
        pytest.param(ForbiddenError("no right"), set(), id="so is one that refuses, less often"),
        pytest.param(None, {"watch /api/v1/pods"}, id="a request without an end is a hung watch"),
    ],
)
async def test_a_watch_lives_as_long_as_it_tries(failure: PdwatchError | None, expected: set[str]):
    heartbeats = Heartbeats()
    watch = ListWatch(
        cast("Api", Server(failure)),
        Collection(resource="pods", path="/api/v1/pods", selection={}),
        log=RecordedLog(),
        heartbeats=heartbeats,
    )

    async def follow() -> None:
        async with aclosing(watch.changes()) as changes:
            async for _ in changes:
                pass

    async with asyncio.TaskGroup() as group:
        task = group.create_task(follow())
        found: set[str] = set()
        for _ in range(1000):
            await asyncio.sleep(7)
            found |= set(heartbeats.overdue())
        assert found == expected
        task.cancel()
    assert heartbeats.overdue() == ()
