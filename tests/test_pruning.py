"""When images are pruned, and what is told of it, on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.core.model import Place
from pdwatch.core.retention import ON_ITS_WAY, Composition, Ingredient, ListedImage, Pruned, StoredImage
from pdwatch.errors import DockerUnavailableError
from pdwatch.logs import Event
from pdwatch.pruning import CALM_S, PRUNE_S, UNREST_S, ImagePruning
from pdwatch.tracked import TrackedWorkflow
from tests.recording_log import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Sequence

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
    made_of: tuple[Composition, ...] = ()
    """What an image was made of."""
    fails_at: str = "removal"
    lists: int = 0
    looks: int = 0

    async def listed(self) -> tuple[ListedImage, ...]:
        self.lists += 1
        if self.failures and self.fails_at == "list":
            raise self.failures.pop()
        return tuple(
            ListedImage(id=f"sha256:{number}", workflow=workflow, references=(f"{workflow}:1",))
            for workflow in ("alpha", "beta", "gamma")
            for number in range(4)
        )

    async def images(self, listed: Iterable[ListedImage]) -> tuple[StoredImage, ...]:
        return tuple(
            StoredImage(
                id=each.id,
                workflow=each.workflow,
                version="1",
                source_digest=f"sha256:{number:064x}",
                references=each.references,
                delivered_at=self.delivered_at and self.delivered_at + timedelta(minutes=number),
            )
            for number, each in enumerate(listed)
        )

    async def running(self) -> frozenset[str]:
        return frozenset({"sha256:0"})

    async def unused(self, *, in_use: Collection[str] = ()) -> tuple[Ingredient, ...]:
        self.looks += 1
        return self.left

    async def remove(self, removals: Iterable[Removal]) -> Pruned:
        await asyncio.sleep(self.takes_s)
        if self.failures:
            raise self.failures.pop()
        ids = [f"{each.image.workflow} {each.image.id}" for each in removals]
        self.removed += ids
        return Pruned(count=len(ids), bytes=100 * len(ids), made_of=self.made_of)

    async def remove_ingredients(self, unused: Iterable[Ingredient]) -> Pruned:
        ids = [each.id for each in unused]
        self.removed += ids
        return Pruned(count=len(ids), bytes=len(ids))


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


@asynccontextmanager
async def running(
    store: Store, *, keep: int = 2, history: History | None = None
) -> AsyncIterator[tuple[ImagePruning, RecordingLog]]:
    log, loop = RecordingLog(), asyncio.get_running_loop()
    began = loop.time()

    def now() -> datetime:
        return NOW + timedelta(seconds=loop.time() - began)

    pruning = ImagePruning(store, history or History(), keep=keep, log=log, now=now)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(pruning.run())
        yield pruning, log
        task.cancel()


async def pruned(
    store: Store, *names: str, keep: int = 2, history: History | None = None, again: Sequence[str] = ()
) -> RecordingLog:
    async with running(store, keep=keep, history=history) as (pruning, log):
        for name in names:
            pruning.rolled_out(workflow(name))
        await asyncio.sleep(5 * PRUNE_S)
        for name in again:
            pruning.rolled_out(workflow(name))
            await asyncio.sleep(LATER_S)
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


async def test_docker_is_asked_once_however_many_workflows_are_rolled_out_and_only_when_they_rest():
    store = Store()
    async with running(store) as (pruning, _):
        for name in ("alpha", "beta", "gamma"):
            pruning.rolled_out(workflow(name))
            await asyncio.sleep(CALM_S - 1)
        assert store.lists == 0
        await asyncio.sleep(CALM_S)
        assert (store.lists, store.removed) == (1, ["alpha sha256:1", "gamma sha256:1"])
        await asyncio.sleep(10 * CALM_S)
    assert store.lists == 1


async def test_whoever_saves_all_the_time_has_the_images_pruned_once_a_minute():
    store, pause_s = Store(), CALM_S / 2
    async with running(store) as (pruning, _):
        for _ in range(int(4.5 * UNREST_S / pause_s)):
            pruning.rolled_out(workflow("alpha"))
            await asyncio.sleep(pause_s)
    assert store.lists == 4


async def test_workflows_with_few_images_are_not_looked_at():
    store, history = Store(), History()
    await pruned(store, "alpha", "delta", history=history)
    assert history.asked == ["alpha"]


async def test_what_images_were_made_of_goes_with_the_last_of_them():
    code = Ingredient(id="sha256:code", references=("pdwatch-dependencies:1",))
    parent = Ingredient(id="sha256:parent", references=("pdwatch-parent:1",), layers=("base", "engine"))
    others = (
        Ingredient(id="sha256:other", references=("pdwatch-dependencies:2",)),
        Ingredient(id="sha256:just built", references=("pdwatch-parent:2",), layers=("base", "other")),
    )
    made_of = Composition(layers=("base", "engine", "sources"), copied=frozenset(code.references))
    store = Store(left=(code, parent, *others), made_of=(made_of,))
    log = await pruned(store, "alpha")
    assert store.removed == ["alpha sha256:1", "sha256:code", "sha256:parent"]
    assert {"event": "images.pruned", "count": 2, "bytes": 2} in log.lines


async def test_when_docker_does_not_list_its_images_one_line_says_so_and_the_next_rollout_tries_again():
    store = Store(failures=[DockerUnavailableError("Docker is down")], fails_at="list")
    log = await pruned(store, "alpha", "gamma", again=["beta"])
    (told,) = log.named(Event.PRUNE_FAILED)
    assert told["message"] == "Docker is down"
    assert store.removed == ["alpha sha256:1", "gamma sha256:1"], "beta's is named by a ReplicaSet"


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
