"""A world in memory: files, Docker and a cluster that fail, lag and take time on demand."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pdwatch.core.model import (
    BuiltImage,
    Node,
    Problem,
    SourceSnapshot,
    Trigger,
    ViewChange,
    WorkflowSpec,
)
from pdwatch.core.names import DIGEST_ANNOTATION
from pdwatch.core.observed import observed_deployment
from pdwatch.core.rollout import rollout_status
from pdwatch.delivery import Delivery, World
from pdwatch.errors import (
    ClusterError,
    ClusterUnavailableError,
    DockerUnavailableError,
    GvisorMissingError,
    NotFoundError,
    SourceChangedError,
    TargetUnavailableError,
)
from pdwatch.reconciler import Reconciler
from pdwatch.removals import Removals
from pdwatch.rollouts import RolloutReporter
from pdwatch.tracked import Policy, TrackedWorkflows
from pdwatch.workqueue import WorkQueue
from tests.recording_log import RecordingLog
from tests.undeployer import FakeUndeployer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from pdwatch.core.model import BuildRequest, ImageRef, Manifest, ObservedDeployment

NAMESPACE = "dev"
SCAN_S, BUILD_S, WATCH_LAG_S = 0.01, 1.0, 0.1


@dataclass(slots=True)
class Disk:
    """The files: one text a workflow; a text that begins with ``!`` is an invalid workflow."""

    texts: dict[Path, str] = field(default_factory=dict)
    history: list[tuple[str, str]] = field(default_factory=list)
    """Every (workflow, digest) in the order of the saves."""
    unsettled: bool = False
    """Whether files change while they are read."""
    unmounted: bool = False
    """Whether what the workflows lay in went as a whole."""
    large: set[Path] = field(default_factory=set)
    """Workflows that take long to be read."""

    def save(self, root: Path, text: str) -> None:
        self.texts[root] = text
        self.history.append((root.name, digest_of(text)))

    async def scan(self, root: Path) -> SourceSnapshot:
        await asyncio.sleep(100 * SCAN_S if root in self.large else SCAN_S)
        if root not in self.texts:
            raise NotFoundError(f"{root} is gone")
        if self.unsettled:
            raise SourceChangedError(f"{root} changes while it is read")
        text = self.texts[root]
        invalid = text.startswith("!")
        return SourceSnapshot(
            name=root.name,
            root=root,
            files=(),
            digest=digest_of(text),
            spec=None if invalid else spec_of(root.name),
            problems=(Problem(path="workflow.yaml", line=1, column=1, message=text),) if invalid else (),
        )

    async def moved(self, roots: Collection[Path]) -> frozenset[Path]:
        return frozenset(roots)

    async def discover(
        self, roots: Sequence[Path], *, passed_over: Callable[[Path, Path], None] = lambda *_: None
    ) -> frozenset[Path]:
        return frozenset(self.texts)

    def note(self, directory: Path) -> None:
        pass

    def intact(self, directory: Path) -> bool:
        return not self.unmounted

    async def secrets(self, root: Path) -> Mapping[str, bytes]:
        return {}


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def spec_of(name: str) -> WorkflowSpec:
    return WorkflowSpec(
        name=name,
        version="1.0",
        triggers=(Trigger(type="manual"),),
        nodes=(Node(id="a", path="./nodes/a.ts"),),
    )


@dataclass(slots=True)
class Docker:
    """A builder and publisher that takes a second and keeps its images."""

    down: bool = False
    faults: dict[str, list[Exception]] = field(default_factory=dict)
    """What the next builds of a workflow raise."""
    images: set[str] = field(default_factory=set)
    builds: int = 0
    under_way: Counter[str] = field(default_factory=Counter)
    most_at_once: Counter[str] = field(default_factory=Counter)
    most_in_all: int = 0
    begun: list[str] = field(default_factory=list)
    """The workflow of each build, in the order in which they began."""
    builds_per_turn: int = 1
    """How many builds share a turn."""

    async def find(self, ref: ImageRef, snapshot: SourceSnapshot) -> BuiltImage | None:
        return self._built(ref, cached=True) if str(ref) in self.images else None

    async def build(self, request: BuildRequest) -> BuiltImage:
        name = request.snapshot.name
        self.under_way[name] += 1
        self.most_at_once[name] = max(self.most_at_once[name], self.under_way[name])
        self.most_in_all = max(self.most_in_all, self.under_way.total())
        self.begun.append(name)
        try:
            await asyncio.sleep(BUILD_S)
            if self.down:
                raise DockerUnavailableError("Docker is down")
            if self.faults.get(name):
                raise self.faults[name].pop()
            self.builds += 1
            self.images.add(str(request.tags[0]))
            return self._built(request.tags[0], cached=False)
        finally:
            self.under_way[name] -= 1

    async def publish(self, image: BuiltImage) -> ImageRef:
        return image.tags[0]

    @staticmethod
    def _built(ref: ImageRef, *, cached: bool) -> BuiltImage:
        return BuiltImage(id=digest_of(str(ref)), tags=(ref,), cached=cached)


@dataclass(slots=True)
class FakeCluster:
    """An API server with Deployments whose rollouts complete at once, and a view of it that lags."""

    down: bool = False
    gvisor: bool = True
    apply_s: float = 0.2
    refuses: dict[str, list[ClusterError]] = field(default_factory=dict)
    """What the next applies of a kind raise."""
    deployments: dict[str, Manifest] = field(default_factory=dict)
    services: set[str] = field(default_factory=set)
    applied: list[tuple[str, str]] = field(default_factory=list)
    """Every (workflow, digest) in the order in which the API server took them."""
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    seen: dict[str, ObservedDeployment] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    """The UIDs of Deployments that the view has seen deleted."""
    changes: asyncio.Queue[ViewChange] = field(default_factory=asyncio.Queue)

    async def require_gvisor(self) -> None:
        if not self.gvisor:
            raise GvisorMissingError("no RuntimeClass gvisor", remedy="install gVisor")

    async def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        """Land and then answer; like a request that was sent, it lands even if the caller is cancelled."""
        loop = asyncio.get_running_loop()
        landed: asyncio.Future[Manifest] = loop.create_future()
        loop.call_later(self.apply_s / 2, self._land, copy.deepcopy(manifest), landed)
        stored = await landed
        await asyncio.sleep(self.apply_s / 2)
        return stored

    def _land(self, manifest: Manifest, answer: asyncio.Future[Manifest]) -> None:
        refusals = self.refuses.get(manifest["kind"])
        if self.down or refusals:
            if not answer.cancelled():
                answer.set_exception(
                    refusals.pop() if refusals else ClusterUnavailableError("the API server is down")
                )
            return
        if manifest["kind"] == "Deployment":
            metadata = manifest["metadata"]
            self.applied.append((metadata["name"], metadata["annotations"][DIGEST_ANNOTATION]))
            manifest = self.store(manifest)
        if manifest["kind"] == "Service":
            self.services.add(manifest["metadata"]["name"])
        if not answer.cancelled():
            answer.set_result(manifest)

    def store(self, manifest: Manifest) -> Manifest:
        """Store as the API server and the Deployment controller would, and show it to the view later."""
        name = manifest["metadata"]["name"]
        before = self.deployments.get(name)
        stored = copy.deepcopy(manifest)
        same = before is not None and before["spec"] == manifest["spec"]
        generation = (before["metadata"]["generation"] if before else 0) + (0 if same else 1)
        uid = before["metadata"]["uid"] if before else f"{name}-{len(self.applied)}"
        stored["metadata"] |= {"generation": generation, "uid": uid}
        replicas = stored["spec"]["replicas"]
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        stored["status"] = {"observedGeneration": generation, **dict.fromkeys(counts, replicas)}
        self.deployments[name] = stored
        self._show(name, stored)
        return stored

    def delete(self, name: str) -> None:
        if self.deployments.pop(name, None):
            self._show(name, None)

    def scale(self, name: str, replicas: int) -> None:
        """Change a field that pdwatch owns, as ``kubectl scale`` does."""
        if name in self.deployments:
            changed = copy.deepcopy(self.deployments[name])
            changed["spec"]["replicas"] = replicas
            self.store(changed)

    def lose_pods(self, name: str) -> None:
        """Have the pods of a complete rollout go, as a node that dies takes them along, and come back."""
        complete = self.seen[name]
        for observed in (replace(complete, ready=0, available=0, rolled_out=True), complete):
            self.seen[name] = observed
            self._tell(name)

    def digest(self, name: str) -> str | None:
        manifest = self.deployments.get(name)
        return None if manifest is None else manifest["metadata"]["annotations"][DIGEST_ANNOTATION]

    # The view.

    async def synced(self, namespace: str) -> None:
        await self.listed.wait()

    def deployment(self, namespace: str, name: str) -> ObservedDeployment | None:
        return self.seen.get(name)

    def observe(self, manifest: Manifest) -> None:
        observed = observed_deployment(manifest)
        known = self.seen.get(observed.name)
        if observed.uid in self.ended:
            return
        if known is None or known.uid != observed.uid or known.generation <= observed.generation:
            self.seen[observed.name] = observed

    def announce(self, namespace: str, name: str) -> None:
        if name in self.seen:
            self._tell(name)

    def relist(self) -> None:
        """Begin anew, as the view of a daemon that has just started does."""
        self.listed.set()
        self.changes = asyncio.Queue()
        self.seen = {name: observed_deployment(manifest) for name, manifest in self.deployments.items()}
        for name in self.seen:
            self._tell(name)

    def _show(self, name: str, manifest: Manifest | None) -> None:
        asyncio.get_running_loop().call_later(WATCH_LAG_S, self._notice, name, copy.deepcopy(manifest))

    def _notice(self, name: str, manifest: Manifest | None) -> None:
        if manifest is None:
            if name in self.seen:
                self.ended.add(self.seen.pop(name).uid)
            self.changes.put_nowait(ViewChange(namespace=NAMESPACE, name=name, deployment=None, status=None))
            return
        self.observe(manifest)
        self._tell(name)

    def _tell(self, name: str) -> None:
        observed = self.seen[name]
        status = rollout_status(observed, ())
        seen_at = asyncio.get_running_loop().time()
        self.changes.put_nowait(
            ViewChange(namespace=NAMESPACE, name=name, deployment=observed, status=status, seen_at=seen_at)
        )


class NoPodLogs:
    async def last_lines(self, namespace: str, pod: str) -> Sequence[str]:
        return ()


@dataclass(slots=True)
class FakeWorld:
    """Everything that outlives a daemon."""

    disk: Disk = field(default_factory=Disk)
    docker: Docker = field(default_factory=Docker)
    cluster: FakeCluster = field(default_factory=FakeCluster)
    log: RecordingLog = field(default_factory=RecordingLog)
    undeploys_removed: bool = False
    stranded: set[Path] = field(default_factory=set)
    """Workflows whose target can't be used."""

    async def policy(self, directory: Path) -> Policy:
        if directory in self.stranded:
            raise TargetUnavailableError("target local can't be used: there is no deno")
        return Policy(namespace=NAMESPACE)


