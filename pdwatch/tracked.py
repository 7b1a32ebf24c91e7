"""What the daemon remembers of each workflow while it runs.

All of it can be lost at any instant: the files and the cluster's annotations hold the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdwatch.core.model import Manifest, RolloutStatus, SourceSnapshot
    from pdwatch.core.plan import Held


@dataclass(slots=True, eq=False)
class TrackedWorkflow:
    """One workflow directory. Times are loop times in seconds."""

    root: Path
    snapshot: SourceSnapshot | None = None
    namespace: str | None = None
    claim: tuple[str, str] | None = None
    """The namespace and name that are this workflow's alone; see :meth:`TrackedWorkflows.claim`."""
    saved_at: float | None = None
    """When the save that made ``snapshot`` was noticed; None when no save did, as at start."""
    applied_at: float | None = None
    image: str | None = None
    generation: int | None = None
    attempts: int = 0
    """Failures in a row for this snapshot."""
    reported: SourceSnapshot | Held | None = None
    """The invalid snapshot or the hold that was last logged, so that it is logged once."""
    service: Manifest | None = None
    """The Service as last applied by this process."""
    secrets: dict[str, bytes] = field(default_factory=dict, repr=False)
    """The local secrets as last applied by this process."""
    rollout: RolloutStatus | None = None

    @property
    def name(self) -> str:
        """The workflow's name; the directory's until it has been read."""
        return self.snapshot.name if self.snapshot else self.root.name

    def renew(self, snapshot: SourceSnapshot, *, saved_at: float | None, namespace: str) -> None:
        """Take in another snapshot and forget what belonged to the one before.

        Args:
            snapshot: The directory as it is now.
            saved_at: The loop time of the save that made it, if it was one.
            namespace: Where the workflow goes when it does not say so itself.
        """
        self.snapshot = snapshot
        self.saved_at = saved_at
        self.attempts = 0
        self.generation = self.image = self.applied_at = None
        if snapshot.spec is not None:
            self.namespace = snapshot.spec.deployment.namespace or namespace
        elif self.namespace is None:
            self.namespace = namespace

    def log_fields(self, now: float) -> dict[str, object]:
        """Return the fields that every line about the workflow carries, each once it is known."""
        return {
            "workflow": self.name,
            "namespace": self.namespace,
            "source_digest": self.snapshot.digest if self.snapshot else None,
            "generation": self.generation,
            "image": self.image,
            "since_save_ms": None if self.saved_at is None else milliseconds(now - self.saved_at),
        }


class TrackedWorkflows:
    """Every workflow directory that the daemon knows, by root."""

    def __init__(self) -> None:
        self._by_root: dict[Path, TrackedWorkflow] = {}
        self._claims: dict[tuple[str, str], TrackedWorkflow] = {}

    def __iter__(self) -> Iterator[TrackedWorkflow]:
        """Iterate over the workflows in the order in which they were found."""
        return iter(tuple(self._by_root.values()))

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

    def claim(self, workflow: TrackedWorkflow, namespace: str) -> Path | None:
        """Claim the workflow's name in a namespace, and give up what it had claimed before.

        Returns:
            None when the workflow has it now, else the directory whose workflow has that name there already.
        """
        wanted = (namespace, workflow.name)
        holder = self._claims.get(wanted)
        if holder is workflow:
            return None
        self._release(workflow)
        if holder is not None:
            return holder.root
        self._claims[wanted] = workflow
        workflow.claim = wanted
        return None

    def find(self, namespace: str, name: str) -> TrackedWorkflow | None:
        """Return the workflow that has claimed ``name`` in ``namespace``."""
        return self._claims.get((namespace, name))

    def _release(self, workflow: TrackedWorkflow) -> None:
        if workflow.claim is not None:
            del self._claims[workflow.claim]
            workflow.claim = None


def milliseconds(seconds: float) -> float:
    """Return ``seconds`` as milliseconds, to a tenth."""
    return round(seconds * 1000, 1)
