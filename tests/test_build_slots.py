"""So many builds at once, in the order in which they came, and another number meanwhile."""

from __future__ import annotations

import asyncio

from pdwatch.build_slots import BuildSlots


class Builds:
    """Builds that end when told."""

    def __init__(self, slots: BuildSlots) -> None:
        self.slots = slots
        self.running: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    async def build(self, name: str) -> None:
        self.ends[name] = asyncio.Event()
        async with self.slots.slot():
            self.running.append(name)
            await self.ends[name].wait()
            self.running.remove(name)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_more_than_the_limit_go_on_and_the_next_is_the_one_that_came_first():
    builds = Builds(BuildSlots(2))
    async with asyncio.TaskGroup() as group:
        for name in "abcd":
            group.create_task(builds.build(name))
        await settled()
        assert builds.running == ["a", "b"]
        builds.ends["b"].set()
        await settled()
        assert builds.running == ["a", "c"]
        for end in builds.ends.values():
            end.set()


async def test_a_larger_limit_lets_waiting_ones_go_on_and_a_smaller_one_leaves_those_that_have_begun():
    slots = BuildSlots(1)
    builds = Builds(slots)
    async with asyncio.TaskGroup() as group:
        for name in "abcd":
            group.create_task(builds.build(name))
        await settled()
        slots.resize(3)
        await settled()
        assert builds.running == ["a", "b", "c"]
        slots.resize(1)
        builds.ends["a"].set()
        builds.ends["b"].set()
        await settled()
        assert builds.running == ["c"]
        builds.ends["c"].set()
        await settled()
        assert builds.running == ["d"]
        builds.ends["d"].set()


async def test_one_that_is_cancelled_while_it_waits_or_builds_leaves_no_slot_taken():
    builds = Builds(BuildSlots(1))
    async with asyncio.TaskGroup() as group:
        first, waiting, last = (group.create_task(builds.build(name)) for name in "abc")
        await settled()
        waiting.cancel()
        first.cancel()
        await settled()
        assert builds.running[-1] == "c"
        builds.ends["c"].set()
        await last
