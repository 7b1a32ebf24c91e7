"""What the daemon remembers of each workflow while it runs.

All of it can be lost at any instant: the files and the cluster's annotations hold the truth.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile
from typing import TYPE_CHECKING

from pdwatch.core.admission import Priority
from pdwatch.core.model import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pdwatch.core.model import Manifest, RolloutStatus, SourceSnapshot, TargetName
    from pdwatch.core.plan import Held


class Stage(StrEnum):
    """How far a revision has come on its way to the cluster."""

    PLAN = "plan"
    BUILD = "build"
    APPLY = "apply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the settings say about a workflow."""

    target: TargetName = "kubernetes"
    namespace: str
    """Where it goes if it names none."""
    registry: str | None = None
    secrets: bool = False
    """Whether local secrets are applied as the workflow's Secret."""


@dataclass(slots=True, eq=False, kw_only=True)
class Revision:
    """One snapshot on its way to the cluster. Times are loop times in seconds."""

    snapshot: SourceSnapshot
    namespace: str
    policy: Policy
    """What the settings say; a reload puts another one here."""
    priority: Priority = Priority.REPAIR
    saved_at: float | None = None
    """When the save that made the snapshot was noticed; None when no save did, as at start."""
    stage: Stage = Stage.PLAN
    plan_began_at: float = 0.0
    image: str | None = None
    applied_at: float | None = None
    """When the apply began whose rollout is not complete yet."""
    answered_at: float | None = None
    """When that apply was answered."""
    restored_at: float | None = None
    """When its image was last brought back after it had gone missing."""
    repeats: int = 0
    """Applies in a row, each soon after the one before."""
    rests_until: float = 0.0
    """When it may be applied again."""
    generation: int | None = None
    attempts: int = 0
    """Failures and holds in a row."""
    given_up: bool = False
    """Whether it failed in a way that time alone does not mend."""
    failure: str = ""
    """What went wrong last, in one sentence; counts while there are ``attempts``, or it has been given up."""
    held: Held | None = None
    """The hold that was last logged, so that it is logged once."""
    reported: bool = False
    """Whether its problems, or that it runs already, have been logged."""
    waits: Callable[[], str] | None = None
    """While it waits for its turn to be built, says why."""

    @property
    def place(self) -> Place:
        """Where it goes."""
        return Place(target=self.policy.target, namespace=self.namespace, name=self.snapshot.name)

    def log_fields(self, now: float) -> dict[str, object]:
        """Return the fields that every line about the revision carries, each once it is known."""
        return {
            "workflow": self.snapshot.name,
            "namespace": self.namespace,
            "target": self.policy.target,
            "source_digest": self.snapshot.digest,
            "generation": self.generation,
            "image": self.image,
            "since_save_ms": None if self.saved_at is None else milliseconds(now - self.saved_at),
        }


@dataclass(slots=True, eq=False)
class TrackedWorkflow:
    """One workflow directory; ``revision`` is the newest, None until it has been read."""

    root: Path
    revision: Revision | None = None
    claim: Place | None = None
    """The place that is this workflow's alone; see :meth:`TrackedWorkflows.claim`."""
    introduced: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it has had its first chance to claim a name."""
    had_turn: bool = False
    """Whether all that were found before it have had theirs."""
    service: Manifest | None = None
    """The Service as last applied by this process."""
    secrets: dict[str, bytes] = field(default_factory=dict, repr=False)
    """The local secrets as last applied by this process."""
    delivered: str | None = None
    """The source digest that this process last knew, or brought, from here to the cluster."""
    rollout: RolloutStatus | None = None
    in_line_since: float | None = None
    """Since when, in loop time, it has waited to be built; a newer save keeps the place of an older one."""
    unsettled_since: float | None = None
    """Since when, in loop time, its files have changed during every scan."""
    failure: str = ""
    """Why its files, or where they go, can't be looked at, in one sentence; empty while they can."""

    def log_fields(self, now: float) -> dict[str, object]:
        """Return the fields that every line about the workflow carries, each once it is known."""
        return self.revision.log_fields(now) if self.revision else {"workflow": self.root.name}


class TrackedWorkflows:
    """Every workflow directory that the daemon knows, by root."""

    def __init__(self) -> None:
        self._by_root: dict[Path, TrackedWorkflow] = {}
        self._claims: dict[Place, TrackedWorkflow] = {}

    def __iter__(self) -> Iterator[TrackedWorkflow]:
        """Iterate over the workflows in the order in which they were found."""
        return iter(tuple(self._by_root.values()))

    def __contains__(self, root: Path) -> bool:
        """Return whether the workflow of ``root`` is known."""
        return root in self._by_root

    def __len__(self) -> int:
        """Return the number of workflows."""
        return len(self._by_root)

    def track(self, root: Path) -> TrackedWorkflow:
        """Return the workflow of ``root``, new if it was not known."""
        return self._by_root.setdefault(root, TrackedWorkflow(root))

    def forget(self, root: Path) -> None:
        """Drop the workflow of ``root`` and its claim."""
        workflow = self._by_root.pop(root, None)
        if workflow is not None:
            self._release(workflow)

    async def turn(self, workflow: TrackedWorkflow) -> None:
        """Return once every workflow that was found before has had its chance to claim its name.

        Of two that want one name the first has it, after a restart too, however long each takes to be read.
        """
        if workflow.had_turn:
            return
        earlier = takewhile(lambda other: other is not workflow, self._by_root.values())
        for unread in [other.introduced for other in earlier if not other.introduced.is_set()]:
            await unread.wait()
        workflow.had_turn = True

    def claim(self, workflow: TrackedWorkflow, wanted: Place) -> Path | None:
        """Claim a place, and give up the one that the workflow had claimed before.

        Returns:
            None when the workflow has it now, else the directory whose workflow has it already.
        """
        holder = self._claims.get(wanted)
        if holder is workflow:
            return None
        self._release(workflow)
        if holder is not None:
            return holder.root
        self._claims[wanted] = workflow
        workflow.claim = wanted
        return None

    def leave(self, target: TargetName) -> None:
        """Give up all places of a target that is closed, and what was known of what runs there."""
        for workflow in tuple(self._claims.values()):
            if workflow.claim is not None and workflow.claim.target == target:
                self._release(workflow)

    def find(self, place: Place) -> TrackedWorkflow | None:
        """Return the workflow that has claimed ``place``."""
        return self._claims.get(place)

    def _release(self, workflow: TrackedWorkflow) -> None:
        if workflow.claim is not None:
            del self._claims[workflow.claim]
            workflow.claim = None
            workflow.rollout = workflow.service = workflow.delivered = None
            workflow.secrets = {}


def milliseconds(seconds: float) -> float:
    """Return ``seconds`` as milliseconds, to a tenth."""
    return round(seconds * 1000, 1)
