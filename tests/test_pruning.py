"""When images are pruned, and what is told of it, on virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.core.model import Place
from pdwatch.core.retention import ON_ITS_WAY, Ingredient, Pruned, StoredImage
from pdwatch.errors import DockerUnavailableError
from pdwatch.logs import Event
from pdwatch.pruning import PRUNE_S, ImagePruning
from pdwatch.tracked import TrackedWorkflow
from tests.recording_log import RecordingLog

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pdwatch.core.retention import Removal

pytestmark = pytest.mark.looptime

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER_S = ON_ITS_WAY.total_seconds()


@dataclass(slots=True)
class Store:
    """Four images a workflow; the cluster still names the first."""

    removed: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    takes_s: float = 0.1
    delivered_at: datetime | None = NOW - timedelta(days=1)
    left: tuple[Ingredient, ...] = ()
    looks: int = 0

    async def images(self, workflow: str | None = None) -> tuple[StoredImage, ...]:
        return tuple(
            StoredImage(
                id=f"sha256:{number}",
                workflow=str(workflow),
                version="1",
                source_digest=f"sha256:{number:064x}",
                references=(f"{workflow}:1",),
                delivered_at=self.delivered_at and self.delivered_at + timedelta(minutes=number),
            )
            for number in range(4)
        )

    async def running(self) -> frozenset[str]:
        return frozenset({"sha256:0"})

    async def unused(self, *, in_use: Collection[str] = ()) -> tuple[Ingredient, ...]:
        self.looks += 1
        return self.left

    async def remove(self, removals: Sequence[Removal], unused: Sequence[Ingredient] = ()) -> Pruned:
        await asyncio.sleep(self.takes_s)
        if self.failures:
            raise self.failures.pop()
        self.removed += [f"{each.image.workflow} {each.image.id}" for each in removals]
        self.removed += [each.id for each in unused]
        return Pruned(count=len(removals), bytes=100 * len(removals))


@dataclass(slots=True)
class History:
    asked: list[str] = field(default_factory=list)

    async def images(self, namespace: str, workflow: str) -> frozenset[str]:
        self.asked.append(workflow)
        return frozenset({f"{workflow}:other", "sha256:1"} if workflow == "beta" else ())


def workflow(name: str) -> TrackedWorkflow:
    tracked = TrackedWorkflow(Path("/workflows") / name)
    tracked.claim = Place(target="kubernetes", namespace="dev", name=name)
    return tracked


async def pruned(
    store: Store, *names: str, keep: int = 2, history: History | None = None, again: Sequence[str] = ()
) -> RecordingLog:
    log, loop = RecordingLog(), asyncio.get_running_loop()
    began = loop.time()

    def now() -> datetime:
        return NOW + timedelta(seconds=loop.time() - began)

    pruning = ImagePruning(store, history or History(), keep=keep, log=log, now=now)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(pruning.run())
        for name in names:
            pruning.rolled_out(workflow(name))
        await asyncio.sleep(5 * PRUNE_S)
        for name in again:
            pruning.rolled_out(workflow(name))
            await asyncio.sleep(LATER_S)
        task.cancel()
    return log


async def test_after_a_rollout_what_is_neither_new_nor_used_goes_and_is_told_of():
    store = Store()
    log = await pruned(store, "alpha", "beta", "alpha")
    assert store.removed == ["alpha sha256:1"], "beta's is named by a ReplicaSet"
    assert log.lines == [
        {
            "event": "images.pruned",
            "workflow": "alpha",
            "namespace": "dev",
            "target": "kubernetes",
            "count": 1,
            "bytes": 100,
        }
    ]


async def test_the_cluster_is_not_asked_as_long_as_nothing_would_go_anyway():
    store, history = Store(), History()
    await pruned(store, "alpha", keep=4, history=history)
    assert (store.removed, history.asked) == ([], [])
    await pruned(store, "alpha", history=history)
    assert history.asked == ["alpha"]


async def test_what_nobody_has_delivered_yet_goes_once_it_has_been_there_for_a_while():
    store = Store(delivered_at=None)
    await pruned(store, "alpha", again=["alpha"])
    assert store.removed == [], "another process may have built it just now"
    await pruned(store, "alpha", again=["alpha", "alpha"])
    assert store.removed == ["alpha sha256:1"]


async def test_what_a_cancelled_build_left_goes_once_it_has_been_unused_for_a_while():
    code = Ingredient(id="sha256:code", references=("pdwatch-dependencies:1",))
    store = Store(left=(code,))
    await pruned(store, "alpha", keep=4, again=["alpha"])
    assert store.removed == [], "a build may have made it just now"
    await pruned(store, "alpha", keep=4, again=["alpha", "alpha"])
    assert store.removed == ["sha256:code"]


async def test_unused_images_are_looked_for_once_in_ten_minutes_however_many_workflows_are_rolled_out():
    store = Store()
    await pruned(store, "alpha", "beta", "gamma", keep=4)
    assert store.looks == 1
    await pruned(store, "alpha", "beta", keep=4, again=["alpha", "alpha"])
    assert store.looks == 1 + 2


@pytest.mark.parametrize(
    ("failure", "takes_s", "message"),
    [
        pytest.param([DockerUnavailableError("Docker is down")], 0.1, "Docker is down", id="Docker fails"),
        pytest.param([], 2 * PRUNE_S, f"not done after {PRUNE_S:g} s", id="Docker hangs"),
    ],
)
async def test_what_fails_is_told_of_and_the_next_workflow_has_its_turn(
    failure: list[Exception], takes_s: float, message: str
):
    store = Store(failures=failure, takes_s=takes_s)
    log = await pruned(store, "alpha", "gamma")
    told = log.named(Event.PRUNE_FAILED)
    assert (told[0]["workflow"], told[0]["message"]) == ("alpha", message)
    assert {line["workflow"] for line in log.lines} == {"alpha", "gamma"}
