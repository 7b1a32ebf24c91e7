"""Follows the directories: which workflows there are, and which of them something happened to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pdwatch.core.sources import affected
from pdwatch.errors import SourceError
from pdwatch.logs import Event, EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdwatch.ports import SourceReader, SourceWatcher
    from pdwatch.tracked import TrackedWorkflows
    from pdwatch.workqueue import WorkQueue


class WorkflowDiscovery:
    """Keeps the work queue fed with workflow directories as they come, change and go.

    ``found`` is called with each that has come.
    """

    def __init__(
        self,
        reader: SourceReader,
        watcher: SourceWatcher,
        *,
        tracked: TrackedWorkflows,
        queue: WorkQueue[Path],
        log: EventLog,
        found: Callable[[Path], None] = lambda _: None,
    ) -> None:
        self._reader = reader
        self._found = found
        self._watcher = watcher
        self._tracked = tracked
        self._queue = queue
        self._log = log

    async def look(self, roots: Sequence[Path], *, cause: str) -> None:
        """Find the workflows under ``roots``; queue the new ones, and those that are gone.

        A root that does not exist (any more) holds no workflows. One that can't be read is logged, and what
        was known of it stays known.
        """
        try:
            found = await self._reader.discover([root for root in roots if root.is_dir()])
        except SourceError as error:
            self._log.emit(
                Event.RECONCILE_FAILED,
                error=type(error).__name__,
                message=error.message,
                remedy=error.remedy,
            )
            return
        known = {workflow.root for workflow in self._tracked}
        for root in sorted(found - known):
            self._log.emit(Event.WORKFLOW_FOUND, workflow=root.name, directory=str(root))
            self._found(root)
            self._tracked.track(root)
            self._queue.add(root, cause=cause, saved=cause == "save")
        for root in sorted(known - found):
            self._queue.add(root, cause="removed")

    async def follow(self, roots: Sequence[Path]) -> None:
        """Queue what is saved, and everything at each of the watcher's beats, until cancelled."""
        async for changed in self._watcher.changes(roots):
            known = {
                workflow.root: workflow.revision.snapshot if workflow.revision else None
                for workflow in self._tracked
            }
            touched = affected(changed, known, is_file=Path.is_file)
            for root in touched.workflows:
                if changed:
                    self._queue.add(root, cause="save", saved=True)
                else:
                    self._queue.refresh(root, cause="resync")
            if touched.discover:
                await self.look(roots, cause="save" if changed else "resync")
