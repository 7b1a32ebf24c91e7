"""Many saves at once: the newest wins, builds stay few, and nobody waits for what nobody asked for."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.building import BUILDS, QUEUED_S
from pdwatch.logs import Event
from tests.world import BUILD_S, SCAN_S, FakeWorld, LoopUnderTest, digest_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

pytestmark = pytest.mark.looptime

LONG_S = 300


def roots(count: int) -> list[Path]:
    return [Path(f"/workflows/w{number:03}") for number in range(count)]


@asynccontextmanager
async def running(world: FakeWorld) -> AsyncIterator[LoopUnderTest]:
    daemon = LoopUnderTest(world)
    try:
        yield daemon
    finally:
        await daemon.kill()


@asynccontextmanager
async def at_rest(world: FakeWorld, workflows: Sequence[Path]) -> AsyncIterator[LoopUnderTest]:
    """Run a daemon that has rolled the workflows out."""
    for root in workflows:
        world.disk.save(root, "first")
    async with running(world) as daemon:
        await asyncio.sleep(LONG_S)
        world.docker.begun.clear()
        world.docker.most_in_all = world.docker.builds = 0
        world.log.lines.clear()
        yield daemon


async def test_of_fifty_saves_in_a_second_the_last_is_what_runs_and_hardly_any_is_built_to_its_end():
    world, (alpha,) = FakeWorld(), roots(1)
    async with at_rest(world, [alpha]) as daemon:
        for number in range(50):
            world.disk.save(alpha, f"save {number}")
            daemon.saved(alpha)
            await asyncio.sleep(0.02)
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest(alpha.name) == digest_of("save 49")
    assert world.docker.builds == 1
    assert world.docker.most_in_all == 1
    assert [digest for _, digest in world.cluster.applied] == [digest_of("first"), digest_of("save 49")]


async def test_a_workflow_that_is_saved_again_and_again_does_not_keep_the_others_from_being_built():
    world, workflows = FakeWorld(), roots(6)
    busy, *others = workflows
    async with at_rest(world, workflows) as daemon:
        for number in range(150):
            world.disk.save(busy, f"save {number}")
            daemon.saved(busy)
            if number == 10:
                for root in others:
                    world.disk.save(root, "second")
                    daemon.saved(root)
            await asyncio.sleep(0.05)
        assert {world.cluster.digest(root.name) for root in others} == {digest_of("second")}
        await asyncio.sleep(LONG_S)
        assert world.cluster.digest(busy.name) == digest_of("save 149")


async def test_a_workflow_that_is_saved_again_while_it_waits_keeps_its_place():
    world, workflows = FakeWorld(), roots(5)
    async with at_rest(world, workflows) as daemon:
        for root in workflows:
            world.disk.save(root, "second")
            daemon.saved(root)
            await asyncio.sleep(2 * SCAN_S)
        await asyncio.sleep(0.5)
        world.disk.save(workflows[2], "third")
        daemon.saved(workflows[2])
        await asyncio.sleep(LONG_S)
    assert world.docker.begun == [root.name for root in workflows]
    assert world.cluster.digest(workflows[2].name) == digest_of("third")


@pytest.mark.parametrize("together", [1, 8])
async def test_a_hundred_workflows_saved_at_once_are_each_built_once_and_never_more_than_the_slots(
    together: int,
):
    """Of each slot as many at once as Docker makes in one go."""
    world, workflows = FakeWorld(), roots(100)
    world.docker.builds_per_turn = together
    async with at_rest(world, workflows) as daemon:
        for root in workflows:
            world.disk.save(root, "second")
            daemon.saved(root)
        await asyncio.sleep(LONG_S)
    assert {world.cluster.digest(root.name) for root in workflows} == {digest_of("second")}
    assert sorted(world.docker.begun) == [root.name for root in workflows]
    assert world.docker.most_in_all == BUILDS * together


@pytest.mark.parametrize("besides", [None, "settings", "drift"])
async def test_a_save_is_built_at_once_while_a_hundred_workflows_are_built_for_the_first_time(
    besides: str | None,
):
    """Whatever else it is looked at for by then."""
    world, workflows = FakeWorld(), roots(100)
    for root in workflows:
        world.disk.save(root, "first")
    async with running(world) as daemon:
        await asyncio.sleep(5 * BUILD_S)
        last = workflows[-1]
        world.disk.save(last, "saved")
        daemon.saved(last)
        if besides is not None:
            daemon.queue.add(last, cause=besides)
        await asyncio.sleep(BUILD_S + 1)
        assert world.cluster.digest(last.name) == digest_of("saved")
        (begun,) = (
            line
            for line in world.log.named(Event.BUILD_STARTED)
            if (line["workflow"], line["source_digest"]) == (last.name, digest_of("saved"))
        )
        assert begun["wait_ms"] == 0
        assert world.docker.most_in_all <= BUILDS


async def test_what_waits_says_behind_what_once_it_has_waited_noticeably():
    world, workflows = FakeWorld(), roots(5)
    async with at_rest(world, workflows) as daemon:
        for root in workflows:
            world.disk.save(root, "second")
            daemon.saved(root)
            await asyncio.sleep(2 * SCAN_S)
        await asyncio.sleep(QUEUED_S / 2)
        assert not world.log.named(Event.BUILD_QUEUED)
        await asyncio.sleep(LONG_S)
        told = {line["workflow"]: line["message"] for line in world.log.named(Event.BUILD_QUEUED)}
    # The third and the fourth have their turn after less than a second; only the last waits for longer.
    assert told == {"w004": "waits for a build slot behind w002, w003 (2 at once)"}
