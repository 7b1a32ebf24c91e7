"""Follows the directories: which workflows there are, and which of them something happened to."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pdwatch.core.resync import turn
from pdwatch.core.sources import affected
from pdwatch.errors import SourceError
from pdwatch.logs import Event, EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
        self._passed_over: set[Path] = set()

    async def look(self, roots: Sequence[Path], *, cause: str) -> None:
        """Find the workflows under ``roots``; queue the new ones, and those that are gone.

        A root that does not exist (any more) holds no workflows. One that can't be read is logged, and what
        was known of it stays known.
        """
        try:
            there = [root for root in roots if root.is_dir()]
            found = await self._reader.discover(there, passed_over=self._pass_over)
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
            await asyncio.sleep(0)  # between a thousand lines of the log everything else goes on
            if root in self._tracked:
                continue  # another look, for other settings, was first
            self._log.emit(Event.WORKFLOW_FOUND, workflow=root.name, directory=str(root))
            self._found(root)
            self._tracked.track(root)
            self._queue.add(root, cause=cause, saved=cause == "save")
        for root in sorted(known - found):
            self._queue.add(root, cause="removed")

    async def follow(self, roots: Sequence[Path]) -> None:
        """Queue what is saved, and at each of the watcher's beats what was missed, until cancelled."""
        beats = count()
        async with aclosing(self._watcher.changes(roots)) as changes:
            async for changed in changes:
                await self._follow(changed, roots, beats)

    async def _follow(self, changed: frozenset[Path], roots: Sequence[Path], beats: Iterator[int]) -> None:
        known = {
            workflow.root: workflow.revision.snapshot if workflow.revision else None
            for workflow in self._tracked
        }
        touched = affected(changed, known, is_file=Path.is_file, is_directory=Path.is_dir)
        if changed:
            for root in touched.workflows:
                self._queue.add(root, cause="save", saved=True, noticed_at=self._watcher.noticed_at)
        else:
            await self._resync(tuple(known), next(beats))
        if touched.discover:
            await self.look(roots, cause="save" if changed else "missed")

    async def _resync(self, known: Sequence[Path], beat: int) -> None:
        """Queue the workflows whose files have moved, as by a save that was missed, and a round of others."""
        moved = await self._reader.moved(known)
        for root in moved:
            self._queue.refresh(root, cause="missed")
        for root in set(turn(known, beat)) - moved:
            self._queue.refresh(root, cause="resync")

    def _pass_over(self, link: Path, target: Path) -> None:
        if link not in self._passed_over:
            self._passed_over.add(link)
            self._log.emit(
                Event.WORKFLOW_SKIPPED,
                directory=str(link),
                message=f"{link} is a symbolic link to {target}, and links are not followed",
                remedy=f"add {target} to the roots, or move it here",
            )
