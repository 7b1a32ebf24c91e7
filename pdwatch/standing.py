"""How each tracked workflow stands: the one judgement that systemd, HTTP and metrics tell."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pdwatch.core.daemon_state import Answer, Standing, WorkflowState, answer
from pdwatch.core.model import RolloutPhase
from pdwatch.tracked import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pdwatch.core.model import Problem, RolloutStatus
    from pdwatch.tracked import Revision, TrackedWorkflow


def standing(workflow: TrackedWorkflow) -> Standing:
    """Return how a workflow stands."""
    revision, rollout = workflow.revision, workflow.rollout
    if revision is None or workflow.failure:
        return Standing.FAILING if workflow.failure else Standing.CHECKING
    if revision.snapshot.spec is None:
        return Standing.INVALID
    if revision.held is not None:
        return Standing.HELD
    if revision.given_up or revision.attempts:
        return Standing.FAILING
    if rollout is not None and rollout.source_digest == revision.snapshot.digest:
        return _rolled(rollout)
    stages = {
        Stage.BUILD: Standing.QUEUED if revision.waits else Standing.BUILDING,
        Stage.APPLY: Standing.ROLLING_OUT,
    }
    return stages.get(revision.stage, Standing.CHECKING)


def _rolled(rollout: RolloutStatus) -> Standing:
    if rollout.stalled:
        return Standing.FAILING
    return Standing.READY if rollout.phase is RolloutPhase.READY else Standing.ROLLING_OUT


def summary(standings: Iterable[Standing]) -> str:
    """Return one line: ``watching 3 workflows: 2 ready, 1 building``."""
    counts = Counter(standings)
    total = counts.total()
    each = ", ".join(f"{counts[one]} {one}" for one in Standing if counts[one])
    return f"watching {total} workflow{'' if total == 1 else 's'}{f': {each}' if each else ''}"


def workflow_state(workflow: TrackedWorkflow, *, url: str | None, since: datetime) -> WorkflowState:
    """Return what there is to tell of a workflow.

    Args:
        workflow: The workflow.
        url: Where it answers on this machine.
        since: Since when it has stood as it does.
    """
    revision, rollout, stands = workflow.revision, workflow.rollout, standing(workflow)
    saved = revision.snapshot.digest if revision else None
    running = rollout.running if rollout else ()
    answered = answer(stands, saved=saved, running=running, desired=rollout.desired if rollout else 0)
    yes = answered is Answer.YES
    return WorkflowState(
        name=revision.snapshot.name if revision else workflow.root.name,
        namespace=revision.namespace if revision else "",
        target=revision.policy.target if revision else None,
        directory=str(workflow.root),
        standing=stands,
        answer=answered,
        why=workflow.failure or ("" if revision is None or yes else _why(revision, rollout, stands)),
        saved=saved,
        deployed=rollout.source_digest if rollout else None,
        running=running,
        generation=rollout.generation if rollout else None,
        image=revision.image if revision else None,
        rollout=rollout,
        url=url,
        since=since,
    )


def _why(revision: Revision, rollout: RolloutStatus | None, stands: Standing) -> str:
    if stands is Standing.INVALID:
        return _problems(revision.snapshot.problems)
    if revision.held is not None:
        return revision.held.message
    if told := _told(revision, stands):
        return told
    if rollout is None or rollout.source_digest != revision.snapshot.digest:
        return ""
    if stands is Standing.READY:
        return "no pods are wanted" if not rollout.desired else "the pods have not been seen yet"
    return ": ".join(part for part in (rollout.reason, " ".join(rollout.message.split())) if part)


def _told(revision: Revision, stands: Standing) -> str:
    if stands is Standing.QUEUED and revision.waits is not None:
        return revision.waits()
    return revision.failure if stands is Standing.FAILING else ""


def _problems(problems: tuple[Problem, ...]) -> str:
    first, *others = problems
    return f"{first} (and {len(others)} more)" if others else str(first)