def everywhere(policy: Policy) -> Callable[[Path], Awaitable[Policy]]:
    """Return settings that say the same of every directory."""

    async def find(_: Path) -> Policy:
        return policy

    return find


class LoopUnderTest:
    """The daemon's tasks on a :class:`FakeWorld`, without files and sockets."""

    def __init__(self, world: FakeWorld, *, seed: int = 0) -> None:
        clock = asyncio.get_running_loop().time
        world.cluster.relist()
        tracked = TrackedWorkflows()
        ports = World(
            reader=world.disk,
            builder=world.docker,
            publisher=world.docker,
            cluster=world.cluster,
            view=world.cluster,
        )
        delivery = Delivery(
            lambda _: ports,
            tracked=tracked,
            log=world.log,
            clock=clock,
            jitter=random.Random(seed).random,
        )
        removals = Removals(
            FakeUndeployer(world.cluster),
            world.disk,
            world.cluster,
            world.disk,
            roots=(),
            tracked=tracked,
            log=world.log,
            clock=clock,
        )
        reconciler = Reconciler(
            world.disk,
            delivery,
            policy=world.policy,
            tracked=tracked,
            log=world.log,
            clock=clock,
            removed=removals.removed if world.undeploys_removed else lambda _: None,
        )
        self.queue = WorkQueue(reconciler.reconcile)
        reporter = RolloutReporter(
            "kubernetes",
            tracked,
            requeue=lambda workflow, cause: self.queue.add(workflow.root, cause=cause),
            pod_logs=NoPodLogs(),
            log=world.log,
            clock=clock,
        )
        self._tasks = [
            asyncio.create_task(self.queue.run(), name="work"),
            asyncio.create_task(reporter.run(world.cluster.changes), name="report"),
            asyncio.create_task(removals.run(), name="undeploy what is removed"),
        ]
        for root in world.disk.texts:
            tracked.track(root)
            self.queue.add(root, cause="start")

    def saved(self, root: Path) -> None:
        self.queue.add(root, cause="save", saved=True)

    async def kill(self) -> None:
        """End at once, as a process does that gets SIGKILL: nothing under way is finished."""
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended
