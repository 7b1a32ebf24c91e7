"""What pods say about themselves beyond their status: their events, and what their containers print."""

from __future__ import annotations

from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from pdwatch.core.observed import explained, observed_pod
from pdwatch.core.pod_log import printable
from pdwatch.errors import ApplyRejectedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import Manifest, ObservedDeployment, ObservedPod

_LOG_BYTES = 64 * 1024
_LINE_LENGTH = 1000
_LOG_SILENCE_S = 10.0
_EVENTS = 100
_EXPLAINED = 10
"""Pods whose events are asked for; many that fail at once fail alike."""


async def pods_of(api: Api, deployment: ObservedDeployment) -> tuple[ObservedPod, ...]:
    """Return a Deployment's pods, by name; for those that don't say why they are not ready, their events do.

    Raises:
        ClusterError: Or one of its subclasses, by cause.
    """
    labels: Mapping[str, str] = deployment.manifest["spec"]["selector"].get("matchLabels") or {}
    found = await api.request(
        "GET",
        f"/api/v1/namespaces/{deployment.namespace}/pods",
        query={"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())},
    )
    pods = sorted(map(observed_pod, found.get("items") or ()), key=lambda pod: pod.name)
    unready = [pod for pod in pods if not pod.ready and not pod.terminating][:_EXPLAINED]
    events = {pod.name: await pod_events(api, pod.namespace, pod.name) for pod in unready}
    return tuple(explained(pod, events.get(pod.name, ())) for pod in pods)


async def pod_events(api: Api, namespace: str, pod: str) -> Sequence[Manifest]:
    """Return the Events (v1) about a pod; the API server keeps them for an hour.

    Raises:
        ClusterError: Or one of its subclasses, by cause.
    """
    about = f"involvedObject.kind=Pod,involvedObject.name={pod}"
    found = await api.request(
        "GET",
        f"/api/v1/namespaces/{namespace}/events",
        query={"fieldSelector": about, "limit": str(_EVENTS)},
    )
    events: list[Manifest] = found.get("items") or []
    return events


class ApiPodLogs:
    """Reads containers' logs through the API server; implements :class:`pdwatch.ports.PodLogs`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def last_lines(self, namespace: str, pod: str, *, lines: int = 20) -> Sequence[str]:
        """Return the last lines of the log of the container that is not ready, oldest first.

        If it has been restarted, they are those of the run that crashed. Empty when it has never run.

        Args:
            namespace: The pod's namespace.
            pod: The pod's name.
            lines: How many at most. Of a longer log only so much is read, and of a long line shown.

        Raises:
            ClusterError: Or one of its subclasses, by cause.
            NotFoundError: There is no such pod any more.
        """
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}"
        container = _unready_container((await self._api.request("GET", path)).get("status") or {})
        if container is None:
            return ()
        query = {
            "container": container["name"],
            "previous": str(_was_restarted(container)).lower(),
            "tailLines": str(lines),
            "limitBytes": str(_LOG_BYTES),
        }
        last: deque[str] = deque(maxlen=lines)
        try:
            stream = self._api.stream(f"{path}/log", query=query, inactivity_timeout_s=_LOG_SILENCE_S)
            async with aclosing(stream) as log:
                async for line in log:
                    last.append(_printable(line))
        except ApplyRejectedError:
            return ()  # how the API server says that the container has not run yet
        return tuple(last)


def _unready_container(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    containers: Sequence[Mapping[str, Any]] = status.get("containerStatuses") or ()
    unready = (container for container in containers if not container.get("ready"))
    return next(unready, containers[0] if containers else None)


def _was_restarted(container: Mapping[str, Any]) -> bool:
    crashed_now = "terminated" in (container.get("state") or {})
    return not crashed_now and "terminated" in (container.get("lastState") or {})


def _printable(line: bytes) -> str:
    """Decode a line for terminals and logs: without colours, and unable to move anybody's cursor."""
    return printable(line.decode(errors="replace").rstrip("\r\n"))[:_LINE_LENGTH]
