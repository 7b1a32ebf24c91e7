"""What the daemon knows of itself, for whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdwatch.core.daemon_state import Health, Readiness
from pdwatch.core.model import Place
from pdwatch.logs import Event
from pdwatch.standing import standing, workflow_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from pdwatch.core.daemon_state import Standing, WorkflowState
    from pdwatch.core.log_records import Record
    from pdwatch.core.model import TargetName
    from pdwatch.heartbeats import Heartbeats
    from pdwatch.tracked import TrackedWorkflow, TrackedWorkflows
    from pdwatch.workqueue import WorkQueue

_SYNCED_WATCHES = frozenset({"deployments", "pods"})
"""Those of :mod:`pdwatch.adapters.kubernetes.view` that say when they are back."""

_PLACE = frozenset({"target", "namespace", "workflow"})


class Observation:
    """Implements :class:`pdwatch.ports.DaemonState`; takes in every log record.

    Args:
        tracked: The workflows.
        heartbeats: The parts of the daemon.
        now: The time of day, with its zone.
    """

    def __init__(
        self, tracked: TrackedWorkflows, heartbeats: Heartbeats, *, now: Callable[[], datetime]
    ) -> None:
        self.lag_s = 0.0
        """How late the event loop last was."""
        self.work: WorkQueue[Path] | None = None
        """What is being worked on."""
        self._tracked = tracked
        self._heartbeats = heartbeats
        self._now = now
        self._synced = False
        self._stale: dict[str, TargetName] = {}
        """What nothing is heard of, and the target that it is of."""
        self._urls: dict[Place, str] = {}
        self._since: dict[Path, tuple[Standing, datetime]] = {}
        self._unnoted = True
        """Whether there was a record that may concern any workflow."""

    def take(self, record: Record) -> None:
        """Take in what a record says that is nowhere else, and note how its workflow stands now.

        A record of no claimed place leaves that to :meth:`note`: with a thousand workflows it would cost
        every line a millisecond.
        """
        fields = record.fields
        match fields["event"]:
            case Event.DAEMON_SYNCED:
                self._synced = True
            case Event.ENDPOINT_OPENED:
                self._urls[_place(fields)] = fields["url"]
            case Event.WATCH_DISCONNECTED if fields["resource"] in _SYNCED_WATCHES:
                self._stale[_watch(fields)] = "kubernetes"
            case Event.WATCH_RESUMED | Event.WATCH_LISTED | Event.WATCH_RELISTED:
                self._stale.pop(_watch(fields), None)
            case Event.TARGET_UNAVAILABLE:
                self._stale[_target(fields)] = fields["target"]
            case Event.TARGET_RECOVERED:
                self._stale.pop(_target(fields), None)
            case Event.TARGET_CLOSED:
                left = {what: of for what, of in self._stale.items() if of != fields["target"]}
                self._stale = left
            case Event.WORKFLOW_UNCHANGED | Event.ENGINE_OUTPUT:
                return  # frequent, and change nothing
        workflow = self._tracked.find(_place(fields)) if fields.keys() >= _PLACE else None
        if workflow is None:
            self._unnoted = True
        else:
            self._note(workflow)

    def note(self) -> None:
        """Note since when each workflow has stood as it does, if that may have changed."""
        if self._unnoted:
            self._unnoted = False
            self._note_all()

    def health(self) -> Health:
        """Return whether every part of the daemon lives."""
        return Health(lag_s=self.lag_s, hung=self._heartbeats.overdue())

    def readiness(self) -> Readiness:
        """Return whether the first sync is done, and every watch has the API server."""
        return Readiness(synced=self._synced, stale=tuple(self._stale))

    def queue(self) -> Mapping[str, int]:
        """Return how many directories are worked on, and how many wait for a retry."""
        work = self.work
        return {"working": work.working if work else 0, "delayed": work.delayed if work else 0}

    def workflows(self) -> tuple[WorkflowState, ...]:
        """Return every workflow, in the order in which they were found."""
        self._note_all()
        return tuple(
            workflow_state(workflow, url=self._url(workflow), since=self._since[workflow.root][1])
            for workflow in self._tracked
        )

    def _url(self, workflow: TrackedWorkflow) -> str | None:
        return self._urls.get(workflow.claim) if workflow.claim else None

    def _note_all(self) -> None:
        roots = {workflow.root for workflow in self._tracked}
        self._since = {root: since for root, since in self._since.items() if root in roots}
        for workflow in self._tracked:
            self._note(workflow)

    def _note(self, workflow: TrackedWorkflow) -> None:
        known, stands = self._since.get(workflow.root), standing(workflow)
        if known is None or known[0] is not stands:
            self._since[workflow.root] = (stands, self._now())


def _place(fields: Mapping[str, Any]) -> Place:
    return Place(target=fields["target"], namespace=fields["namespace"], name=fields["workflow"])


def _watch(fields: Mapping[str, Any]) -> str:
    return f"{fields['resource']} in {fields['namespace']}"


def _target(fields: Mapping[str, Any]) -> str:
    return f"target {fields['target']}"
