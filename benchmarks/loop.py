"""From a save to the image, the patched Deployment, readiness and the new answer: pdwatch, floor, plain loop.

Every round takes one sample of each, in turn, and waits in between until no pod is on its way to its end.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import aiohttp

from benchmarks.apiserver import rolled_out, settled, watching
from benchmarks.floor import FloorImage, bring
from benchmarks.options import RATIO_TO_PATCHED, RATIO_TO_READY
from benchmarks.phases import follow
from benchmarks.plain import PlainLoop, following
from benchmarks.results import Recorder
from benchmarks.single import applied
from benchmarks.workflows import write_workflow
from pdwatch.adapters.engine import engine_recipe
from pdwatch.adapters.files import FileSource
from pdwatch.core.manifests import service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from benchmarks.apiserver import Watched
    from benchmarks.ground import Ground
    from benchmarks.options import Options
    from benchmarks.results import Series
    from benchmarks.workflows import Workflow
    from pdwatch.core.model import SourceSnapshot, WorkflowSpec
    from tests.e2e.daemon import Daemon

PATCHED, READY, ANSWERS, IMAGE = "save → patched", "save → ready", "save → answers", "save → image"
FLOOR_IMAGE = "floor: load"
FLOOR_PATCHED = "floor: load + apply"
FLOOR_READY = "floor: apply → ready"
FLOOR_ANSWERS = "floor: apply → answers"
PHASE, PLAIN = "phase: ", "plain loop: "
_ANSWERS_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A namespace, and what happens in it."""

    ground: Ground
    namespace: str
    deployments: Watched
    pods: Watched

    async def ready(self, name: str, *, generation: int) -> float:
        return await self.deployments.until(rolled_out(name, generation=generation))

    async def answers(self, name: str, number: int) -> float:
        """Ask the Service's pods until one gives the number of the save; return when it did."""
        path = f"/api/v1/namespaces/{self.namespace}/services/{name}:8080/proxy/run"
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            while True:
                try:
                    if (await self.ground.kube.get(path))["outputs"] == {"number": number}:
                        return time.time()
                except aiohttp.ClientResponseError:  # a pod that is on its way to its end
                    await asyncio.sleep(0.01)

    async def calm(self) -> None:
        await self.pods.until(settled)


class _Rounds:
    """Takes the samples of one round after the other."""

    def __init__(
        self,
        ground: Ground,
        *,
        here: _Place,
        aside: _Place,
        workflow: Workflow,
        daemon: Daemon,
        image: FloorImage,
        spec: WorkflowSpec,
        plain: PlainLoop,
    ) -> None:
        self._ground = ground
        self._here = here
        self._aside = aside
        self._workflow = workflow
        self._daemon = daemon
        self._image = image
        self._spec = spec
        self._plain = plain
        self.recorder = Recorder("loop")

    async def round(self, number: int) -> None:
        samples: list[Callable[[], Awaitable[None]]] = [
            self._pdwatch,
            partial(self._floor, number),
            partial(self._plain_loop, number),
        ]
        turn = number % len(samples)
        for sample in samples[turn:] + samples[:turn]:
            await self._here.calm()
            await self._aside.calm()
            await sample()

    async def _pdwatch(self) -> None:
        daemon, name, mark = self._daemon, self._workflow.name, self._daemon.mark
        number, saved_at = self._workflow.save()
        line = await applied(daemon, self._workflow, since=mark)
        ready = await self._here.ready(name, generation=line["generation"])
        answered = await self._here.answers(name, number)
        digest = line["source_digest"]
        await daemon.until("rollout.complete", since=mark, source_digest=digest)
        save = follow(daemon.lines[mark:], digest=digest, saved_at=saved_at)
        add = self.recorder.add
        add(IMAGE, save.image_ms, floor=FLOOR_IMAGE)
        add(PATCHED, save.patched_ms, floor=FLOOR_PATCHED, most_ratio=RATIO_TO_PATCHED)
        add(READY, (ready - saved_at) * 1000, floor=FLOOR_READY, most_ratio=RATIO_TO_READY)
        add(ANSWERS, (answered - saved_at) * 1000, floor=FLOOR_ANSWERS)
        self.recorder.add_all({f"{PHASE}{phase}": took for phase, took in save.phases.items()})

    async def _floor(self, number: int) -> None:
        name = f"{self._ground.prefix}-floor"
        ready_image = self._image.ready(number, name=name, spec=self._spec, namespace=self._aside.namespace)
        brought = await bring(self._ground, ready_image)
        ready = await self._aside.ready(name, generation=brought.generation)
        answered = await self._aside.answers(name, number)
        add = self.recorder.add
        add(FLOOR_IMAGE, (brought.loaded - brought.began) * 1000)
        add(FLOOR_PATCHED, (brought.patched - brought.began) * 1000)
        add(FLOOR_READY, (ready - brought.loaded) * 1000)
        add(FLOOR_ANSWERS, (answered - brought.loaded) * 1000)

    async def _plain_loop(self, number: int) -> None:
        saved_at = self._plain.save(number)
        run = await self._plain.next()
        ready = await self._aside.ready(self._plain.snapshot.name, generation=run.generation)
        answered = await self._aside.answers(self._plain.snapshot.name, number)
        add = self.recorder.add
        add(f"{PLAIN}{IMAGE}", (run.built - saved_at) * 1000, floor=FLOOR_IMAGE)
        add(f"{PLAIN}{PATCHED}", (run.patched - saved_at) * 1000, floor=FLOOR_PATCHED)
        add(f"{PLAIN}{READY}", (ready - saved_at) * 1000, floor=FLOOR_READY)
        add(f"{PLAIN}{ANSWERS}", (answered - saved_at) * 1000, floor=FLOOR_ANSWERS)


