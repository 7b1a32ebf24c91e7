"""Reads what matters of Deployments and Pods out of the objects that the API server returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pdwatch.core.image import parse_reference
from pdwatch.core.model import ObservedDeployment, ObservedPod
from pdwatch.core.names import (
    DIGEST_ANNOTATION,
    FIELD_MANAGER,
    IMAGE_ANNOTATION,
    MANAGED_BY_LABEL,
    NAME_LABEL,
    ROLLED_BACK_ANNOTATION,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdwatch.core.model import ImageRef, Manifest

CRASH_LOOP = "CrashLoopBackOff"
OUT_OF_MEMORY = "OOMKilled"
IMAGE_PULL = "ImagePullBackOff"
CANNOT_RUN = "RunContainerError"
PROCESS_ID = "process://"
"""How the containerID of an engine that is a process of this machine begins, where others name a runtime."""

_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Waiting reasons of a container that nothing is wrong with."""
_CRASHED = frozenset({CRASH_LOOP, CANNOT_RUN})
"""Waiting reasons whose cause is in how the last attempt ended."""
_ALIASES = {"ErrImagePull": IMAGE_PULL}
"""Reasons between which the kubelet alternates while nothing changes."""
_NOT_STARTED = frozenset({"ContainerCannotRun", "StartError"})
"""How dockershim and containerd say that a container's command could not be run."""

_WARNINGS = frozenset({"FailedCreatePodSandBox", "FailedMount", "FailedAttachVolume", "Unhealthy"})
"""Events that say what no status does. FailedScheduling is not here: a condition says the same."""
_STEPS = frozenset({"Scheduled", "Pulling", "Pulled", "Created", "Started"})
"""Events of a pod that gets on, so that what went wrong before them is over."""
_PULL_FAILED = "Failed to pull image"


@dataclass(frozen=True, slots=True)
class _Trouble:
    reason: str = ""
    message: str = ""


def observed_deployment(manifest: Manifest) -> ObservedDeployment:
    """Read a Deployment (apps/v1); ``manifest`` itself is left as it is."""
    metadata, spec, status = manifest["metadata"], manifest["spec"], manifest.get("status") or {}
    progressing = _condition(status, "Progressing")
    failure = _condition(status, "ReplicaFailure")
    containers = spec["template"]["spec"]["containers"]
    return ObservedDeployment(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        source_digest=_annotation(metadata, DIGEST_ANNOTATION),
        image=containers[0].get("image") if containers else None,
        desired=spec.get("replicas", 1),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        managed=_label(metadata, MANAGED_BY_LABEL) == FIELD_MANAGER,
        created_at=_timestamp(metadata.get("creationTimestamp")),
        rolled_out=progressing.get("reason") == "NewReplicaSetAvailable",
        paused=spec.get("paused", False),
        deadline_exceeded=progressing.get("reason") == "ProgressDeadlineExceeded",
        failure=failure.get("message", "") if failure.get("status") == "True" else "",
        rolled_back_from=_annotation(metadata, ROLLED_BACK_ANNOTATION),
        manifest={
            **manifest,
            "metadata": {key: value for key, value in metadata.items() if key != "managedFields"},
        },
    )


def deployed_image(observed: ObservedDeployment | None) -> ImageRef | None:
    """Return the image reference that pdwatch last applied, None when it has left no (readable) one."""
    if observed is None:
        return None
    annotations = observed.manifest["metadata"].get("annotations") or {}
    return parse_reference(annotations.get(IMAGE_ANNOTATION, ""))


def observed_pod(manifest: Manifest, *, events: Iterable[Manifest] = ()) -> ObservedPod:
    """Read a Pod (v1), and why it is not ready.

    Reasons are Kubernetes' own words and stay the same while nothing changes. The kubelet alternates between
    ErrImagePull and ImagePullBackOff, which is ImagePullBackOff here; and a container that has crashed keeps
    the reason CrashLoopBackOff (or OOMKilled, or RunContainerError) until the pod is ready again, whether it
    waits for its next attempt or is in the middle of one.

    Args:
        manifest: The Pod.
        events: Event objects (v1) about this pod.
    """
    metadata, status = manifest["metadata"], manifest.get("status") or {}
    readiness = _condition(status, "Ready")
    ready = readiness.get("status") == "True"
    trouble = _Trouble() if ready else _trouble(status, unready_since=readiness.get("lastTransitionTime"))
    pod = ObservedPod(
        name=metadata["name"],
        namespace=metadata["namespace"],
        workflow=_label(metadata, NAME_LABEL) or "",
        source_digest=_annotation(metadata, DIGEST_ANNOTATION),
        phase=status.get("phase", ""),
        ready=ready,
        restarts=sum(each.get("restartCount", 0) for each in status.get("containerStatuses") or ()),
        reason=trouble.reason,
        message=trouble.message,
        terminating=metadata.get("deletionTimestamp") is not None,
        created_at=_timestamp(metadata.get("creationTimestamp")),
    )
    return explained(pod, events)


