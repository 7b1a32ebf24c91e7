"""Engines as child processes, behind the ports that Kubernetes has."""

from __future__ import annotations

import asyncio
import uuid
import zlib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from pdwatch.adapters.local.deno import LOOPBACK
from pdwatch.adapters.local.front import open_front
from pdwatch.adapters.local.secrets import SecretVolume
from pdwatch.adapters.local.supervised import Surroundings, image_of
from pdwatch.adapters.local.workload import Workload
from pdwatch.core.manifests import secret_name
from pdwatch.core.watching import Listed, NamespaceState, Removed, Upserted
from pdwatch.errors import NotFoundError, PortTakenError
from pdwatch.logs import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from pdwatch.adapters.local.front import Front
    from pdwatch.adapters.local.stages import Stages
    from pdwatch.core.model import Manifest, ObservedDeployment, ViewChange
    from pdwatch.logs import EventLog

_FIRST_PORT, _PORTS, _TRIED = 18080, 2000, 50


def stable_ports(namespace: str, name: str) -> tuple[int, ...]:
    """Return the ports to try for a workflow, the same each time, so that its address stays what it was."""
    first = _FIRST_PORT + zlib.crc32(f"{namespace}/{name}".encode()) % _PORTS
    return tuple(range(first, first + _TRIED))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Only:
    """The only workflow there is: its directory, and where it answers."""

    root: Path
    front: Front
    port: int