async def measure(ground: Ground, options: Options) -> Iterable[Series]:
    """Take ``options.saves`` rounds, and one before them that does not count."""
    root = ground.scratch / "loop"
    root.mkdir()
    workflow = write_workflow(root, f"{ground.prefix}-loop", replicas=1, files=3)
    snapshot = await FileSource(recipe=engine_recipe()).scan(workflow.root)
    assert snapshot.spec is not None
    async with AsyncExitStack() as stack:
        namespaces = await stack.enter_async_context(ground.namespaces("loop", "aside"))
        here, aside = [await _place(stack, ground, namespace) for namespace in namespaces]
        daemon = await stack.enter_async_context(ground.daemon(root, here.namespace, level="debug"))
        first = await daemon.until("rollout.complete", workflow=workflow.name)
        plain = PlainLoop(
            testbed=ground.testbed,
            context=ground.scratch / "plain",
            snapshot=_renamed(snapshot, f"{ground.prefix}-plain"),
            namespace=aside.namespace,
        )
        floor = _renamed(snapshot, f"{ground.prefix}-floor")
        for other in (plain.snapshot, floor):
            assert other.spec is not None
            await ground.kube.apply(service(other.spec, namespace=aside.namespace))
        rounds = _Rounds(
            ground,
            here=here,
            aside=aside,
            workflow=workflow,
            daemon=daemon,
            image=await FloorImage.of(ground, first["image"]),
            spec=snapshot.spec,
            plain=await stack.enter_async_context(following(plain)),
        )
        for number in range(options.saves + 1):
            ground.tell(f"loop: {f'round {number} of {options.saves}' if number else 'a round to warm up'}")
            await rounds.round(number)
            if number == 0:
                rounds.recorder = Recorder("loop")
        return rounds.recorder.series()


def _renamed(snapshot: SourceSnapshot, name: str) -> SourceSnapshot:
    assert snapshot.spec is not None
    return replace(snapshot, name=name, spec=replace(snapshot.spec, name=name))


async def _place(stack: AsyncExitStack, ground: Ground, namespace: str) -> _Place:
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    return _Place(
        ground=ground,
        namespace=namespace,
        deployments=await stack.enter_async_context(watching(ground.kube, deployments)),
        pods=await stack.enter_async_context(watching(ground.kube, f"/api/v1/namespaces/{namespace}/pods")),
    )
