"""Where a rollout stands, and which of its changes are worth a word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from pdwatch.core.model import RolloutPhase, RolloutStatus
from pdwatch.core.observed import CANNOT_RUN, CRASH_LOOP, IMAGE_PULL, OUT_OF_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdwatch.core.model import ObservedDeployment, ObservedPod

_BLOCKING = frozenset(
    {
        IMAGE_PULL,
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        CANNOT_RUN,
        "FailedCreatePodSandBox",
        "Unschedulable",
    }
)
"""Reasons that end only when somebody changes the workflow, the image or the cluster.

FailedMount and Unhealthy are not here: many a healthy pod has them while it starts.
"""
_BLOCKING_ONCE_RESTARTED = frozenset({CRASH_LOOP, OUT_OF_MEMORY})
_FINISHED = frozenset({"Failed", "Succeeded"})
"""Phases of pods that a ReplicaSet no longer counts: evicted ones, for instance."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class RolloutTransition(StrEnum):
    """A change of a rollout that is worth a word; the values are the names of log events."""

    PROGRESSING = "rollout.progressing"
    COMPLETE = "rollout.complete"
    STALLED = "rollout.stalled"
    DEGRADED = "rollout.degraded"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cause:
    """Why a rollout is not complete; ``blocking`` when waiting alone won't help."""

    reason: str = ""
    message: str = ""
    pod: str | None = None
    blocking: bool = False


def rollout_status(deployment: ObservedDeployment, pods: Iterable[ObservedPod]) -> RolloutStatus:
    """Judge a rollout as ``kubectl rollout status`` does, and see sooner than it does that it has stalled.

    A Deployment notices only after its progress deadline that its new pods don't start; the pods say so, and
    why, at once. A rollout that was complete never counts as stalled: it is degraded.

    Args:
        deployment: The Deployment.
        pods: Its pods, of any revision.
    """
    pods = tuple(pods)
    missing = _missing(deployment)
    observed = deployment.observed_generation >= deployment.generation
    cause = _cause(deployment, _new_pods(deployment, pods)) if missing and observed else _Cause()
    if not missing:
        phase = RolloutPhase.READY
    elif observed and (deployment.rolled_out or cause.blocking):
        phase = RolloutPhase.DEGRADED if deployment.available else RolloutPhase.NOT_READY
    else:
        phase = RolloutPhase.PROGRESSING
    return RolloutStatus(
        phase=phase,
        stalled=cause.blocking and not deployment.rolled_out,
        generation=deployment.generation,
        source_digest=deployment.source_digest,
        desired=deployment.desired,
        updated=deployment.updated,
        ready=deployment.ready,
        available=deployment.available,
        reason=cause.reason,
        message=cause.message or missing,
        pod=cause.pod,
        running=_running(pods),
    )


def transitions(old: RolloutStatus | None, new: RolloutStatus) -> tuple[RolloutTransition, ...]:
    """Return what there is to say about a change of status: at most one transition.

    Each generation is progressing once and complete once, stalled once a reason. A complete one that loses
    availability is degraded, once a reason, and complete again when it recovers. What is seen first is said
    once, so that a restarted daemon shows where everything stands.

    Args:
        old: The status before; None when the Deployment was not known, or another one had its name.
        new: The status now.
    """
    if old is not None and _topic(old) == _topic(new):
        return ()
    _, transition, _ = _topic(new)
    started = old is not None and old.generation != new.generation
    if transition is RolloutTransition.PROGRESSING and not started:
        was_complete = old is not None and old.phase is RolloutPhase.READY
        if was_complete or new.phase is not RolloutPhase.PROGRESSING:
            return (RolloutTransition.DEGRADED,)
    return (transition,)


def _topic(status: RolloutStatus) -> tuple[int, RolloutTransition, str]:
    """Return what must differ between two statuses for the second to be worth a word.

    A rollout that goes on and one that was complete and lacks pods for no known reason are one topic: while a
    Deployment is scaled up the two look alike.
    """
    if status.phase is RolloutPhase.READY:
        return status.generation, RolloutTransition.COMPLETE, ""
    if status.stalled:
        return status.generation, RolloutTransition.STALLED, status.reason
    if status.phase is not RolloutPhase.PROGRESSING and status.reason:
        return status.generation, RolloutTransition.DEGRADED, status.reason
    return status.generation, RolloutTransition.PROGRESSING, ""


def _missing(deployment: ObservedDeployment) -> str:
    """Say what a rollout lacks to be complete, in kubectl's order (``rollout_status.go``); else nothing."""
    if deployment.observed_generation < deployment.generation:
        return "the change has not been observed yet"
    if deployment.deadline_exceeded:
        return "the rollout has exceeded its progress deadline"
    if deployment.updated < deployment.desired:
        return f"{deployment.updated} of {deployment.desired} new replicas have been created"
    if deployment.replicas > deployment.updated:
        return f"old replicas pending termination: {deployment.replicas - deployment.updated}"
    if deployment.available < deployment.updated:
        return f"{deployment.available} of {deployment.updated} new replicas are available"
    return ""


def _cause(deployment: ObservedDeployment, pods: list[ObservedPod]) -> _Cause:
    blocked = next(filter(_is_blocked, pods), None)
    if blocked is not None:
        return _Cause(reason=blocked.reason, message=blocked.message, pod=blocked.name, blocking=True)
    if deployment.failure:
        return _Cause(reason="FailedCreate", message=deployment.failure, blocking=True)
    troubled = next((pod for pod in pods if pod.reason), None)
    if troubled is not None:
        late = deployment.deadline_exceeded
        return _Cause(reason=troubled.reason, message=troubled.message, pod=troubled.name, blocking=late)
    if deployment.deadline_exceeded:
        return _Cause(reason="ProgressDeadlineExceeded", blocking=True)
    if deployment.paused:
        return _Cause(reason="DeploymentPaused", message="`kubectl rollout resume` goes on", blocking=True)
    return _Cause()


def _new_pods(deployment: ObservedDeployment, pods: Iterable[ObservedPod]) -> list[ObservedPod]:
    """Return the pods of the Deployment's current revision, by name.

    They carry its source digest. A change that leaves the sources alone (another image, other resources)
    leaves the digest as well, so of these it is the youngest, as many as the Deployment counts as updated.
    """
    candidates = (
        pod
        for pod in pods
        if pod.source_digest == deployment.source_digest
        and not pod.terminating
        and pod.phase not in _FINISHED
    )
    youngest_first = sorted(candidates, key=lambda pod: pod.created_at or _LONG_AGO, reverse=True)
    return sorted(youngest_first[: deployment.updated], key=lambda pod: pod.name)


def _running(pods: Iterable[ObservedPod]) -> tuple[str, ...]:
    """Return whose engines answer: a pod is ready while its engine answers ``/health``."""
    return tuple(sorted({pod.source_digest or "" for pod in pods if pod.ready and not pod.terminating}))


def _is_blocked(pod: ObservedPod) -> bool:
    return pod.reason in _BLOCKING or (pod.reason in _BLOCKING_ONCE_RESTARTED and pod.restarts > 0)
