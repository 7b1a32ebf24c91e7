"""The parts of a running daemon that go by the settings, and how they go by other ones."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pdwatch.errors import PdwatchError
from pdwatch.settings import resolved

if TYPE_CHECKING:
    from pathlib import Path

    from pdwatch.adapters.ground import DirectoryGround
    from pdwatch.adapters.lock import Claims
    from pdwatch.adapters.watcher import FileWatcher
    from pdwatch.admission import Admission
    from pdwatch.discovery import WorkflowDiscovery
    from pdwatch.policies import Policies
    from pdwatch.settings import Settings
    from pdwatch.sites import Sites
    from pdwatch.tracked import TrackedWorkflows
    from pdwatch.workqueue import WorkQueue


@dataclass(slots=True, kw_only=True, eq=False)
class LiveParts:
    """What a reload touches; ``roots`` is the one list of watched directories that all of them share."""

    roots: list[Path]
    claims: Claims
    sites: Sites
    policies: Policies
    builds: Admission
    ground: DirectoryGround
    watcher: FileWatcher
    discovery: WorkflowDiscovery
    tracked: TrackedWorkflows
    queue: WorkQueue[Path]
    _group: asyncio.TaskGroup = field(init=False)
    _following: asyncio.Task[None] = field(init=False)

    def follow(self, group: asyncio.TaskGroup) -> None:
        """Follow the files in a task of ``group``."""
        self._group = group
        self._following = group.create_task(self.discovery.follow(self.roots), name="watch files")

    async def take(self, settings: Settings) -> None:
        """Go by other settings; work under way goes on, and every workflow is looked at again.

        Raises:
            PdwatchError: A new root can't be claimed, or a new target not be opened; nothing has changed.
        """
        roots = [resolved(root.path) for root in settings.roots]
        if roots != self.roots:
            self.claims.take(roots)
        try:
            await self.sites.require(settings)
        except PdwatchError:
            self.claims.take(self.roots)
            raise
        self.sites.take(settings)
        self.policies.take(settings)
        self.builds.resize(settings.builds)
        if roots != self.roots or settings.resync_s != self.watcher.beat_s:
            self._following.cancel()
            await asyncio.wait({self._following})
            self.roots[:], self.watcher.beat_s = roots, settings.resync_s
            self.ground.watch(roots)
            self.follow(self._group)
        await self.discovery.look(self.roots, cause="settings")
        for workflow in self.tracked:
            self.queue.add(workflow.root, cause="settings")
