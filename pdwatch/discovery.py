"""Follows the directories: which workflows there are, and which of them something happened to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdwatch.core.sources import affected
from pdwatch.logs import Event, EventLog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pdwatch.ports import SourceReader, SourceWatcher
    from pdwatch.workqueue import WorkQueue


class WorkflowDiscovery:
    """Keeps the work queue fed with workflow directories as they come, change and go."""

    def __init__(
        self, reader: SourceReader, watcher: SourceWatcher, *, queue: WorkQueue[Path], log: EventLog
    ) -> None:
        self._reader = reader
        self._watcher = watcher
        self._queue = queue
        self._log = log
        self._known: frozenset[Path] = frozenset()

    async def look(self, roots: Sequence[Path], *, cause: str) -> None:
        """Find the workflows under ``roots``; queue the new ones, and those that are gone.

        Raises:
            NotFoundError: A root does not exist.
        """
        found = await self._reader.discover(roots)
        for root in sorted(found - self._known):
            self._log.emit(Event.WORKFLOW_FOUND, workflow=root.name, directory=str(root))
            self._queue.add(root, cause=cause, saved=cause == "save")
        for root in sorted(self._known - found):
            self._queue.add(root, cause="removed")
        self._known = found

    async def follow(self, roots: Sequence[Path]) -> None:
        """Queue what is saved under ``roots``, and everything at each beat of the watcher, until cancelled."""
        async for changed in self._watcher.changes(roots):
            if not changed:
                await self.look(roots, cause="resync")
                for root in self._known:
                    self._queue.add(root, cause="resync")
                continue
            touched = affected(changed, self._known)
            for root in touched.workflows:
                self._queue.add(root, cause="save", saved=True)
            if touched.rediscover:
                await self.look(roots, cause="save")
