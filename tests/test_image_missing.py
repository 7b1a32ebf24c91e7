"""Pods that can't get their image: what the daemon does about it, on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.core.image_lack import AWAITED_S
from pdwatch.core.model import ObservedPod, ViewChange
from pdwatch.core.rollout import rollout_status
from pdwatch.delivery import RETRY_CAP_S
from pdwatch.logs import Event
from tests.world import BUILD_S, NAMESPACE, Docker, FakeWorld, LoopUnderTest, digest_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pdwatch.core.model import BuiltImage, ImageRef

pytestmark = pytest.mark.looptime

ALPHA = Path("/workflows/alpha")
LONG_S = 300
DENIED = "pull access denied for alpha, repository does not exist"


@dataclass(slots=True)
class DockerWithRegistry(Docker):
    """Pushes what it has built."""

    pushed: list[str] = field(default_factory=list)

    async def publish(self, image: BuiltImage) -> ImageRef:
        ref = replace(image.tags[0], digest=digest_of(image.id))
        self.pushed.append(str(ref))
        return ref


@asynccontextmanager
async def at_rest(world: FakeWorld) -> AsyncIterator[LoopUnderTest]:
    """Run a daemon that has rolled out the workflow alpha."""
    world.disk.save(ALPHA, "one")
    daemon = LoopUnderTest(world)
    try:
        await asyncio.sleep(LONG_S)
        world.log.lines.clear()
        world.docker.builds = 0
        yield daemon
    finally:
        await daemon.kill()


def cannot_pull(world: FakeWorld, message: str = DENIED, *, generation: int | None = None) -> None:
    """Show that a new pod of alpha waits for its image: now, or in the rollout of an earlier generation."""
    observed = replace(world.cluster.seen["alpha"], ready=0, available=0)
    if generation is not None:
        observed = replace(observed, generation=generation)
    pod = ObservedPod(
        name="alpha-1",
        namespace=NAMESPACE,
        workflow="alpha",
        source_digest=observed.source_digest,
        phase="Pending",
        ready=False,
        reason="ImagePullBackOff",
        message=message,
    )
    show(world, rollout_of=(observed, pod))


def runs(world: FakeWorld) -> None:
    """Show that all pods of alpha are ready."""
    show(world, rollout_of=(world.cluster.seen["alpha"],))


def show(world: FakeWorld, *, rollout_of: tuple[object, ...]) -> None:
    observed, *pods = rollout_of
    status = rollout_status(observed, pods)  # type: ignore[arg-type]
    world.cluster.changes.put_nowait(
        ViewChange(namespace=NAMESPACE, name="alpha", deployment=observed, status=status)  # type: ignore[arg-type]
    )


def events(world: FakeWorld) -> list[str]:
    return [line["event"] for line in world.log.lines if line["event"] != "workflow.unchanged"]


async def test_an_image_that_is_gone_is_built_again_under_the_same_reference():
    world = FakeWorld()
    async with at_rest(world):
        images = frozenset(world.docker.images)
        world.docker.images.clear()
        cannot_pull(world)
        await asyncio.sleep(LONG_S)
    assert world.docker.images == images
    assert events(world) == [
        "rollout.stalled",
        "image.missing",
        "build.started",
        "build.succeeded",
        "deploy.applied",
        "rollout.complete",
    ]
    (missing,), (applied,) = world.log.named(Event.IMAGE_MISSING), world.log.named(Event.DEPLOY_APPLIED)
    assert images == {missing["image"]}
    assert (applied["cause"], applied["image"]) == ("image-missing", missing["image"])


async def test_an_image_that_the_node_cannot_reach_is_not_built_and_told_of_once_until_it_can():
    world = FakeWorld()
    async with at_rest(world):
        cannot_pull(world)
        await asyncio.sleep(LONG_S)
        assert world.docker.builds == 0
        (held,) = world.log.named(Event.WORKFLOW_HELD)
        assert held["reason"] == "image-unreachable"
        assert "registry" in held["remedy"]
        runs(world)
        await asyncio.sleep(1)
        cannot_pull(world)
        await asyncio.sleep(1)
    assert len(world.log.named(Event.WORKFLOW_HELD)) == 2, "the first hold had ended"


async def test_an_image_that_goes_while_the_node_cannot_reach_it_is_built_at_the_next_look():
    world = FakeWorld()
    async with at_rest(world):
        cannot_pull(world)
        await asyncio.sleep(LONG_S)
        world.docker.images.clear()
        await asyncio.sleep(RETRY_CAP_S + 2 * BUILD_S)
    assert world.docker.builds == 1


async def test_a_node_has_time_to_try_again_before_what_was_brought_back_counts_as_out_of_reach():
    world = FakeWorld()
    async with at_rest(world):
        world.docker.images.clear()
        cannot_pull(world)
        await asyncio.sleep(10)
        cannot_pull(world)
        await asyncio.sleep(AWAITED_S - 20)
        assert not world.log.named(Event.WORKFLOW_HELD)
        await asyncio.sleep(20 + RETRY_CAP_S)
        assert len(world.log.named(Event.WORKFLOW_HELD)) == 1
    assert world.docker.builds == 1


async def test_whoever_removes_an_image_again_and_again_is_answered_less_and_less_often():
    world = FakeWorld()
    async with at_rest(world):
        for _ in range(LONG_S):
            world.docker.images.clear()
            cannot_pull(world)
            await asyncio.sleep(1)
    assert 2 < world.docker.builds < 20


async def test_an_image_that_fails_to_be_built_is_tried_again():
    world = FakeWorld()
    async with at_rest(world):
        world.docker.images.clear()
        world.docker.down = True
        cannot_pull(world)
        await asyncio.sleep(LONG_S)
        world.docker.down = False
        await asyncio.sleep(LONG_S)
    assert world.log.named(Event.BUILD_FAILED)
    assert world.docker.builds == 1


async def test_what_a_registry_has_lost_is_pushed_again_once():
    docker = DockerWithRegistry()
    world = FakeWorld(docker=docker)
    async with at_rest(world):
        cannot_pull(world, "connection refused")
        await asyncio.sleep(1)
        assert len(docker.pushed) == 1, "it may have it still"
        cannot_pull(world, "manifest unknown")
        await asyncio.sleep(10)
        cannot_pull(world, "manifest unknown")
        await asyncio.sleep(AWAITED_S / 2)
    assert docker.pushed == [docker.pushed[0]] * 2
    assert docker.builds == 0
    (missing,) = world.log.named(Event.IMAGE_MISSING)
    assert missing["message"].startswith(f"{docker.pushed[0]} is gone from its registry")


async def test_what_an_earlier_rollout_could_not_reach_holds_nothing():
    world = FakeWorld()
    async with at_rest(world):
        cannot_pull(world, generation=0)
        await asyncio.sleep(LONG_S)
    assert events(world) == ["rollout.stalled"]


async def test_a_save_ends_the_wait_for_an_image():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        cannot_pull(world)
        await asyncio.sleep(1)
        world.disk.save(ALPHA, "two")
        daemon.saved(ALPHA)
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("two")
    assert events(world)[-1] == "rollout.complete"
