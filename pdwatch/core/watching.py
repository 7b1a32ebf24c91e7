"""What is known of one namespace from its watches, and what in it has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pdwatch.core.model import ViewChange
from pdwatch.core.observed import explained, observed_deployment, observed_pod
from pdwatch.core.rollout import rollout_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, KeysView

    from pdwatch.core.model import Manifest, ObservedDeployment, ObservedPod


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Every object there was at ``resource_version``: what is not among them is gone."""

    items: tuple[Manifest, ...]
    resource_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upserted:
    """An object is new or has changed."""

    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """An object is gone; ``manifest`` is what it was last, with the resourceVersion of its end."""

    manifest: Manifest


WatchChange: TypeAlias = Listed | Upserted | Removed


class NamespaceState:
    """The Deployments and Pods of one namespace as last seen.

    Every method that takes something in returns what has become of which Deployment. Nothing is returned
    until both kinds have been listed, since a Deployment without its pods says less than there is to know.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._listed: set[str] = set()
        self._deployments: dict[str, ObservedDeployment] = {}
        self._ended: dict[str, str] = {}
        """The resourceVersion at which a name's last Deployment was gone."""
        self._pods: dict[str, dict[str, ObservedPod]] = {}
        """By workflow and name, each with what its own status says."""
        self._puzzling: dict[str, str] = {}
        self._events: dict[str, tuple[Manifest, ...]] = {}
        """By pod, as long as it is puzzling."""
        self._told: dict[str, ViewChange] = {}

    @property
    def synced(self) -> bool:
        """Whether both kinds have been listed."""
        return self._listed == {"deployments", "pods"}

    @property
    def puzzling(self) -> KeysView[str]:
        """The names of pods that are not ready and don't say why; their events may."""
        return self._puzzling.keys()

    def deployment(self, name: str) -> ObservedDeployment | None:
        """Return the Deployment as last seen."""
        return self._deployments.get(name)

    def told(self, name: str) -> ViewChange | None:
        """Return what was last told of a Deployment that is there."""
        return self._told.get(name)

    def take_deployments(self, change: WatchChange) -> list[ViewChange]:
        """Take in a change from the watch of Deployments."""
        match change:
            case Upserted(manifest=manifest):
                return self.observe(manifest)
            case Removed(manifest=manifest):
                name = manifest["metadata"]["name"]
                self._end(name, _version(manifest))
                return self._changes([name])
        self._listed.add("deployments")
        for name in self._deployments.keys() - {item["metadata"]["name"] for item in change.items}:
            self._end(name, change.resource_version)
        for item in change.items:
            self._keep(item)
        return self._changes(self._deployments.keys() | self._told.keys())

    def observe(self, manifest: Manifest) -> list[ViewChange]:
        """Take in a Deployment from wherever it comes; what is older than what is known changes nothing."""
        self._keep(manifest)
        return self._changes([manifest["metadata"]["name"]])

    def take_pods(self, change: WatchChange) -> list[ViewChange]:
        """Take in a change from the watch of Pods."""
        if isinstance(change, Listed):
            self._listed.add("pods")
            self._pods.clear()
            self._puzzling.clear()
            for item in change.items:
                self._keep_pod(observed_pod(item))
            self._events = {pod: events for pod, events in self._events.items() if pod in self._puzzling}
            return self._changes(self._deployments)
        pod = observed_pod(change.manifest)
        if isinstance(change, Upserted):
            self._keep_pod(pod)
        else:
            self._pods.get(pod.workflow, {}).pop(pod.name, None)
            self._forget_events(pod.name)
        return self._changes([pod.workflow])

    def take_events(self, pod: str, events: Iterable[Manifest]) -> list[ViewChange]:
        """Take in the Events about a pod; they count until the pod is ready or says itself why it is not."""
        if pod not in self._puzzling:
            return []
        self._events[pod] = tuple(events)
        return self._changes([self._puzzling[pod]])

    def _keep(self, manifest: Manifest) -> None:
        name, version = manifest["metadata"]["name"], _version(manifest)
        known = self._deployments.get(name)
        latest = _version(known.manifest) if known else self._ended.get(name)
        if latest is None or _is_newer(version, latest):
            self._deployments[name] = observed_deployment(manifest)

    def _end(self, name: str, version: str) -> None:
        known = self._deployments.get(name)
        if known is not None and not _is_newer(_version(known.manifest), version):
            del self._deployments[name]
            self._ended[name] = version

    def _keep_pod(self, pod: ObservedPod) -> None:
        self._pods.setdefault(pod.workflow, {})[pod.name] = pod
        if pod.ready or pod.reason or pod.terminating:
            self._forget_events(pod.name)
        else:
            self._puzzling[pod.name] = pod.workflow

    def _forget_events(self, pod: str) -> None:
        self._puzzling.pop(pod, None)
        self._events.pop(pod, None)

    def _changes(self, names: Iterable[str]) -> list[ViewChange]:
        return [change for name in tuple(names) for change in self._change(name)] if self.synced else []

    def _change(self, name: str) -> Iterator[ViewChange]:
        deployment, told = self._deployments.get(name), self._told.get(name)
        if told and told.deployment and (deployment is None or deployment.uid != told.deployment.uid):
            told = None
            del self._told[name]
            yield ViewChange(namespace=self._namespace, name=name, deployment=None, status=None)
        if deployment is None:
            return
        pods = self._pods.get(name, {}).values()
        status = rollout_status(deployment, [explained(pod, self._events.get(pod.name, ())) for pod in pods])
        if told is None or told.deployment is not deployment or told.status != status:
            self._told[name] = ViewChange(
                namespace=self._namespace, name=name, deployment=deployment, status=status
            )
            yield self._told[name]


def _version(manifest: Manifest) -> str:
    version: str = manifest["metadata"]["resourceVersion"]
    return version


def _is_newer(version: str, known: str) -> bool:
    """Compare two resourceVersions of one resource: whole numbers that grow, as Kubernetes' API concepts say.

    Where a server's are none, whatever comes is taken for newer.
    """
    if version.isdecimal() and known.isdecimal():
        return int(version) > int(known)
    return version != known