class LocalCluster:
    """Implements the ports Cluster, ClusterView and PodLogs of :mod:`pdwatch.ports`.

    Args:
        stages: What engines are started from.
        area: A private directory for secrets.
        deno: The program.
        port: That of the only workflow, whatever its name is, 0 for any; None for one of each workflow's own.
        notify: Called with every change of a Deployment or of its rollout.
        log: Where engines' lines go.
        jitter: Returns a random number in [0, 1).
    """

    def __init__(
        self,
        stages: Stages,
        *,
        area: Path,
        deno: Path,
        port: int | None,
        notify: Callable[[ViewChange], None],
        log: EventLog,
        jitter: Callable[[], float],
    ) -> None:
        self._stages = stages
        self._area = area
        self._deno = deno
        self._port = port
        self._notify = notify
        self._log = log
        self._jitter = jitter
        self._states: dict[str, NamespaceState] = {}
        self._workloads: dict[tuple[str, str], Workload] = {}
        self._only: _Only | None = None
        self._volumes: dict[tuple[str, str], SecretVolume] = {}
        self._output: dict[str, tuple[str, ...]] = {}
        self._version = 0
        self._fronts = AsyncExitStack()
        self._surroundings: asyncio.Future[Surroundings] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Keep the engines running until cancelled; then let them finish their runs, and end."""
        async with aiohttp.ClientSession() as session, self._fronts, asyncio.TaskGroup() as group:
            self._surroundings.set_result(self._surround(group, session))
            await asyncio.Event().wait()

    async def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:  # noqa: ARG002  # the port's
        """Take a Deployment, a Secret or a Service; the last needs nothing done: a front is always there.

        Raises:
            ClusterError: What a Deployment names is not staged.
            PortTakenError: No port is left for the workflow, or it is another than the only one.
        """
        metadata = manifest["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        if manifest["kind"] == "Secret":
            await asyncio.to_thread(self._volume(namespace, name).write, manifest)
        if manifest["kind"] != "Deployment":
            return manifest
        workload = await self._workload(namespace, name, self._stages.stage(image_of(manifest)).snapshot.root)
        return workload.apply(manifest, uid=str(uuid.uuid4()))

    async def require_gvisor(self) -> None:
        """Return: the rights that Deno gives are all that confines an engine here."""

    async def synced(self, namespace: str) -> None:
        """Return: what runs here was started here."""
        self._state(namespace)

    def deployment(self, namespace: str, name: str) -> ObservedDeployment | None:
        """Return what was applied last, with its status."""
        return self._state(namespace).deployment(name)

    def announce(self, namespace: str, name: str) -> None:
        """Tell again what was last told of a Deployment."""
        told = self._state(namespace).told(name)
        if told is not None:
            self._notify(told)

    def observe(self, manifest: Manifest) -> None:
        """Take in what an apply has returned."""
        self._tell(self._state(manifest["metadata"]["namespace"]).observe(manifest))

    async def last_lines(self, namespace: str, pod: str) -> Sequence[str]:  # noqa: ARG002  # the port's
        """Return what the engine wrote last before it ended.

        Raises:
            NotFoundError: No engine of that name has ended.
        """
        try:
            return self._output[pod]
        except KeyError:
            raise NotFoundError(f"engine {pod} has not ended") from None

    async def _workload(self, namespace: str, name: str, root: Path) -> Workload:
        surroundings = await asyncio.shield(self._surroundings)
        key = (namespace, name)
        if key not in self._workloads:
            front, port = await self._front(namespace, name, root)
            volume = self._volume(namespace, secret_name(name))
            self._workloads[key] = Workload(front, volume, surroundings)
            log = self._log.bind(workflow=name, namespace=namespace)
            log.emit(Event.ENDPOINT_OPENED, url=f"http://{LOOPBACK}:{port}")
        return self._workloads[key]

    async def _front(self, namespace: str, name: str, root: Path) -> tuple[Front, int]:
        """Return where a new workload answers, and its port; the only workflow keeps it under a new name."""
        if self._port is None:
            return await self._fronts.enter_async_context(open_front(stable_ports(namespace, name)))
        if self._only is None:
            front, port = await self._fronts.enter_async_context(open_front((self._port,)))
            self._only = _Only(root=root, front=front, port=port)
        elif self._only.root != root:
            raise PortTakenError(
                f"port {self._only.port} is for the workflow in {self._only.root}",
                remedy="run several workflows with `pdwatch run --target local`",
            )
        for (former_namespace, _), workload in self._workloads.items():
            workload.retire()
            self._forget(former_namespace, workload.deployment)
        self._workloads.clear()
        return self._only.front, self._only.port

    def _forget(self, namespace: str, deployment: Manifest | None) -> None:
        """Let the Deployment of a workload that was retired be gone, so that its name may come back."""
        if deployment is None:
            return
        metadata = {**deployment["metadata"], "resourceVersion": str(self._next_version())}
        gone = Removed(manifest={**deployment, "metadata": metadata})
        self._tell(self._state(namespace).take_deployments(gone))

    def _volume(self, namespace: str, name: str) -> SecretVolume:
        volume = SecretVolume(self._area / "secrets" / namespace / name)
        return self._volumes.setdefault((namespace, name), volume)

    def _state(self, namespace: str) -> NamespaceState:
        state = self._states.get(namespace)
        if state is None:
            state = self._states[namespace] = NamespaceState(namespace)
            nothing = Listed(items=(), resource_version="0")
            state.take_deployments(nothing)
            state.take_pods(nothing)
        return state

    def _surround(self, group: asyncio.TaskGroup, session: aiohttp.ClientSession) -> Surroundings:
        def state_of(manifest: Manifest) -> NamespaceState:
            return self._state(manifest["metadata"]["namespace"])

        def pod_gone(manifest: Manifest) -> None:
            self._output.pop(manifest["metadata"]["name"], None)
            self._tell(state_of(manifest).take_pods(Removed(manifest=manifest)))

        return Surroundings(
            stages=self._stages,
            deno=self._deno,
            group=group,
            session=session,
            log=self._log,
            jitter=self._jitter,
            version=self._next_version,
            tell_deployment=lambda manifest: self._tell(state_of(manifest).observe(manifest)),
            tell_pod=lambda manifest: self._tell(state_of(manifest).take_pods(Upserted(manifest=manifest))),
            pod_gone=pod_gone,
            keep_output=self._output.__setitem__,
        )

    def _next_version(self) -> int:
        self._version += 1
        return self._version

    def _tell(self, changes: Iterable[ViewChange]) -> None:
        for change in changes:
            self._notify(change)
