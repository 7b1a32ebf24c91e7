"""So much at once, by urgency and in the order of coming, and another number meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from pdwatch.admission import Admission
from pdwatch.core.admission import AGING_S, Priority, Work
from pdwatch.core.model import Turn

pytestmark = pytest.mark.looptime


class Builds:
    """Builds that end when told; ``together`` of one builder may share a turn."""

    def __init__(self, limit: int, *, together: int = 1) -> None:
        self.together = together
        self.slots = Admission(limit, turn="build slot", together=lambda _: self.together)
        self.running: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.turns: dict[str, Turn] = {}

    async def build(self, name: str, priority: Priority = Priority.SAVE, *, builder: object = None) -> None:
        self.ends[name] = asyncio.Event()
        work = Work(name=name, priority=priority, since=asyncio.get_running_loop().time(), joins=builder)
        async with self.slots.slot(work) as turn:
            self.turns[name] = turn
            self.running.append(name)
            await self.ends[name].wait()
            self.running.remove(name)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_more_than_the_limit_go_on_and_the_next_is_the_one_that_came_first():
    builds = Builds(2)
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
    builds = Builds(1)
    async with asyncio.TaskGroup() as group:
        for name in "abcd":
            group.create_task(builds.build(name))
        await settled()
        builds.slots.resize(3)
        await settled()
        assert builds.running == ["a", "b", "c"]
        builds.slots.resize(1)
        builds.ends["a"].set()
        builds.ends["b"].set()
        await settled()
        assert builds.running == ["c"]
        builds.ends["c"].set()
        await settled()
        assert builds.running == ["d"]
        builds.ends["d"].set()


async def test_one_that_is_cancelled_while_it_waits_or_builds_leaves_no_slot_taken():
    builds = Builds(1)
    async with asyncio.TaskGroup() as group:
        first, waiting, last = (group.create_task(builds.build(name)) for name in "abc")
        await settled()
        waiting.cancel()
        first.cancel()
        await settled()
        assert builds.running[-1] == "c"
        builds.ends["c"].set()
        await last


async def test_one_that_is_cancelled_between_being_admitted_and_beginning_passes_its_turn_on():
    builds = Builds(1)
    async with asyncio.TaskGroup() as group:
        async with builds.slots.slot(Work(name="a", priority=Priority.SAVE, since=0)):
            admitted, last = (group.create_task(builds.build(name)) for name in "bc")
            await settled()
        admitted.cancel()
        await settled()
        assert builds.running == ["c"]
        builds.ends["c"].set()
        await last


async def test_a_save_goes_before_start_up_work_that_came_earlier_and_finds_a_slot_that_it_leaves_free():
    builds = Builds(2)
    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(builds.build(name, Priority.START))
        await settled()
        assert builds.running == ["a"], "the last slot is kept for saves"
        group.create_task(builds.build("saved"))
        await settled()
        assert builds.running == ["a", "saved"]
        group.create_task(builds.build("saved too"))
        builds.ends["a"].set()
        await settled()
        assert builds.running == ["saved", "saved too"]
        for end in builds.ends.values():
            end.set()
            await settled()
        assert builds.running == []


async def test_start_up_work_is_not_starved_by_saves_without_end():
    builds = Builds(1)
    async with asyncio.TaskGroup() as group:
        group.create_task(builds.build("first save"))
        await settled()
        patient = group.create_task(builds.build("patient", Priority.START))
        number, before = 0, "first save"
        while "patient" not in builds.running:
            number += 1
            group.create_task(builds.build(f"save {number}"))
            await asyncio.sleep(10)
            assert number <= 2 * AGING_S / 10 + 1
            builds.ends[before].set()
            await settled()
            before = builds.running[0]
        builds.ends["patient"].set()
        await patient
        for each in range(1, number + 1):
            builds.ends[f"save {each}"].set()
            await settled()


async def test_what_waits_for_one_builder_shares_a_turn_that_ends_with_the_last_of_it():
    builds = Builds(1, together=3)
    async with asyncio.TaskGroup() as group:
        for name in "abcdef":
            group.create_task(builds.build(name, builder="docker"))
            await settled()
        assert builds.running == ["a"], "nobody is waited for"
        builds.ends["a"].set()
        await settled()
        assert builds.running == ["b", "c", "d"]
        assert {builds.turns[name] for name in "bcd"} == {Turn(1, 3)}
        for name in "bc":
            builds.ends[name].set()
        await settled()
        assert builds.running == ["d"]
        builds.ends["d"].set()
        await settled()
        assert builds.running == ["e", "f"]
        for name in "ef":
            builds.ends[name].set()


@pytest.mark.parametrize(
    ("others", "running"),
    [
        pytest.param([("b", Priority.SAVE, "docker")], ["a", "b"], id="the same builder"),
        pytest.param([("b", Priority.SAVE, "other")], ["a"], id="another builder"),
        pytest.param([("b", Priority.START, "docker")], ["a"], id="something less urgent"),
        pytest.param(
            [("b", Priority.SAVE, "other"), ("c", Priority.SAVE, "docker")],
            ["a"],
            id="something that came before it could",
        ),
    ],
)
async def test_a_turn_is_shared_with_what_is_next_as_urgent_and_goes_the_same_way(
    others: list[tuple[str, Priority, str]], running: list[str]
):
    builds = Builds(1, together=3)
    async with asyncio.TaskGroup() as group:
        async with builds.slots.slot(Work(name="before", priority=Priority.SAVE, since=0)):
            group.create_task(builds.build("a", builder="docker"))
            for name, priority, builder in others:
                group.create_task(builds.build(name, priority, builder=builder))
            await settled()
        await settled()
        assert builds.running == running
        while builds.running:
            builds.ends[builds.running[0]].set()
            await settled()


async def test_what_names_no_builder_shares_its_turn_with_nobody():
    builds = Builds(1, together=3)
    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(builds.build(name))
        await settled()
        builds.ends["a"].set()
        await settled()
        assert builds.running == ["b"]
        for end in builds.ends.values():
            end.set()


@pytest.mark.parametrize(
    ("limit", "running"),
    [
        pytest.param(2, ["a", "b"], id="two turns, of which one is kept for saves"),
        pytest.param(1, ["a"], id="one turn, which a save waits for"),
    ],
)
async def test_start_up_work_shares_a_turn_only_where_no_save_waits_for_it(limit: int, running: list[str]):
    builds = Builds(limit, together=2)
    async with asyncio.TaskGroup() as group:
        async with builds.slots.slot(Work(name="before", priority=Priority.START, since=0)):
            for name in "abc":
                group.create_task(builds.build(name, Priority.START, builder="docker"))
            await settled()
        await settled()
        assert builds.running == running
        while builds.running:
            builds.ends[builds.running[0]].set()
            await settled()


async def test_how_many_share_a_turn_is_asked_when_it_begins():
    builds = Builds(1, together=1)
    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(builds.build(name, builder="docker"))
        await settled()
        builds.together = 2  # the first build has shown what Docker can do
        builds.ends["a"].set()
        await settled()
        assert builds.running == ["b", "c"]
        for end in builds.ends.values():
            end.set()


async def test_what_waits_can_say_at_any_time_behind_what():
    builds = Builds(1)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(builds.build("a"))
        waiting = [group.create_task(builds.build(name)) for name in "bc"]
        await settled()
        last = Work(name="c", priority=Priority.SAVE, since=0)
        assert builds.slots.hold(last) == "waits for a build slot behind a (1 at once, 2 wait)"
        waiting[0].cancel()
        await settled()
        assert builds.slots.hold(last) == "waits for a build slot behind a (1 at once)"
        waiting[1].cancel()
        builds.ends["a"].set()
        await first


async def test_what_waits_names_of_a_shared_turn_what_has_not_ended():
    builds = Builds(1, together=2)
    async with asyncio.TaskGroup() as group:
        async with builds.slots.slot(Work(name="before", priority=Priority.SAVE, since=0)):
            for name in "abc":
                group.create_task(builds.build(name, builder="docker"))
            await settled()
        await settled()
        last = Work(name="c", priority=Priority.SAVE, since=0)
        assert builds.slots.hold(last) == "waits for a build slot behind a (1 at once)"
        builds.ends["a"].set()
        await settled()
        assert builds.slots.hold(last) == "waits for a build slot behind b (1 at once)"
        for end in builds.ends.values():
            end.set()
