"""Tells what rollouts do: one log line a transition, and a nudge to the reconciler when it must act again."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from pdwatch.core.image_lack import lacks_image, newly_lacks_image
from pdwatch.core.model import Place
from pdwatch.core.plan import IMAGE_UNREACHABLE, ROLLED_BACK, is_rolled_back
from pdwatch.core.rollout import RolloutTransition, transitions
from pdwatch.delivery import deployment_drift
from pdwatch.errors import PdwatchError
from pdwatch.logs import Event, EventLog
from pdwatch.tracked import TrackedWorkflow, TrackedWorkflows, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdwatch.core.model import ObservedDeployment, RolloutStatus, TargetName, ViewChange
    from pdwatch.ports import PodLogs

LOG_LINES_TIMEOUT_S = 5.0
"""A crashed container's last lines are worth waiting for this long; then the line is written without them."""
LOG_READS = 8
"""So many pods are asked for their last lines at once."""

EVENT_OF = {
    RolloutTransition.PROGRESSING: Event.ROLLOUT_PROGRESSING,
    RolloutTransition.COMPLETE: Event.ROLLOUT_COMPLETE,
    RolloutTransition.STALLED: Event.ROLLOUT_STALLED,
    RolloutTransition.DEGRADED: Event.ROLLOUT_DEGRADED,
}


class RolloutReporter:
    """Follows what the view of one target sees of the tracked workflows.

    Args:
        target: The target whose changes it follows.
        tracked: The workflows; their ``rollout`` is kept up to date here.
        requeue: Called as ``requeue(workflow, cause)`` when the reconciler must look again.
        pod_logs: Where a crashed container's last lines come from.
        log: Where lines go.
        clock: Loop time in seconds.
        rolled_out: Called with each workflow whose rollout has just become complete.
    """

    def __init__(
        self,
        target: TargetName,
        tracked: TrackedWorkflows,
        *,
        requeue: Callable[[TrackedWorkflow, str], None],
        pod_logs: PodLogs,
        log: EventLog,
        clock: Callable[[], float],
        rolled_out: Callable[[TrackedWorkflow], None] = lambda _: None,
    ) -> None:
        self._target = target
        self._tracked = tracked
        self._rolled_out = rolled_out
        self._requeue = requeue
        self._pod_logs = pod_logs
        self._log = log
        self._clock = clock
        self._log_reads = asyncio.Semaphore(LOG_READS)
        self._unreported: dict[tuple[str, str], deque[ViewChange]] = {}
        """By namespace and name, those of each workflow that a task is about to report, in their order."""

    async def run(self, changes: asyncio.Queue[ViewChange]) -> None:
        """Report changes until cancelled: those of one workflow in their order, and of others meanwhile."""
        async with asyncio.TaskGroup() as group:
            while True:
                change = await changes.get()
                name = change.namespace, change.name
                if name in self._unreported:
                    self._unreported[name].append(change)
                else:
                    self._unreported[name] = deque([change])
                    group.create_task(self._report_all(name), name=f"report {'/'.join(name)}")

    async def _report_all(self, name: tuple[str, str]) -> None:
        unreported = self._unreported[name]
        while unreported:
            await self.report(unreported.popleft())
        del self._unreported[name]

    async def report(self, change: ViewChange) -> None:
        """Take in one change: log its transitions, and requeue what the reconciler can put right."""
        workflow = self._tracked.find(
            Place(target=self._target, namespace=change.namespace, name=change.name)
        )
        if workflow is None:
            return
        if change.deployment is None or change.status is None:
            self._deleted(workflow)
            return
        before, workflow.rollout = workflow.rollout, change.status
        for transition in transitions(before, change.status):
            await self._tell(workflow, transition, change.status, seen_at=change.seen_at)
        if newly_lacks_image(before, change.status):
            self._requeue(workflow, "image-missing")
        elif drifted(workflow, change.deployment) or _has_image_again(workflow, change.status):
            self._requeue(workflow, "drifted")

    def _deleted(self, workflow: TrackedWorkflow) -> None:
        if workflow.rollout is not None:
            workflow.rollout = None
            self._bound(workflow).emit(Event.DEPLOY_DELETED)
        self._requeue(workflow, "deleted")

    async def _tell(
        self,
        workflow: TrackedWorkflow,
        transition: RolloutTransition,
        status: RolloutStatus,
        *,
        seen_at: float | None,
    ) -> None:
        fields: dict[str, object] = {
            "generation": status.generation,
            "phase": status.phase.value,
            "desired": status.desired,
            "updated": status.updated,
            "ready": status.ready,
            "available": status.available,
            "reason": status.reason or None,
            "message": status.message or None,
            "pod": status.pod,
        }
        revision = workflow.revision
        if revision is None or revision.snapshot.digest != status.source_digest:
            # An older revision's rollout goes on under a newer save: nothing of the newer one is true of it.
            fields |= {"source_digest": status.source_digest, "image": None, "since_save_ms": None}
        elif transition is RolloutTransition.COMPLETE and revision.applied_at is not None:
            now = self._clock()
            fields["rollout_ms"] = milliseconds(now - revision.applied_at)
            if seen_at is not None and revision.answered_at is not None:
                fields["kubelet_ms"] = milliseconds(max(0.0, seen_at - revision.answered_at))
                fields["observed_ms"] = milliseconds(now - seen_at)
            self._rolled_out(workflow)
            revision.applied_at = None  # when it is complete again, it has recovered and not been rolled out
        if transition is RolloutTransition.STALLED and status.pod is not None:
            fields["output"] = "\n".join(await self._last_lines(workflow, status.pod)) or None
        self._bound(workflow, **fields).emit(EVENT_OF[transition])

    async def _last_lines(self, workflow: TrackedWorkflow, pod: str) -> Sequence[str]:
        assert workflow.claim is not None  # it was found by its claim
        try:
            async with self._log_reads, asyncio.timeout(LOG_LINES_TIMEOUT_S):
                return await self._pod_logs.last_lines(workflow.claim.namespace, pod)
        except TimeoutError:
            return ("(the container's log did not come in time)",)
        except PdwatchError as error:
            return (f"(the container's log can't be read: {error.message})",)

    def _bound(self, workflow: TrackedWorkflow, **fields: object) -> EventLog:
        return self._log.bind(**{**workflow.log_fields(self._clock()), **fields})


def _has_image_again(workflow: TrackedWorkflow, status: RolloutStatus) -> bool:
    held = workflow.revision.held if workflow.revision else None
    return held is not None and held.reason == IMAGE_UNREACHABLE and not lacks_image(status)


def drifted(workflow: TrackedWorkflow, observed: ObservedDeployment) -> bool:
    """Tell whether the Deployment is not what the newest revision, with the image that it names, asks for.

    A revision that has not been applied yet has not drifted: its turn comes. One that somebody has rolled
    back from has drifted until the reconciler has held it, and again when the hold is released.
    """
    revision = workflow.revision
    if revision is None:
        return False
    told = revision.held is not None and revision.held.reason == ROLLED_BACK
    if told or is_rolled_back(observed, revision.snapshot.digest):
        return told is not is_rolled_back(observed, revision.snapshot.digest)
    if observed.source_digest != revision.snapshot.digest:
        return revision.generation is not None and observed.generation > revision.generation
    return bool(deployment_drift(revision, observed))
