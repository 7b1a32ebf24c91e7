"""Each part of the way from a save to new pods is a field of its own (docs/log-events.md)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pdwatch.logs import Event
from tests.world import BUILD_S, SCAN_S, WATCH_LAG_S, FakeWorld, LoopUnderTest

pytestmark = pytest.mark.looptime

ALPHA = Path("/workflows/alpha")
SETTLE_S = 0.015


async def test_the_phases_of_a_save_add_up_to_the_time_until_its_rollout_was_complete():
    world = FakeWorld()
    world.cluster.apply_s = 0.05
    world.disk.save(ALPHA, "one")
    daemon = LoopUnderTest(world)
    await asyncio.sleep(60)
    world.log.lines.clear()
    noticed_at = asyncio.get_running_loop().time()
    world.disk.save(ALPHA, "two")
    await asyncio.sleep(SETTLE_S)
    daemon.queue.add(ALPHA, cause="save", saved=True, noticed_at=noticed_at)
    await asyncio.sleep(60)
    await daemon.kill()

    (changed,) = world.log.named(Event.WORKFLOW_CHANGED)
    (begun,) = world.log.named(Event.BUILD_STARTED)
    (built,) = world.log.named(Event.BUILD_SUCCEEDED)
    (applied,) = world.log.named(Event.DEPLOY_APPLIED)
    (complete,) = world.log.named(Event.ROLLOUT_COMPLETE)
    phases = {
        "settle": (changed["settle_ms"], SETTLE_S),
        "wait for the scan": (changed["wait_ms"], 0),
        "scan": (changed["scan_ms"], SCAN_S),
        "plan": (begun["plan_ms"], 0),
        "wait for the build": (begun["wait_ms"], 0),
        "build": (built["build_ms"], BUILD_S),
        "apply": (applied["apply_ms"], world.cluster.apply_s),
        "observed": (complete["observed_ms"], 0),
    }
    assert {name: told for name, (told, _) in phases.items()} == pytest.approx(
        {name: 1000 * expected for name, (_, expected) in phases.items()}, abs=0.2
    )
    # This cluster is done as soon as the apply has landed, half an apply before it is answered.
    assert complete["kubelet_ms"] == pytest.approx(1000 * (WATCH_LAG_S - world.cluster.apply_s / 2))
    told_ms = sum(told for told, _ in phases.values()) + complete["kubelet_ms"]
    assert told_ms == pytest.approx(complete["since_save_ms"], abs=1)
