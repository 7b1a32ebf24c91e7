"""A big workflow of which one byte changes: what it takes, and that memory stays bounded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks import usage
from benchmarks.phases import follow
from benchmarks.results import Recorder
from benchmarks.single import FLOOR, FLOOR_IMAGE, IMAGE, PHASE, SAVED, Floor, applied
from benchmarks.workflows import write_workflow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.ground import Ground
    from benchmarks.options import Options
    from benchmarks.phases import Save
    from benchmarks.results import Series
    from benchmarks.workflows import Workflow
    from tests.e2e.daemon import Daemon


async def measure(ground: Ground, options: Options) -> Iterable[Series]:
    """Change one byte ``options.saves`` times, with the floor between."""
    recorder, root = Recorder("big"), ground.scratch / "big"
    root.mkdir()
    workflow = write_workflow(root, f"{ground.prefix}-big", files=options.big_files, size=options.big_bytes)
    async with (
        ground.namespaces("big") as (namespace,),
        ground.daemon(root, namespace, level="debug") as daemon,
    ):
        ground.tell(f"big: {options.big_files} files of {options.big_bytes} bytes")
        await daemon.until("deploy.applied", workflow=workflow.name)
        pid = daemon.process.pid
        recorder.add("peak memory, first build", usage.memory_mb(pid, peak=True), unit="MB")
        floor = await Floor.of(ground, daemon, workflow, namespace=namespace)
        for number in range(options.saves):
            ground.tell(f"big: save {number + 1} of {options.saves}")
            load_ms, apply_ms = await floor.sample()
            recorder.add_all({FLOOR_IMAGE: load_ms, FLOOR: apply_ms})
            save = await _change_one_byte(daemon, workflow, number)
            recorder.add(IMAGE, save.image_ms, floor=FLOOR_IMAGE)
            recorder.add(SAVED, save.patched_ms, floor=FLOOR)
            recorder.add_all({f"{PHASE}{phase}": took for phase, took in save.phases.items()})
        recorder.add("resident memory", usage.memory_mb(pid), unit="MB")
        recorder.add("peak memory", usage.memory_mb(pid, peak=True), unit="MB")
    return recorder.series()


async def _change_one_byte(daemon: Daemon, workflow: Workflow, number: int) -> Save:
    path = workflow.root / "lib/part0.ts"
    mark, saved_at = daemon.mark, time.time()
    with path.open("r+b") as file:
        byte = file.read(1)[0]
        file.seek(0)
        file.write(bytes([(byte + 1 + number) % 256]))
    line = await applied(daemon, workflow, since=mark)
    return follow(daemon.lines[mark:], digest=line["source_digest"], saved_at=saved_at)
