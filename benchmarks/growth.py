"""How costs grow with the number of workflows.

They want no pods (``replicas: 0``): a thousand pods under gVisor don't fit one machine, and would measure
kubelet. All else is real: every workflow has its files, its image, its Deployment and its Service.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from benchmarks import usage
from benchmarks.counting import counted
from benchmarks.ground import synced
from benchmarks.options import RATIO_OF_GROWTH, RATIO_TO_PATCHED
from benchmarks.phases import written_at
from benchmarks.results import Recorder
from benchmarks.single import FLOOR, FLOOR_IMAGE, IMAGE, PHASE, SAVED, Floor, save_once
from benchmarks.workflows import Workflow, write_workflow
from pdwatch.adapters.engine import engine_recipe
from pdwatch.adapters.files import FileSource
from pdwatch.core.names import DIGEST_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.ground import Ground
    from benchmarks.options import Options
    from benchmarks.results import Series

FEW = 10
MEMORY, IDLE = "resident memory", "idle CPU"
FIRST_SCAN, FIRST_START, START = "first scan", "first start (builds)", "start → READY"
_MEMORY_MB = {200: 120.0, 1000: 200.0}
_IDLE_PERCENT = 0.5


async def measure(ground: Ground, options: Options) -> Iterable[Series]:
    """Measure at each of ``options.sizes``, with the workflows of the one before among the next ones."""
    recorder, root = Recorder("growth"), ground.scratch / "growth"
    root.mkdir()
    workflows: list[Workflow] = []
    async with ground.namespaces("growth") as (namespace,):
        for size in options.sizes:
            names = (f"{ground.prefix}-{number}" for number in range(len(workflows), size))
            workflows += [write_workflow(root, name) for name in names]
            ground.tell(f"growth: {size} workflows")
            at = _Size(ground, options, recorder, root=root, namespace=namespace, workflows=size)
            await at.first_scan()
            await at.first_start(workflows[0])
            await at.second_start()
            await at.requests(workflows[0])
    return recorder.series()


class _Size:
    """Takes the samples at one number of workflows."""

    def __init__(
        self,
        ground: Ground,
        options: Options,
        recorder: Recorder,
        *,
        root: Path,
        namespace: str,
        workflows: int,
    ) -> None:
        self._ground = ground
        self._options = options
        self._recorder = recorder
        self._root = root
        self._namespace = namespace
        self._workflows = workflows
        self._idle_s = options.idle_s if workflows > FEW else options.idle_s / 2

    def _add(self, name: str, value: float, **about: object) -> None:
        self._recorder.add(name, value, workflows=self._workflows, **about)

    async def first_scan(self) -> None:
        """Find, read and hash everything once, as the daemon does at its start, in this process."""
        source, began = FileSource(recipe=engine_recipe()), time.perf_counter()
        for root in sorted(await source.discover([self._root])):
            await source.scan(root)
        self._add(FIRST_SCAN, (time.perf_counter() - began) * 1000)

    async def first_start(self, workflow: Workflow) -> None:
        """Start with images to build; then save.

        This daemon logs at level debug, which has one phase more.
        """
        began = time.monotonic()
        async with self._ground.daemon(self._root, self._namespace, level="debug") as daemon:
            await synced(daemon)
            self._add(FIRST_START, time.monotonic() - began, unit="s")
            await self._require_all()
            floor = await Floor.of(self._ground, daemon, workflow, namespace=self._namespace)
            for _ in range(self._options.saves):
                load_ms, apply_ms = await floor.sample()
                self._add(FLOOR_IMAGE, load_ms)
                self._add(FLOOR, apply_ms)
                save = await save_once(daemon, workflow)
                self._add(IMAGE, save.image_ms, floor=FLOOR_IMAGE)
                goals = {"most_ratio": RATIO_TO_PATCHED, "most_growth": RATIO_OF_GROWTH}
                self._add(SAVED, save.patched_ms, floor=FLOOR, **goals)
                for phase, took in save.phases.items():
                    self._add(f"{PHASE}{phase}", took)
            self._add("peak memory", usage.memory_mb(daemon.process.pid, peak=True), unit="MB")

    async def _require_all(self) -> None:
        """Raise when the cluster did not take a workflow: those of the others look like all."""
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments"
        applied = sum(
            DIGEST_ANNOTATION in deployment["metadata"].get("annotations", {})
            for deployment in (await self._ground.kube.get(path))["items"]
        )
        if applied < self._workflows:
            raise RuntimeError(f"only {applied} of {self._workflows} workflows have a Deployment")

    async def second_start(self) -> None:
        """Start with everything up to date, and watch the daemon do nothing."""
        began = time.time()
        async with self._ground.daemon(self._root, self._namespace) as daemon:
            await synced(daemon)
            line = await daemon.until("daemon.synced")
            self._add(START, (written_at(line) - began) * 1000)
            pid = daemon.process.pid
            await usage.quiet(pid)
            self._add("READY → quiet", time.time() - written_at(line), unit="s")
            self._ground.tell(f"growth: {self._workflows} workflows, {self._idle_s:.0f} s of nothing")
            before = usage.cpu_s(pid)
            await asyncio.sleep(self._idle_s)
            percent = (usage.cpu_s(pid) - before) / self._idle_s * 100
            self._add(IDLE, percent, unit="% of a core", most=_IDLE_PERCENT)
            self._add(MEMORY, usage.memory_mb(pid), unit="MB", most=_MEMORY_MB.get(self._workflows))
            self._add("file descriptors", usage.descriptors(pid), unit="")

    async def requests(self, workflow: Workflow) -> None:
        """Count requests: of a start, of doing nothing, and of a save."""
        async with (
            counted(self._ground) as count,
            self._ground.daemon(self._root, self._namespace, environment=count.environment) as daemon,
        ):
            await synced(daemon)
            await usage.quiet(daemon.process.pid)
            servers = {"Kubernetes": count.kubernetes, "Docker": count.docker}
            for server, so_far in servers.items():
                self._add(f"requests of a start, {server}", so_far.requests, unit="")
            before = {server: so_far.requests for server, so_far in servers.items()}
            await asyncio.sleep(self._options.idle_s / 2)
            for server, so_far in servers.items():
                per_minute = (so_far.requests - before[server]) / (self._options.idle_s / 2) * 60
                self._add(f"requests a minute, idle, {server}", per_minute, unit="")
            await save_once(daemon, workflow)
            for _ in range(min(self._options.saves, 5)):
                before = {server: so_far.requests for server, so_far in servers.items()}
                await save_once(daemon, workflow)
                for server, so_far in servers.items():
                    self._add(f"requests a save, {server}", so_far.requests - before[server], unit="")
