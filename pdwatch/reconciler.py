"""One workflow directory: look at its files, have them delivered, and look again if anything moved.

Level-triggered: whatever woke the worker, it reads the files as they are, and :mod:`pdwatch.delivery`
compares them with the Deployment as it was last seen. A save that arrives meanwhile is scanned at once; if
its bytes differ, the work under way is cancelled and the newer snapshot takes its place.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from pdwatch.admission import Admission
from pdwatch.core.admission import Priority, Work, priority_of
from pdwatch.delivery import RETRY_BASE_S, RETRY_CAP_S
from pdwatch.errors import (
    NotFoundError,
    NotWatchedError,
    PdwatchError,
    SourceChangedError,
    TargetUnavailableError,
)
from pdwatch.heartbeats import Heartbeats
from pdwatch.logs import Event, EventLog
from pdwatch.tracked import Revision, Stage, TrackedWorkflow, TrackedWorkflows, milliseconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pdwatch.core.model import SourceSnapshot, TargetName
    from pdwatch.delivery import Delivery
    from pdwatch.ports import SourceReader
    from pdwatch.tracked import Policy
    from pdwatch.workqueue import Slot

SCANS = 4
"""So many directories are read at once: more threads would wait for each other."""
SCAN_S = 300.0
"""A directory that takes longer to be read is not slow: its file system hangs."""


class Reconciler:
    """Brings workflows to what their files ask for; :meth:`reconcile` is a work queue's ``work``.

    ``policy`` tells what the settings say of a directory, and raises NotWatchedError for one that is not
    watched any more, and TargetUnavailableError for one whose workflow has nowhere to go for now.
    ``removed`` is called with each workflow whose directory is gone, before it is forgotten. ``using`` keeps
    a target open as long as its block runs, and yields whether it is open.
    """

    def __init__(
        self,
        reader: SourceReader,
        delivery: Delivery,
        *,
        policy: Callable[[Path], Awaitable[Policy]],
        tracked: TrackedWorkflows,
        log: EventLog,
        clock: Callable[[], float],
        heartbeats: Heartbeats | None = None,
        removed: Callable[[TrackedWorkflow], None] = lambda _: None,
        using: Callable[[TargetName], AbstractContextManager[bool]] = lambda _: nullcontext(
            enter_result=True
        ),
    ) -> None:
        self._reader = reader
        self._removed = removed
        self._using = using
        self._delivery = delivery
        self._policy = policy
        self._tracked = tracked
        self._log = log
        self._clock = clock
        self._heartbeats = heartbeats or Heartbeats()
        self._scans = Admission(SCANS, turn="turn to be read")

    async def reconcile(self, slot: Slot[Path]) -> float | None:
        """Converge one workflow directory.

        Returns:
            Seconds after which to try again, or None when only another event can change anything.
        """
        known = slot.key in self._tracked
        workflow = self._tracked.track(slot.key)
        try:
            return await self._reconcile(slot, workflow, known=known)
        finally:
            workflow.introduced.set()

    async def _reconcile(self, slot: Slot[Path], workflow: TrackedWorkflow, *, known: bool) -> float | None:
        if workflow.revision is not None:
            workflow.revision.priority = Priority.ROUTINE  # until the look says why it is
        seen = await self._look(slot, workflow)
        while isinstance(seen, Revision):
            with self._using(seen.policy.target) as is_open:
                if not is_open:  # it was closed while the files were read, by settings that say otherwise
                    seen = await self._look(slot, workflow)
                    continue
                async with asyncio.TaskGroup() as group:
                    name = f"deliver {seen.snapshot.name}"
                    delivery = group.create_task(self._delivery.deliver(workflow, seen), name=name)
                    newer = await self._superseding(slot, workflow, seen, delivery)
            if newer is None:
                return delivery.result()
            seen = newer
        if isinstance(seen, NotFoundError):
            self._gone(workflow, known=known, watched=not isinstance(seen, NotWatchedError))
            return None
        return self._unreadable(workflow, seen)

    async def _look(self, slot: Slot[Path], workflow: TrackedWorkflow) -> Revision | PdwatchError:
        """Scan; return the known revision if its files are as they were, else a new one, or the error."""
        with suppress(PdwatchError):  # the scan tells it; but a target is waited for here, in nobody's way
            await self._policy(workflow.root)
        work = Work(name=workflow.root.name, priority=_priority(slot), since=slot.added_at)
        async with self._scans.slot(work):
            return await self._scan(slot, workflow)

    async def _scan(self, slot: Slot[Path], workflow: TrackedWorkflow) -> Revision | PdwatchError:
        slot.take()
        cause, routine, saved_at, started = slot.cause, slot.routine, slot.saved_at, self._clock()
        priority = _priority(slot)
        settle_s = None if saved_at is None or cause != "save" else slot.added_at - saved_at
        wait_s = started - slot.added_at
        slot.saved_at = None
        try:
            policy = await self._policy(workflow.root)
            with self._heartbeats.ending(f"scan {workflow.root}", within_s=SCAN_S):
                snapshot = await self._reader.scan(workflow.root)
        except PdwatchError as error:
            slot.saved_at = slot.saved_at or saved_at
            return error
        workflow.unsettled_since, workflow.failure = None, ""
        scan_ms = milliseconds(self._clock() - started)
        known = workflow.revision
        namespace = _namespace(snapshot, known, policy)
        if known is not None and _same(known, snapshot, namespace, policy):
            known.policy, known.priority = policy, min(known.priority, priority)
            known.given_up = known.given_up and routine
            if workflow.delivered != known.snapshot.digest:
                known.saved_at = known.saved_at or saved_at  # another look was quicker than the event
            self._emit(known, Event.WORKFLOW_UNCHANGED, cause=cause, scan_ms=scan_ms)
            return known
        revision = workflow.revision = Revision(
            snapshot=snapshot,
            namespace=namespace,
            policy=policy,
            saved_at=saved_at,
            priority=priority,
        )
        if known is not None:
            directory = str(workflow.root)
            if known.snapshot.spec and snapshot.spec and known.place != revision.place:
                self._emit(known, Event.WORKFLOW_REMOVED, directory=directory)
            self._emit(
                revision,
                Event.WORKFLOW_CHANGED,
                directory=directory,
                cause=cause,
                settle_ms=None if settle_s is None else milliseconds(settle_s),
                wait_ms=milliseconds(wait_s),
                scan_ms=scan_ms,
            )
        return revision

    async def _superseding(
        self,
        slot: Slot[Path],
        workflow: TrackedWorkflow,
        revision: Revision,
        delivery: asyncio.Task[float | None],
    ) -> Revision | PdwatchError | None:
        """Wait until the delivery ends, and return what to go on with, if anything.

        Files that differ from what is being delivered end it early, save that an apply that has begun is left
        to end: an older snapshot must not land after a newer one (docs/adr/0005-superseding.md).
        """
        looked_again = False
        while await _added_before(slot, delivery):
            seen = await self._look(slot, workflow)
            if seen is revision:
                looked_again = True
                continue
            if not delivery.done():
                by = seen.snapshot.digest if isinstance(seen, Revision) else None
                self._emit(revision, Event.WORKFLOW_SUPERSEDED, superseded_by=by, stage=revision.stage.value)
                if revision.stage is not Stage.APPLY:
                    delivery.cancel()
            return seen
        if not looked_again or delivery.result() is not None:
            return None
        revision.given_up = False  # what was looked at may have happened before the failure
        return revision

    def _gone(self, workflow: TrackedWorkflow, *, known: bool, watched: bool) -> None:
        """Forget a directory; it may have been forgotten already when a late event made it be looked at."""
        if known:
            if watched:
                self._removed(workflow)
            self._log.bind(**workflow.log_fields(self._clock())).emit(
                Event.WORKFLOW_REMOVED, directory=str(workflow.root)
            )
        self._tracked.forget(workflow.root)

    def _unreadable(self, workflow: TrackedWorkflow, error: PdwatchError) -> float:
        """Tell of a directory that can't be scanned, and will be looked at again.

        Files that change while they are read are being saved, which is worth a word only when it never ends.
        """
        now = self._clock()
        if isinstance(error, SourceChangedError):
            workflow.unsettled_since = workflow.unsettled_since or now
            if now - workflow.unsettled_since < RETRY_CAP_S:
                return RETRY_BASE_S
            workflow.unsettled_since = now
        workflow.failure = error.message
        if isinstance(error, TargetUnavailableError):
            return RETRY_CAP_S  # told once, and not again of every workflow that would go there
        self._log.bind(**workflow.log_fields(now)).emit(
            Event.RECONCILE_FAILED,
            error=type(error).__name__,
            message=error.message,
            remedy=error.remedy,
            retry_in_s=RETRY_CAP_S,
        )
        return RETRY_CAP_S

    def _emit(self, revision: Revision, event: Event, **fields: object) -> None:
        self._log.bind(**revision.log_fields(self._clock())).emit(event, **fields)


def _priority(slot: Slot[Path]) -> Priority:
    """Return how urgent a slot is: it stays a save, whatever else it was added for meanwhile."""
    return priority_of(slot.cause) if slot.saved_at is None else Priority.SAVE


def _namespace(snapshot: SourceSnapshot, known: Revision | None, policy: Policy) -> str:
    if snapshot.spec is not None:
        return snapshot.spec.deployment.namespace or policy.namespace
    stays = known is not None and known.policy.target == policy.target
    return known.namespace if known is not None and stays else policy.namespace


def _same(known: Revision, snapshot: SourceSnapshot, namespace: str, policy: Policy) -> bool:
    sources = known.snapshot.digest == snapshot.digest and known.snapshot.problems == snapshot.problems
    return sources and (known.policy.target, known.namespace) == (policy.target, namespace)


async def _added_before(slot: Slot[Path], delivery: asyncio.Task[float | None]) -> bool:
    added = asyncio.create_task(slot.added.wait(), name=f"added {slot.key}")
    try:
        await asyncio.wait({added, delivery}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        added.cancel()
    return not delivery.done()
