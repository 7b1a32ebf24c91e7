"""Undeploying what was removed, one situation at a time, on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.logs import Event
from pdwatch.removals import GRACE_S
from tests.world import FakeWorld, LoopUnderTest, digest_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.looptime

ALPHA, MOVED = Path("/workflows/alpha"), Path("/workflows/moved/alpha")
OTHER = Path("/workflows/other")
LONG_S = 300
SOON_S = GRACE_S / 3


@asynccontextmanager
async def at_rest(*, undeploys: bool = True) -> AsyncIterator[tuple[FakeWorld, LoopUnderTest]]:
    """Run a daemon that has rolled out alpha."""
    world = FakeWorld(undeploys_removed=undeploys)
    world.disk.save(ALPHA, "one")
    daemon = LoopUnderTest(world)
    try:
        await asyncio.sleep(LONG_S)
        yield world, daemon
    finally:
        await daemon.kill()


def remove(world: FakeWorld, daemon: LoopUnderTest, root: Path = ALPHA) -> None:
    del world.disk.texts[root]
    daemon.queue.add(root, cause="removed")


def save(world: FakeWorld, daemon: LoopUnderTest, root: Path, text: str = "one") -> None:
    world.disk.save(root, text)
    daemon.saved(root)


async def test_a_directory_that_stays_away_takes_its_deployment_and_service_along():
    async with at_rest() as (world, daemon):
        remove(world, daemon)
        await asyncio.sleep(GRACE_S - 1)
        assert "alpha" in world.cluster.deployments
        await asyncio.sleep(3)
    assert world.cluster.deployments == {}
    assert world.cluster.services == set()
    (told,) = world.log.named(Event.WORKFLOW_UNDEPLOYED)
    assert (told["objects"], told["directory"]) == ("Service alpha, Deployment alpha", str(ALPHA))


async def test_where_the_settings_do_not_ask_for_it_it_is_only_told_of():
    async with at_rest(undeploys=False) as (world, daemon):
        remove(world, daemon)
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("one")
    assert world.log.named(Event.WORKFLOW_REMOVED)


async def test_a_directory_that_comes_back_soon_keeps_what_runs():
    async with at_rest() as (world, daemon):
        remove(world, daemon)
        await asyncio.sleep(SOON_S)
        save(world, daemon, ALPHA)
        await asyncio.sleep(LONG_S)
        assert len(world.cluster.applied) == 1
    assert world.cluster.digest("alpha") == digest_of("one")


async def test_one_that_comes_and_goes_has_all_of_its_grace_again():
    async with at_rest() as (world, daemon):
        remove(world, daemon)
        await asyncio.sleep(SOON_S)
        save(world, daemon, ALPHA)
        await asyncio.sleep(SOON_S)
        remove(world, daemon)
        await asyncio.sleep(GRACE_S - 1)
        assert "alpha" in world.cluster.deployments
        await asyncio.sleep(3)
    assert world.cluster.deployments == {}


async def test_a_directory_that_was_moved_keeps_its_deployment_even_if_it_is_invalid_there():
    async with at_rest() as (world, daemon):
        remove(world, daemon)
        save(world, daemon, MOVED, "!broken")
        await asyncio.sleep(LONG_S)
        assert world.cluster.digest("alpha") == digest_of("one")
        save(world, daemon, MOVED, "two")
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("two")
    assert not world.log.named(Event.WORKFLOW_UNDEPLOYED)


async def test_what_was_unmounted_as_a_whole_runs_on():
    async with at_rest() as (world, daemon):
        world.disk.unmounted = True
        remove(world, daemon)
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("one")


async def test_a_twin_that_was_held_takes_over_and_nothing_goes_away_between():
    async with at_rest() as (world, daemon):
        save(world, daemon, MOVED, "two")
        await asyncio.sleep(LONG_S)
        remove(world, daemon)
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("two")
    assert not world.log.named(Event.WORKFLOW_UNDEPLOYED)


async def test_a_directory_that_never_deployed_anything_takes_nothing_along():
    async with at_rest() as (world, daemon):
        save(world, daemon, MOVED, "two")  # held: the name is taken
        await asyncio.sleep(LONG_S)
        remove(world, daemon, MOVED)
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("one")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("two", "target local can't be used: there is no deno", id="its target cannot be used"),
        pytest.param("!broken", "what is there is not valid", id="it is not valid"),
    ],
)
async def test_a_directory_that_may_be_the_removed_one_is_waited_for_and_told_of_once(text: str, why: str):
    async with at_rest() as (world, daemon):
        world.stranded = {OTHER} if text == "two" else set()
        remove(world, daemon)
        await asyncio.sleep(SOON_S)
        save(world, daemon, OTHER, text)
        await asyncio.sleep(LONG_S)
        assert "alpha" in world.cluster.deployments
        (told,) = world.log.named(Event.UNDEPLOY_WAITING)
        assert (told["workflow"], told["directory"]) == ("alpha", str(ALPHA))
        assert told["message"] == f"it may have been moved to {OTHER}, which can't be told: {why}"
        world.stranded = set()
        save(world, daemon, OTHER, "two")
        await asyncio.sleep(LONG_S)
    assert set(world.cluster.deployments) == {"other"}


async def test_an_api_server_that_is_down_is_tried_again_until_it_is_up():
    async with at_rest() as (world, daemon):
        world.cluster.down = True
        remove(world, daemon)
        await asyncio.sleep(3 * GRACE_S)
        failed = world.log.named(Event.UNDEPLOY_FAILED)
        assert [line["attempt"] for line in failed] == [0, 1]
        world.cluster.down = False
        await asyncio.sleep(2 * GRACE_S)
    assert world.cluster.deployments == {}


async def test_a_directory_that_comes_back_while_it_is_undeployed_is_deployed_again_in_full():
    async with at_rest() as (world, daemon):
        world.cluster.apply_s = 2
        remove(world, daemon)
        await asyncio.sleep(GRACE_S + 3)  # between the Service and the Deployment
        save(world, daemon, ALPHA)
        await asyncio.sleep(LONG_S)
    assert world.cluster.digest("alpha") == digest_of("one")
    assert world.cluster.services == {"alpha"}
