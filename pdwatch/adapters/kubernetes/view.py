"""The Deployments and Pods that pdwatch made, as last seen; implements :class:`pdwatch.ports.ClusterView`."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from pdwatch.adapters.kubernetes.list_watch import Collection, ListWatch, reason_of
from pdwatch.adapters.kubernetes.pods import pod_events
from pdwatch.core.names import MANAGED_SELECTOR
from pdwatch.core.watching import NamespaceState
from pdwatch.errors import PdwatchError
from pdwatch.logs import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.adapters.kubernetes.list_watch import WatchPolicy
    from pdwatch.core.model import Manifest, ObservedDeployment, ViewChange
    from pdwatch.core.watching import WatchChange
    from pdwatch.heartbeats import Heartbeats
    from pdwatch.logs import EventLog

_PUZZLING_S = 5.0
"""How long a pod may be unready without a reason before its events are asked for; doubled each time."""
_PUZZLING_CAP_S = 60.0
_EVENT_REQUESTS = 4
"""At once, a namespace."""


class WorkflowView:
    """Watches namespaces, each from when it is first asked about.

    Args:
        api: The API server; it may be unreachable.
        notify: Called with every change of a Deployment or of its rollout.
        log: Where the watches report on themselves.
        policy: How patient the watches are.
        heartbeats: Where the watches show that they live.
    """

    def __init__(
        self,
        api: Api,
        *,
        notify: Callable[[ViewChange], None],
        log: EventLog,
        policy: WatchPolicy | None = None,
        heartbeats: Heartbeats | None = None,
    ) -> None:
        self._api = api
        self._notify = notify
        self._log = log
        self._policy = policy
        self._heartbeats = heartbeats
        self._watches: dict[str, NamespaceWatch] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for watch in self._watches.values():
                self._start(watch)
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    async def synced(self, namespace: str) -> None:
        """Return once the namespace has been listed, however long the API server can't be reached."""
        watch = self._watches.get(namespace)
        if watch is None:
            watch = self._watches[namespace] = NamespaceWatch(
                self._api,
                namespace,
                selector=MANAGED_SELECTOR,
                notify=self._notify,
                log=self._log,
                policy=self._policy,
                heartbeats=self._heartbeats,
            )
            self._start(watch)
        await watch.synced()

    def deployment(self, namespace: str, name: str) -> ObservedDeployment | None:
        """Return the Deployment as last seen; None when there is none, or the namespace is not watched."""
        watch = self._watches.get(namespace)
        return watch.deployment(name) if watch else None

    def announce(self, namespace: str, name: str) -> None:
        """Tell again what is known of a Deployment, for whom it did not concern before."""
        watch = self._watches.get(namespace)
        if watch:
            watch.announce(name)

    def observe(self, manifest: Manifest) -> None:
        """Take in a Deployment that an apply has just returned."""
        watch = self._watches.get(manifest["metadata"]["namespace"])
        if watch:
            watch.observe(manifest)

    def _start(self, watch: NamespaceWatch) -> None:
        if self._group is not None:
            self._group.create_task(watch.run(), name=f"watch namespace {watch.namespace}")


class NamespaceWatch:
    """Watches the Deployments and Pods of one namespace that a label selector selects."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        *,
        selector: str,
        notify: Callable[[ViewChange], None],
        log: EventLog,
        policy: WatchPolicy | None = None,
        heartbeats: Heartbeats | None = None,
    ) -> None:
        self.namespace = namespace
        self._api = api
        self._selection = {"labelSelector": selector}
        self._notify = notify
        self._log = log.bind(namespace=namespace)
        self._policy = policy
        self._heartbeats = heartbeats
        self._state = NamespaceState(namespace)
        self._synced = asyncio.Event()
        self._event_requests = asyncio.Semaphore(_EVENT_REQUESTS)
        self._explaining: set[str] = set()
        self._events_refused = False

    async def run(self) -> None:
        """Watch until cancelled."""
        deployments = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        async with asyncio.TaskGroup() as group:

            def take_pods(change: WatchChange) -> Iterable[ViewChange]:
                changes = self._state.take_pods(change)
                for pod in self._state.puzzling - self._explaining:
                    self._explaining.add(pod)
                    group.create_task(self._explain(pod), name=f"explain pod {self.namespace}/{pod}")
                return changes

            take_deployments = self._state.take_deployments
            group.create_task(
                self._follow("deployments", deployments, take_deployments),
                name=f"watch deployments in {self.namespace}",
            )
            group.create_task(self._follow("pods", pods, take_pods), name=f"watch pods in {self.namespace}")

    async def synced(self) -> None:
        """Return once everything has been listed."""
        await self._synced.wait()

    def deployment(self, name: str) -> ObservedDeployment | None:
        """Return the Deployment as last seen."""
        return self._state.deployment(name)

    def announce(self, name: str) -> None:
        """Tell again what was last told of a Deployment."""
        told = self._state.told(name)
        if told is not None:
            self._notify(told)

    def observe(self, manifest: Manifest) -> None:
        """Take in a Deployment that an apply has just returned."""
        self._tell(self._state.observe(manifest))

    async def _follow(
        self, resource: str, path: str, take: Callable[[WatchChange], Iterable[ViewChange]]
    ) -> None:
        collection = Collection(resource=resource, path=path, selection=self._selection)
        watch = ListWatch(
            self._api, collection, log=self._log, policy=self._policy, heartbeats=self._heartbeats
        )
        async with aclosing(watch.changes()) as changes:
            async for change in changes:
                self._tell(take(change))
                if self._state.synced:
                    self._synced.set()

    async def _explain(self, pod: str) -> None:
        """Ask for a pod's events, again and again, as long as it is not ready and does not say why."""
        delay_s = _PUZZLING_S
        try:
            while True:
                await asyncio.sleep(delay_s)
                if pod not in self._state.puzzling:
                    return
                delay_s = min(2 * delay_s, _PUZZLING_CAP_S)
                async with self._event_requests:
                    await self._ask_for_events(pod, retry_in_s=delay_s)
        finally:
            self._explaining.discard(pod)

    async def _ask_for_events(self, pod: str, *, retry_in_s: float) -> None:
        try:
            events = await pod_events(self._api, self.namespace, pod)
        except PdwatchError as error:
            if not self._events_refused:
                self._log.emit(
                    Event.WATCH_DISCONNECTED,
                    resource="events",
                    reason=reason_of(error),
                    message=error.message,
                    retry_in_s=retry_in_s,
                )
            self._events_refused = True
            return
        self._events_refused = False
        self._tell(self._state.take_events(pod, events))

    def _tell(self, changes: Iterable[ViewChange]) -> None:
        for change in changes:
            self._notify(change)
