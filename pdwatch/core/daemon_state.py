"""What a daemon tells of itself: whether it lives, whether it is ready, and how each workflow stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from pdwatch.core.model import RolloutStatus, TargetName


class Standing(StrEnum):
    """How a workflow's files and its pods stand to each other, in the order in which they are counted."""

    READY = "ready"
    QUEUED = "queued"
    BUILDING = "building"
    ROLLING_OUT = "rolling out"
    CHECKING = "checking"
    INVALID = "invalid"
    HELD = "held"
    FAILING = "failing"


class Answer(StrEnum):
    """The answer to "is what I saved running?"."""

    YES = "yes"
    CHECKING = "checking"
    QUEUED = "queued"
    BUILDING = "building"
    ROLLING_OUT = "rolling out"
    NO = "no"


_ANSWERS = {
    Standing.QUEUED: Answer.QUEUED,
    Standing.BUILDING: Answer.BUILDING,
    Standing.CHECKING: Answer.CHECKING,
    Standing.ROLLING_OUT: Answer.ROLLING_OUT,
}


def answer(standing: Standing, *, saved: str | None, running: Collection[str], desired: int) -> Answer:
    """Say whether what is saved is what runs.

    Args:
        standing: How the workflow stands.
        saved: The digest of what is on disk.
        running: The digests of the engines that answer.
        desired: How many pods are wanted.
    """
    if standing is not Standing.READY:
        return _ANSWERS.get(standing, Answer.NO)
    if set(running) == {saved}:
        return Answer.YES
    return Answer.ROLLING_OUT if desired else Answer.NO


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowState:
    """One workflow; each field is None, or empty, until it is known."""

    name: str
    namespace: str
    target: TargetName | None = None
    directory: str
    standing: Standing
    answer: Answer
    why: str = ""
    """Why what is saved does not run (yet), in one sentence."""
    saved: str | None = None
    """The source digest of what is on disk."""
    deployed: str | None = None
    """That of the Deployment."""
    running: tuple[str, ...] = ()
    """Those of the engines that answer."""
    generation: int | None = None
    image: str | None = None
    rollout: RolloutStatus | None = None
    url: str | None = None
    """Where it answers on this machine: target ``local`` only."""
    since: datetime
    """Since when it has stood so."""

    def document(self) -> Mapping[str, object]:
        """Return the state as JSON has it; docs/output.md describes each field."""
        return {
            "workflow": self.name,
            "namespace": self.namespace,
            "target": self.target,
            "directory": self.directory,
            "standing": self.standing.value,
            "running": self.answer is Answer.YES,
            "answer": self.answer.value,
            "why": self.why,
            "digests": {"saved": self.saved, "deployed": self.deployed, "running": list(self.running)},
            "generation": self.generation,
            "image": self.image,
            "rollout": _rollout(self.rollout),
            "url": self.url,
            "since": self.since.isoformat(),
        }


def _rollout(status: RolloutStatus | None) -> Mapping[str, object]:
    return {
        "status": status.phase.value if status else None,
        "stalled": status is not None and status.stalled,
        "desired": status.desired if status else 0,
        "updated": status.updated if status else 0,
        "ready": status.ready if status else 0,
        "available": status.available if status else 0,
        "reason": status.reason if status else "",
        "message": status.message if status else "",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """``lag_s`` is how late the event loop last was, in seconds; ``hung`` are parts that show no life."""

    lag_s: float
    hung: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every part lives."""
        return not self.hung


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """``synced`` once every workflow has been looked at; ``stale`` are watches that have lost the server."""

    synced: bool
    stale: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether what the daemon tells of the workflows can be relied on."""
        return self.synced and not self.stale
