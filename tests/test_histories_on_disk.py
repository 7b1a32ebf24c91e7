"""Promises 1 to 4 with what is real of them: files, inotify, the settle policy, and each builder's images.

Only the cluster is in memory, since the pods of so many saves would take minutes; time is real, and nothing
depends on it.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiodocker
import pytest

from pdwatch.adapters.docker import docker_ports
from pdwatch.adapters.engine import engine_recipe
from pdwatch.adapters.files import FileSource
from pdwatch.adapters.watcher import FileWatcher
from pdwatch.building import BUILDS
from pdwatch.core.image import image_references
from pdwatch.delivery import Delivery, World
from pdwatch.discovery import WorkflowDiscovery
from pdwatch.logs import Event, EventLog
from pdwatch.reconciler import Reconciler
from pdwatch.rollouts import RolloutReporter
from pdwatch.tracked import Policy, TrackedWorkflows
from pdwatch.workqueue import WorkQueue
from tests.adapters.docker_workflow import delete_images
from tests.world import NAMESPACE, FakeCluster, NoPodLogs, everywhere

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from pdwatch.core.builders import BuilderName
    from pdwatch.core.log_records import Record
    from pdwatch.core.model import BuildRequest, BuiltImage, ImageRef, SourceSnapshot
    from pdwatch.ports import ImageBuilder
    from tests.testbed import Testbed

BOUND_S = 120.0
WORKFLOW = """\
name: {name}
version: "1.0"
triggers: [{{type: manual}}]
nodes: {{greet: {{path: nodes/greet.ts}}}}
edges: []
"""


@dataclass(slots=True)
class Counting:
    """Counts the builds of a builder that go on at once, and remembers what each was of."""

    builder: ImageBuilder
    under_way: int = 0
    most: int = 0
    begun: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    @property
    def builds_per_turn(self) -> int:
        return self.builder.builds_per_turn

    async def find(self, ref: ImageRef, snapshot: SourceSnapshot) -> BuiltImage | None:
        return await self.builder.find(ref, snapshot)

    async def build(self, request: BuildRequest) -> BuiltImage:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.begun.append(request.snapshot.digest)
        try:
            image = await self.builder.build(request)
        finally:
            self.under_way -= 1
        self.done.append(request.snapshot.digest)
        return image


@dataclass(slots=True, eq=False)
class Lines:
    """What a log has written, and whether there is more since one has looked."""

    all: list[dict[str, Any]] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, record: Record) -> None:
        self.all.append(dict(record.fields))
        self.more.set()

    def of(self, event: Event) -> list[dict[str, Any]]:
        return [line for line in self.all if line["event"] == event]


@dataclass(slots=True, eq=False)
class Loop:
    """The daemon's parts from the files to the image, and a cluster in memory."""

    source: FileSource
    builder: Counting
    cluster: FakeCluster
    lines: Lines
    queue: WorkQueue[Path]

    async def until(self, done: Callable[[], Awaitable[bool]]) -> None:
        """Return once something is so while nothing is worked on; lines tell when it may have become so."""
        async with asyncio.timeout(BOUND_S):
            while not await done():
                await self.lines.more.wait()
                self.lines.more.clear()
                await self.queue.idle()

    async def last_saves_run(self, roots: list[Path]) -> None:
        async def so() -> bool:
            wanted = {root.name: (await self.source.scan(root)).digest for root in roots}
            return wanted == {root.name: self.cluster.digest(root.name) for root in roots}

        await self.until(so)


@asynccontextmanager
async def running(top: Path, builder: BuilderName) -> AsyncIterator[Loop]:
    clock = asyncio.get_running_loop().time
    tracked, lines, source = TrackedWorkflows(), Lines(), FileSource(recipe=engine_recipe())
    log = EventLog(told=[lines.take])
    async with AsyncExitStack() as stack:
        docker = await stack.enter_async_context(docker_ports(builder=builder))
        counting, cluster = Counting(docker.builder), FakeCluster(apply_s=0.01)
        cluster.listed.set()
        world = World(
            reader=source, builder=counting, publisher=docker.publisher, cluster=cluster, view=cluster
        )
        delivery = Delivery(
            lambda _: world, tracked=tracked, log=log, clock=clock, jitter=random.Random(0).random
        )
        policy = everywhere(Policy(namespace=NAMESPACE))
        reconciler = Reconciler(source, delivery, policy=policy, tracked=tracked, log=log, clock=clock)
        queue = WorkQueue(reconciler.reconcile)
        reporter = RolloutReporter(
            "kubernetes",
            tracked,
            requeue=lambda workflow, cause: queue.add(workflow.root, cause=cause),
            pod_logs=NoPodLogs(),
            log=log,
            clock=clock,
        )
        discovery = WorkflowDiscovery(source, FileWatcher(beat_s=3600), tracked=tracked, queue=queue, log=log)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(queue.run(), name="work"),
                group.create_task(reporter.run(cluster.changes), name="report"),
                group.create_task(discovery.follow([top]), name="follow"),
                group.create_task(docker.run(), name="follow Docker"),
            ]
            yield Loop(source, counting, cluster, lines, queue)
            for task in tasks:
                task.cancel()


