"""The work queue, on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from pdwatch.workqueue import Slot, WorkQueue

pytestmark = pytest.mark.looptime


@asynccontextmanager
async def running(queue: WorkQueue[str]):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(queue.run())
        yield
        task.cancel()


async def test_a_key_added_many_times_before_its_turn_is_worked_on_once():
    worked: list[str] = []

    async def work(slot: Slot[str]) -> None:
        worked.append(slot.key)

    queue = WorkQueue(work)
    async with running(queue):
        for _ in range(5):
            queue.add("a", cause="save")
        await asyncio.sleep(1)
    assert worked == ["a"]


async def test_a_key_is_never_worked_on_twice_at_once_and_again_when_it_was_added_meanwhile():
    running_now = peak = turns = 0

    async def work(_: Slot[str]) -> None:
        nonlocal running_now, peak, turns
        turns += 1
        running_now += 1
        peak = max(peak, running_now)
        await asyncio.sleep(1)
        running_now -= 1

    queue = WorkQueue(work)
    async with running(queue):
        queue.add("a", cause="save")
        await asyncio.sleep(0.5)
        queue.add("a", cause="save")
        queue.add("a", cause="save")
        await asyncio.sleep(5)
    assert (peak, turns) == (1, 2)


async def test_keys_do_not_wait_for_each_other():
    done: list[str] = []

    async def work(slot: Slot[str]) -> None:
        await asyncio.sleep(100 if slot.key == "slow" else 1)
        done.append(slot.key)

    queue = WorkQueue(work)
    async with running(queue):
        queue.add("slow", cause="save")
        queue.add("quick", cause="save")
        await asyncio.sleep(2)
        assert done == ["quick"]


async def test_work_under_way_is_told_that_its_key_was_added_again():
    told = asyncio.Event()

    async def work(slot: Slot[str]) -> None:
        if slot.cause == "first":
            await slot.added.wait()
            told.set()

    queue = WorkQueue(work)
    async with running(queue):
        queue.add("a", cause="first")
        await asyncio.sleep(1)
        queue.add("a", cause="second")
        await asyncio.wait_for(told.wait(), 1)


async def test_what_the_work_has_taken_does_not_bring_another_turn():
    turns = 0

    async def work(slot: Slot[str]) -> None:
        nonlocal turns
        turns += 1
        await slot.added.wait()
        slot.take()

    queue = WorkQueue(work)
    async with running(queue):
        queue.add("a", cause="save")
        await asyncio.sleep(1)
        queue.add("a", cause="save")
        await asyncio.sleep(1)
    assert turns == 1


async def test_a_returned_delay_brings_the_key_back_after_it():
    times: list[float] = []

    async def work(_: Slot[str]) -> float | None:
        times.append(asyncio.get_running_loop().time())
        return 30.0 if len(times) == 1 else None

    queue = WorkQueue(work)
    async with running(queue):
        queue.add("a", cause="save")
        await asyncio.sleep(100)
    assert times[1] - times[0] == pytest.approx(30)
    assert len(times) == 2


async def test_a_save_cuts_a_delay_short_and_uses_it_up():
    times: list[float] = []

    async def work(_: Slot[str]) -> float | None:
        times.append(asyncio.get_running_loop().time())
        return 30.0 if len(times) == 1 else None

    queue = WorkQueue(work)
    async with running(queue):
        queue.add("a", cause="save")
        await asyncio.sleep(5)
        queue.add("a", cause="save", saved=True)
        await asyncio.sleep(100)
    assert times[1] - times[0] == pytest.approx(5)
    assert len(times) == 2


async def test_a_refresh_neither_cuts_a_delay_short_nor_is_lost_without_one():
    times: list[float] = []

    async def work(_: Slot[str]) -> float | None:
        times.append(asyncio.get_running_loop().time())
        return 30.0 if len(times) == 1 else None

    queue = WorkQueue(work)
    async with running(queue):
        queue.add("a", cause="save")
        await asyncio.sleep(5)
        queue.refresh("a", cause="resync")
        await asyncio.sleep(95)
        queue.refresh("a", cause="resync")
        await asyncio.sleep(1)
    assert [time - times[0] for time in times] == pytest.approx([0, 30, 100])


async def test_a_routine_look_hides_no_better_cause_that_waits_already():
    seen: list[tuple[str, bool]] = []

    async def work(slot: Slot[str]) -> None:
        seen.append((slot.cause, slot.routine))

    queue = WorkQueue(work)
    async with running(queue):
        queue.add("a", cause="deleted")
        queue.refresh("a", cause="resync")
        await asyncio.sleep(1)
        queue.refresh("a", cause="resync")
        await asyncio.sleep(1)
        queue.refresh("a", cause="resync")
        queue.add("a", cause="save")
        await asyncio.sleep(1)
    assert seen == [("deleted", False), ("resync", True), ("save", False)]


async def test_nothing_starts_while_the_work_of_a_cancelled_queue_ends():
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    turns: list[str] = []

    async def work(slot: Slot[str]) -> float:
        turns.append(slot.key)
        if slot.key == "slow":
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(10)
        return 5.0

    queue = WorkQueue(work)
    async with running(queue):
        queue.add("slow", cause="save")
        queue.add("a", cause="save")
        await asyncio.sleep(1)
    assert turns == ["slow", "a"]
    assert not complaints


async def test_only_a_save_sets_the_time_of_saving():
    seen: list[float | None] = []

    async def work(slot: Slot[str]) -> None:
        seen.append(slot.saved_at)

    queue = WorkQueue(work)
    async with running(queue):
        queue.add("a", cause="resync")
        await asyncio.sleep(1)
        now = asyncio.get_running_loop().time()
        queue.add("a", cause="save", saved=True)
        await asyncio.sleep(1)
    assert seen == [None, now]


async def test_idle_waits_for_work_but_not_for_delays():
    done = False

    async def work(_: Slot[str]) -> float:
        nonlocal done
        await asyncio.sleep(7)
        done = True
        return 1000.0

    queue = WorkQueue(work)
    queue.add("a", cause="start")
    async with running(queue):
        await asyncio.wait_for(queue.idle(), 8)
        assert done


async def test_cancelling_the_queue_cancels_its_work_and_waits_for_it():
    cleaned = False

    async def work(_: Slot[str]) -> None:
        nonlocal cleaned
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            cleaned = True

    queue = WorkQueue(work)
    async with running(queue):
        queue.add("a", cause="save")
        await asyncio.sleep(1)
    assert cleaned


async def test_a_defect_in_the_work_ends_the_queue():
    async def work(_: Slot[str]) -> None:
        raise LookupError("defect")

    queue = WorkQueue(work)
    queue.add("a", cause="save")
    with pytest.raises(ExceptionGroup) as caught:
        await queue.run()
    assert caught.group_contains(LookupError, match="defect")
