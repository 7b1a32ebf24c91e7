"""What the daemon tidies up: images that pile up, and workflows whose directories are gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pdwatch.pruning import ImagePruning
from pdwatch.removals import Removals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pdwatch.logs import EventLog
    from pdwatch.ports import Ground, SourceReader
    from pdwatch.settings import Settings
    from pdwatch.targets import Target
    from pdwatch.tracked import TrackedWorkflow, TrackedWorkflows


class Housekeeping:
    """Is told what happens on one target, and does what follows from it in tasks of its own.

    Args:
        settings: How many images stay, and whether removed workflows are undeployed.
        target: Where images pile up and workflows run.
        reader: Finds the directories that are there.
        ground: What they lie in.
        roots: The watched directories.
        tracked: The workflows that are there.
        log: Where lines go.
        clock: Loop time in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        target: Target,
        *,
        reader: SourceReader,
        ground: Ground,
        roots: Sequence[Path],
        tracked: TrackedWorkflows,
        log: EventLog,
        clock: Callable[[], float],
    ) -> None:
        self._pruning: ImagePruning | None = None
        self._removals: Removals | None = None
        if target.image_store is not None and target.history is not None:
            self._pruning = ImagePruning(
                target.image_store,
                target.history,
                keep=settings.keep_images,
                log=log,
                now=lambda: datetime.now(UTC),
            )
        if settings.undeploy_removed and target.undeployer is not None:
            self._removals = Removals(
                target.undeployer,
                reader,
                target.view,
                ground,
                roots=roots,
                tracked=tracked,
                log=log,
                clock=clock,
            )

    def removed(self, workflow: TrackedWorkflow) -> None:
        """Take note of a workflow whose directory is gone."""
        if self._removals is not None:
            self._removals.removed(workflow)

    def rolled_out(self, workflow: TrackedWorkflow) -> None:
        """Take note of a rollout that has become complete."""
        if self._pruning is not None:
            self._pruning.rolled_out(workflow)

    async def run(self) -> None:
        """Keep house until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self._pruning, self._removals):
                if work is not None:
                    group.create_task(work.run(), name=type(work).__name__)
