"""What the daemon does with a workflow that was rolled back, on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.logs import Event
from tests.rollback import held_from, release, roll_back
from tests.world import FakeWorld, LoopUnderTest, digest_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.looptime

ALPHA = Path("/workflows/alpha")
LONG_S = 300


@asynccontextmanager
async def running(world: FakeWorld) -> AsyncIterator[LoopUnderTest]:
    daemon = LoopUnderTest(world)
    try:
        await asyncio.sleep(LONG_S)
        yield daemon
    finally:
        await daemon.kill()


@asynccontextmanager
async def two_saves(world: FakeWorld) -> AsyncIterator[LoopUnderTest]:
    """Run a daemon that has rolled out two saves of alpha, one after the other."""
    world.disk.save(ALPHA, "one")
    async with running(world) as daemon:
        await save(world, daemon, "two")
        yield daemon


async def save(world: FakeWorld, daemon: LoopUnderTest, text: str) -> None:
    world.disk.save(ALPHA, text)
    daemon.saved(ALPHA)
    await asyncio.sleep(LONG_S)


async def look_at_all_as_a_matter_of_routine(daemon: LoopUnderTest) -> None:
    for _ in range(3):
        daemon.queue.refresh(ALPHA, cause="resync")
        await asyncio.sleep(30)


async def test_a_rollback_is_told_of_once_and_left_alone_whatever_else_happens():
    world = FakeWorld()
    async with two_saves(world) as daemon:
        roll_back(world.cluster, "alpha")
        await look_at_all_as_a_matter_of_routine(daemon)
        daemon.saved(ALPHA)  # a touch is no save
        world.cluster.scale("alpha", 2)
        world.cluster.lose_pods("alpha")
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("one")
    assert world.cluster.deployments["alpha"]["spec"]["replicas"] == 2, (
        "drift repair knows no earlier sources"
    )
    (held,) = world.log.named(Event.WORKFLOW_HELD)
    assert held["reason"] == "rolled-back"
    assert "roll out what is saved: `pdwatch rollback alpha -n dev --release`" in held["remedy"]
    assert "retry_in_s" not in held


async def test_it_is_held_by_a_daemon_that_starts_later_too():
    world = FakeWorld()
    async with two_saves(world):
        pass
    roll_back(world.cluster, "alpha")
    applied = len(world.cluster.applied)
    async with running(world):
        (held,) = world.log.named(Event.WORKFLOW_HELD)
        assert held["reason"] == "rolled-back"
    assert len(world.cluster.applied) == applied


async def test_the_next_save_is_rolled_out_and_nothing_is_held_any_more():
    world = FakeWorld()
    async with two_saves(world) as daemon:
        roll_back(world.cluster, "alpha")
        await asyncio.sleep(LONG_S)
        await save(world, daemon, "three")
        assert world.cluster.digest("alpha") == digest_of("three")
        assert held_from(world.cluster, "alpha") is None
        await save(world, daemon, "two")
    assert world.cluster.digest("alpha") == digest_of("two"), (
        "what was rolled back from is a save like any other"
    )


async def test_saving_what_it_was_rolled_back_to_ends_the_hold_without_a_build():
    world = FakeWorld()
    async with two_saves(world) as daemon:
        roll_back(world.cluster, "alpha")
        await asyncio.sleep(LONG_S)
        builds = world.docker.builds
        await save(world, daemon, "one")
        assert (world.docker.builds, held_from(world.cluster, "alpha")) == (builds, None)
        assert world.log.named(Event.DEPLOY_APPLIED)[-1]["cause"] == "released"
        await save(world, daemon, "two")
    assert world.cluster.digest("alpha") == digest_of("two")


@pytest.mark.parametrize("restarts", [False, True], ids=["while the daemon runs", "after a restart"])
async def test_a_hold_that_is_released_lets_what_is_saved_roll_out_at_once(restarts: bool):  # noqa: FBT001  # a case
    world = FakeWorld()
    async with two_saves(world):
        roll_back(world.cluster, "alpha")
        await asyncio.sleep(LONG_S)
        if not restarts:
            release(world.cluster, "alpha")
            await asyncio.sleep(5)
    if restarts:
        async with running(world):
            assert world.cluster.digest("alpha") == digest_of("one")
            release(world.cluster, "alpha")
            await asyncio.sleep(5)
    assert world.cluster.digest("alpha") == digest_of("two")


async def test_a_deployment_that_is_deleted_while_it_is_held_comes_back_as_what_is_saved():
    world = FakeWorld()
    async with two_saves(world):
        roll_back(world.cluster, "alpha")
        await asyncio.sleep(LONG_S)
        world.cluster.delete("alpha")
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("two")
