"""Many saves at once: of a hundred workflows, and fifty of one within a second."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from benchmarks.ground import synced
from benchmarks.options import RATIO_OF_BURST
from benchmarks.phases import written_at
from benchmarks.results import Recorder
from benchmarks.samples import median
from benchmarks.single import Floor, applied, save_once
from benchmarks.workflows import Workflow, write_workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.ground import Ground
    from benchmarks.options import Options
    from benchmarks.results import Series
    from tests.e2e.daemon import Daemon

BUILDS = 2
"""How many images the daemon builds at once: the setting's default."""
ALL, BOUND = "all saved → all patched", "floor: workflows x one build ÷ builds at once"
LOADS = "as many loads, raw, as many at once"
"""What the machine makes of the bound: two builds at once need not be twice as quick."""


async def measure(ground: Ground, options: Options) -> Iterable[Series]:
    """Burst ``options.repeats`` times, with single saves before each as the measure of one build."""
    recorder, root = Recorder("burst"), ground.scratch / "burst"
    root.mkdir()
    names = (f"{ground.prefix}-burst-{number}" for number in range(options.burst))
    workflows = [write_workflow(root, name) for name in names]
    async with (
        ground.namespaces("burst") as (namespace,),
        ground.daemon(root, namespace, f"--builds={BUILDS}") as daemon,
    ):
        ground.tell(f"burst: {options.burst} workflows")
        await synced(daemon)
        floor = await Floor.of(ground, daemon, workflows[0], namespace=namespace)
        for number in range(options.repeats):
            ground.tell(f"burst: {number + 1} of {options.repeats}")
            await _burst(daemon, workflows, recorder, singles=options.saves)
            recorder.add(LOADS, await _loads(floor, len(workflows)), unit="s", workflows=len(workflows))
            await _flurry(daemon, workflows[0], recorder, saves=options.flurry)
    return recorder.series()


async def _burst(daemon: Daemon, workflows: Sequence[Workflow], recorder: Recorder, *, singles: int) -> None:
    count = len(workflows)
    builds = [(await save_once(daemon, workflows[0])).phases["build"] for _ in range(singles)]
    mark, began = daemon.mark, time.time()
    for workflow in workflows:
        workflow.save()
    for workflow in workflows:
        await daemon.until("deploy.applied", since=mark, workflow=workflow.name)
    ended = [written_at(await applied(daemon, workflow, since=mark)) for workflow in workflows]
    for build_ms in builds:
        recorder.add("one build", build_ms, workflows=count)
    recorder.add(BOUND, count * median(builds) / BUILDS / 1000, unit="s", workflows=count)
    took = max(ended) - began
    recorder.add(ALL, took, unit="s", workflows=count, floor=BOUND, most_ratio=RATIO_OF_BURST)
    built = daemon.events(since=mark).count("build.succeeded")
    recorder.add("builds of a burst", built, unit="", workflows=count)


async def _loads(floor: Floor, count: int) -> float:
    """Return the seconds that Docker takes for the loads of a burst, with nothing else to do."""
    archives = [(await floor.ready()).archive for _ in range(count)]
    slots = asyncio.Semaphore(BUILDS)

    async def load(archive: bytes) -> None:
        async with slots:
            await floor.ground.docker.load(archive)

    began = time.time()
    async with asyncio.TaskGroup() as group:
        for archive in archives:
            group.create_task(load(archive), name="load")
    return time.time() - began


async def _flurry(daemon: Daemon, workflow: Workflow, recorder: Recorder, *, saves: int) -> None:
    mark, saved_at = daemon.mark, 0.0
    for number in range(saves):
        _, saved_at = workflow.save()
        if number < saves - 1:
            await asyncio.sleep(1 / saves)
    line = await applied(daemon, workflow, since=mark)
    recorder.add(f"{saves} saves in 1 s: last save → patched", (written_at(line) - saved_at) * 1000)
    for event in ("build.succeeded", "deploy.applied"):
        count = daemon.events(since=mark, workflow=workflow.name).count(event)
        recorder.add(f"{saves} saves in 1 s: {event}", count, unit="")