@pytest.fixture
async def roots(
    tmp_path: Path, testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Path]]:
    """Three workflows with names of their own, whose images are removed at the end."""
    monkeypatch.setenv("DOCKER_HOST", testbed.docker_host)
    names = [f"history-{secrets.token_hex(4)}" for _ in range(3)]
    for name in names:
        (tmp_path / name / "nodes").mkdir(parents=True)
        (tmp_path / name / "workflow.yaml").write_text(WORKFLOW.format(name=name))
        (tmp_path / name / "nodes/greet.ts").write_text(node("first"))
    yield [tmp_path / name for name in names]
    async with aiodocker.Docker(testbed.docker_host) as docker:
        for name in names:
            await delete_images(docker, name)


def node(text: str) -> str:
    return f"export default () => {text!r};\n"


class Hand:
    """Somebody who saves."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._saves = 0

    async def act(self, root: Path) -> None:
        await self._random.choice([self.write, self.swap, self.touch, self.break_and_mend, self.burst])(root)
        await asyncio.sleep(self._random.choice([0.0, 0.005, 0.02, 0.1, 0.4]))

    def choose(self, roots: list[Path]) -> Path:
        return self._random.choice(roots)

    async def write(self, root: Path) -> None:
        self._saves += 1
        (root / "nodes/greet.ts").write_text(node(f"save {self._saves}"))

    async def swap(self, root: Path) -> None:
        new = root / "nodes/greet.ts.new"
        self._saves += 1
        new.write_text(node(f"save {self._saves}"))
        new.rename(root / "nodes/greet.ts")

    async def touch(self, root: Path) -> None:
        os.utime(root / "nodes/greet.ts")

    async def break_and_mend(self, root: Path) -> None:
        manifest = root / "workflow.yaml"
        good = manifest.read_text()
        manifest.write_text("name: [")
        await asyncio.sleep(self._random.choice([0.0, 0.1]))
        manifest.write_text(good)

    async def burst(self, root: Path) -> None:
        for _ in range(50):
            await self.write(root)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("builder", ["layer", "buildkit"])
async def test_after_any_history_of_saves_the_last_ones_run_and_nothing_is_built_twice(
    builder: BuilderName, roots: list[Path]
):
    hand = Hand(seed=5)
    async with running(roots[0].parent, builder) as loop:
        for _ in range(12):
            await hand.act(hand.choose(roots))
        await loop.last_saves_run(roots)

        for root in roots:
            snapshot = await loop.source.scan(root)
            assert snapshot.spec is not None
            immutable = image_references(snapshot.spec, snapshot.digest)[0]
            assert await loop.builder.find(immutable, snapshot) is not None
        assert loop.builder.most <= BUILDS
        assert len(loop.builder.done) == len(set(loop.builder.done)), "what was built once is there"
        failures = (Event.BUILD_FAILED, Event.RECONCILE_FAILED, Event.DEPLOY_FAILED)
        assert [line for event in failures for line in loop.lines.of(event)] == []

        before = (list(loop.builder.begun), list(loop.cluster.applied))
        seen = len(loop.lines.of(Event.WORKFLOW_UNCHANGED))
        for root in roots:
            await hand.touch(root)

        async def looked_at() -> bool:
            return len(loop.lines.of(Event.WORKFLOW_UNCHANGED)) >= seen + len(roots)

        await loop.until(looked_at)
        assert (loop.builder.begun, loop.cluster.applied) == before


async def test_of_fifty_saves_in_a_second_none_is_built_twice_and_the_last_is_what_runs(roots: list[Path]):
    async with running(roots[0].parent, "layer") as loop:
        await loop.last_saves_run(roots)
        busy, *others = roots
        hand = Hand(seed=1)
        async with asyncio.TaskGroup() as group:
            group.create_task(hand.burst(busy))
            for root in others:
                group.create_task(hand.write(root))
        await loop.last_saves_run(roots)
        assert loop.builder.most <= BUILDS
        assert len(loop.builder.done) == len(set(loop.builder.done)) <= len(roots) + 50 + len(others)