def explained(pod: ObservedPod, events: Iterable[Manifest]) -> ObservedPod:
    """Say by its events why a pod is not ready, where its status does not say it, or says less."""
    if pod.ready:
        return pod
    newest_first = sorted(events, key=_event_time, reverse=True)
    if pod.reason == IMAGE_PULL:
        failures = (event.get("message") or "" for event in newest_first if event.get("reason") == "Failed")
        message = next((text for text in failures if text.startswith(_PULL_FAILED)), pod.message)
        return replace(pod, message=message)
    if pod.reason:
        return pod
    steps = (_event_time(event) for event in newest_first if event.get("reason") in _STEPS)
    got_on = max(steps, default=_NEVER)
    for event in newest_first:
        if event.get("reason") in _WARNINGS and _event_time(event) >= got_on:
            return replace(pod, reason=event["reason"], message=event.get("message") or "")
    return pod


def _timestamp(value: str | None) -> datetime | None:
    """Read Kubernetes' ``Time`` or ``MicroTime`` (RFC 3339)."""
    return datetime.fromisoformat(value) if value else None


def _trouble(status: Mapping[str, Any], *, unready_since: str | None) -> _Trouble:
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in containers:
        trouble = _container_trouble(container, unready_since=unready_since)
        if trouble.reason:
            return trouble
    if status.get("reason"):
        return _Trouble(status["reason"], status.get("message", ""))  # Evicted, OutOfcpu, NodeLost …
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return _Trouble(scheduled.get("reason", ""), scheduled.get("message", ""))
    return _Trouble()


def _container_trouble(container: Mapping[str, Any], *, unready_since: str | None) -> _Trouble:
    if container.get("ready"):
        return _Trouble()
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason not in _STARTING | _CRASHED:
        return _Trouble(_ALIASES.get(reason, reason), waiting.get("message", ""))
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if ended and not _was_ready_since_start(state, unready_since):
        return _crash(container, ended)
    return _Trouble(reason, waiting.get("message", "")) if reason in _CRASHED else _Trouble()


def _was_ready_since_start(state: Mapping[str, Any], unready_since: str | None) -> bool:
    """Tell a container that is slow or fails its probe from one that has not recovered from its crash.

    If readiness was lost after the container started, this run of it was ready once, and how an earlier run
    ended, perhaps days ago, explains nothing.
    """
    started, lost = _timestamp((state.get("running") or {}).get("startedAt")), _timestamp(unready_since)
    return started is not None and lost is not None and lost > started


def _crash(container: Mapping[str, Any], ended: Mapping[str, Any]) -> _Trouble:
    restarts = container.get("restartCount", 0)
    kind = "engine" if (container.get("containerID") or "").startswith(PROCESS_ID) else "container"
    what = f"{kind} {container.get('name', '')}"
    if ended.get("reason") in _NOT_STARTED:
        return _Trouble(CANNOT_RUN, ended.get("message", ""))
    again = f", restarted {restarts} time{'' if restarts == 1 else 's'}" if restarts else ""
    if ended.get("reason") == OUT_OF_MEMORY:
        return _Trouble(OUT_OF_MEMORY, f"{what} used more memory than its limit{again}")
    return _Trouble(CRASH_LOOP, f"{what} exited with code {ended.get('exitCode')}{again}")


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    conditions: Iterable[Mapping[str, Any]] = status.get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), {})


def _annotation(metadata: Mapping[str, Any], key: str) -> str | None:
    value: str | None = (metadata.get("annotations") or {}).get(key)
    return value


def _label(metadata: Mapping[str, Any], key: str) -> str | None:
    value: str | None = (metadata.get("labels") or {}).get(key)
    return value


_NEVER = datetime.min.replace(tzinfo=UTC)


def _event_time(event: Mapping[str, Any]) -> datetime:
    """Return the second in which an Event last happened.

    Events of the newer API have a series or an eventTime alone, which is finer; the order within a second is
    not known either way.
    """
    series = event.get("series") or {}
    metadata = event.get("metadata") or {}
    at = _timestamp(
        event.get("lastTimestamp")
        or series.get("lastObservedTime")
        or event.get("eventTime")
        or metadata.get("creationTimestamp")
    )
    return at.replace(microsecond=0) if at else _NEVER
