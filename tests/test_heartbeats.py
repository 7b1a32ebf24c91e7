"""Signs of life, on virtual time."""

from __future__ import annotations

import asyncio

import pytest

from pdwatch.core.liveness import GRACE_S
from pdwatch.heartbeats import Heartbeats

pytestmark = pytest.mark.looptime


async def test_a_part_that_beats_in_time_lives_and_one_that_stops_is_overdue():
    heartbeats = Heartbeats()
    with heartbeats.part("watch files") as beat:
        for _ in range(5):
            beat(10)
            await asyncio.sleep(10 + GRACE_S)
            assert heartbeats.overdue() == ()
        await asyncio.sleep(1)
        assert heartbeats.overdue() == ("watch files",)
        beat(10)
        assert heartbeats.overdue() == ()


async def test_a_part_owes_nothing_before_its_first_beat_and_after_its_end():
    heartbeats = Heartbeats()
    with heartbeats.part("a") as beat:
        await asyncio.sleep(1000)
        assert heartbeats.overdue() == ()
        beat(1)
    await asyncio.sleep(1000)
    assert heartbeats.overdue() == ()


async def test_work_that_fails_owes_nothing_either():
    heartbeats = Heartbeats()
    with pytest.raises(ValueError, match="broken"), heartbeats.ending("scan hello", within_s=1):
        raise ValueError("broken")
    await asyncio.sleep(1000)
    assert heartbeats.overdue() == ()


async def test_work_that_does_not_end_is_overdue():
    heartbeats = Heartbeats()
    with heartbeats.ending("scan hello", within_s=1):
        await asyncio.sleep(2 + GRACE_S)
        assert heartbeats.overdue() == ("scan hello",)
