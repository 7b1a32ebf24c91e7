"""A save that comes back to what runs: a person who undoes an edit gets a final word, and nothing is done."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pdwatch.errors import BuildFailedError
from pdwatch.logs import Event
from tests.test_reconciler import ALPHA, at_rest, running
from tests.world import BUILD_S, NAMESPACE, FakeWorld, LoopUnderTest, digest_of

pytestmark = pytest.mark.looptime

LONG_S = 60
SINGLE_STEPS = {Event.WORKFLOW_UNCHANGED, Event.BUILD_STARTED, Event.BUILD_QUEUED}


async def save(world: FakeWorld, daemon: LoopUnderTest, text: str, *, wait_s: float = LONG_S) -> list[str]:
    """Save, and return the events that follow."""
    world.log.lines.clear()
    world.disk.save(ALPHA, text)
    daemon.saved(ALPHA)
    await asyncio.sleep(wait_s)
    return [line["event"] for line in world.log.lines if line["event"] not in SINGLE_STEPS]


@pytest.mark.parametrize(
    ("edit", "wait_s", "before"),
    [
        pytest.param("!invalid", LONG_S, [], id="from an invalid workflow"),
        pytest.param("broken", LONG_S, [], id="from one that can't be built"),
        pytest.param("two", BUILD_S / 2, ["workflow.superseded"], id="from one that was being built"),
    ],
)
async def test_an_edit_that_is_undone_ends_with_what_runs_as_before(
    edit: str, wait_s: float, before: list[str]
):
    world = FakeWorld()
    async with at_rest(world) as daemon:
        world.docker.faults["alpha"] = [BuildFailedError("no")] if edit == "broken" else []
        await save(world, daemon, edit, wait_s=wait_s)
        followed = await save(world, daemon, "one")
        assert followed == ["workflow.changed", *before, "workflow.current"]
        (told,) = world.log.named(Event.WORKFLOW_CURRENT)
        assert (told["message"], told["source_digest"]) == ("alpha runs (as before)", digest_of("one"))
        assert 0 < told["since_save_ms"] < 1000
        assert await save(world, daemon, "one") == [], "it is told once"
    assert len(world.cluster.applied) == 1


async def test_a_start_and_a_save_that_is_rolled_out_end_with_their_rollout_however_often_it_is_looked():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        for text in ("two", "one", "one"):
            assert "workflow.current" not in await save(world, daemon, text)
    async with running(world) as daemon:
        await asyncio.sleep(LONG_S)
        daemon.queue.add(ALPHA, cause="resync")
        await asyncio.sleep(LONG_S)
        assert not world.log.named(Event.WORKFLOW_CURRENT)


async def test_what_has_lost_its_pods_is_not_said_to_run():
    world = FakeWorld()
    async with at_rest(world) as daemon:
        await save(world, daemon, "!invalid")
        complete = world.cluster.seen["alpha"]
        world.cluster.seen["alpha"] = replace(complete, ready=0, available=0, rolled_out=True)
        world.cluster.announce(NAMESPACE, "alpha")
        assert await save(world, daemon, "one") == ["rollout.degraded", "workflow.changed"]
