"""Undeploys workflows whose directories are gone for good, where the settings ask for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdwatch.core.removed import Fate, RemovedWorkflow, WatchedDirectory, fate, in_the_way
from pdwatch.errors import PdwatchError
from pdwatch.logs import Event, EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pdwatch.core.model import Place
    from pdwatch.ports import ClusterView, Ground, SourceReader, Undeployer
    from pdwatch.tracked import TrackedWorkflow, TrackedWorkflows

GRACE_S = 30.0
"""So long a directory has to come back, as after ``git checkout`` and back, or under another path."""
UNDEPLOY_S = 60.0
"""An undeployment that takes longer has failed, and is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    workflow: RemovedWorkflow
    due: float
    attempts: int = 0
    told: bool = False
    """Whether it was told that, and why, it waits."""


class Removals:
    """Waits out the grace of each directory that went, and then decides by what is there.

    Args:
        undeployer: Removes what pdwatch made.
        reader: Finds the directories that are there.
        view: The Deployments as last seen.
        ground: Tells what was unmounted from what was removed.
        roots: The watched directories.
        tracked: The workflows that are there.
        log: Where lines go.
        clock: Loop time in seconds.
    """

    def __init__(
        self,
        undeployer: Undeployer,
        reader: SourceReader,
        view: ClusterView,
        ground: Ground,
        *,
        roots: Sequence[Path],
        tracked: TrackedWorkflows,
        log: EventLog,
        clock: Callable[[], float],
    ) -> None:
        self._undeployer = undeployer
        self._reader = reader
        self._view = view
        self._ground = ground
        self._roots = roots
        self._tracked = tracked
        self._log = log
        self._clock = clock
        self._pending: asyncio.Queue[_Pending] = asyncio.Queue()
        self._newest: dict[Place, RemovedWorkflow] = {}
        """By place: one that came back and went again has all of its grace again."""

    def removed(self, workflow: TrackedWorkflow) -> None:
        """Take note of a directory that has just gone, if what runs came from there."""
        if workflow.claim is None:
            return
        earlier = self._newest.get(workflow.claim)
        delivered = workflow.delivered or (earlier.delivered if earlier else None)
        if delivered is None:
            return
        removed = self._newest[workflow.claim] = RemovedWorkflow(
            root=workflow.root,
            place=workflow.claim,
            delivered=delivered,
            beside=frozenset(each.root for each in self._tracked),
        )
        self._put(removed)

    async def run(self) -> None:
        """Decide on each directory when its grace is over, until cancelled."""
        while True:
            pending = await self._pending.get()  # in the order in which they fall due, since all wait as long
            await asyncio.sleep(pending.due - self._clock())
            await self._settle(pending)

    def _put(self, removed: RemovedWorkflow, *, attempts: int = 0, told: bool = False) -> None:
        due = self._clock() + GRACE_S
        self._pending.put_nowait(_Pending(workflow=removed, due=due, attempts=attempts, told=told))

    async def _settle(self, pending: _Pending) -> None:
        removed = pending.workflow
        if self._newest.get(removed.place) is not removed:
            return
        try:
            async with asyncio.timeout(UNDEPLOY_S):
                directories = await self._directories(removed)
                decided = self._fate(removed, directories)
                if decided is Fate.LOOK_AGAIN:
                    if not pending.told:
                        self._tell_waiting(removed, directories)
                    self._put(removed, told=True)
                    return
                if decided is Fate.UNDEPLOY:
                    await self._undeploy(removed)
                del self._newest[removed.place]
        except (PdwatchError, TimeoutError) as error:
            late = f"not done after {UNDEPLOY_S:g} s"
            self._emit(
                removed,
                Event.UNDEPLOY_FAILED,
                error=type(error).__name__,
                message=error.message if isinstance(error, PdwatchError) else late,
                remedy=error.remedy if isinstance(error, PdwatchError) else None,
                attempt=pending.attempts,
                retry_in_s=GRACE_S,
            )
            self._put(removed, attempts=pending.attempts + 1, told=pending.told)

    async def _directories(self, removed: RemovedWorkflow) -> Sequence[WatchedDirectory]:
        """Return the workflow directories that are there now."""
        # Its own directory too, which may be there, and only no longer be below a root.
        places = (*self._roots, removed.root)
        found = await self._reader.discover([place for place in places if place.is_dir()])
        known = {each.root: _watched(each) for each in self._tracked}
        return [known.get(root) or WatchedDirectory(root=root) for root in sorted({*known, *found})]

    def _fate(self, removed: RemovedWorkflow, directories: Sequence[WatchedDirectory]) -> Fate:
        return fate(
            removed,
            directories,
            self._view.deployment(removed.place.namespace, removed.place.name),
            intact=self._ground.intact(removed.root),
        )

    def _tell_waiting(self, removed: RemovedWorkflow, directories: Sequence[WatchedDirectory]) -> None:
        other = in_the_way(removed, directories)
        assert other is not None, "something is to be looked at again"
        unread = other.why or "it has not been read yet"
        why = unread if other.place is None else "what is there is not valid"
        message = f"it may have been moved to {other.root}, which can't be told: {why}"
        self._emit(removed, Event.UNDEPLOY_WAITING, message=message)

    async def _undeploy(self, removed: RemovedWorkflow) -> None:
        found = await self._undeployer.find(removed.place.namespace, removed.place.name)
        if found.remove:
            await self._undeployer.remove(found.remove)
            self._emit(removed, Event.WORKFLOW_UNDEPLOYED, objects=", ".join(map(str, found.remove)))

    def _emit(self, removed: RemovedWorkflow, event: Event, **fields: object) -> None:
        self._log.emit(
            event,
            workflow=removed.place.name,
            namespace=removed.place.namespace,
            target=removed.place.target,
            directory=str(removed.root),
            **fields,
        )


def _watched(workflow: TrackedWorkflow) -> WatchedDirectory:
    revision = workflow.revision
    if revision is None:
        return WatchedDirectory(root=workflow.root, why=workflow.failure)
    return WatchedDirectory(
        root=workflow.root,
        place=revision.place,
        valid=revision.snapshot.spec is not None,
    )
