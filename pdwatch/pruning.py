"""Prunes a workflow's images after its rollouts: one workflow at a time, and never on the path of a save."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pdwatch.core.retention import ON_ITS_WAY, first_seen, long_unused, surplus
from pdwatch.errors import PdwatchError
from pdwatch.logs import Event, EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pdwatch.core.model import Place
    from pdwatch.core.retention import Ingredient, Removal, StoredImage
    from pdwatch.ports import ImageStore, RevisionHistory
    from pdwatch.tracked import TrackedWorkflow

PRUNE_S = 60.0
"""One workflow's share; if Docker takes longer, the rest is left for the next rollout."""


class ImagePruning:
    """Keeps in Docker what may be needed again.

    Args:
        store: The images in Docker.
        history: What the cluster may still start.
        keep: How many images of each workflow stay, used or not.
        log: Where lines go.
        now: The time of day.
    """

    def __init__(
        self,
        store: ImageStore,
        history: RevisionHistory,
        *,
        keep: int,
        log: EventLog,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._history = history
        self._keep = keep
        self._log = log
        self._now = now
        self._due: dict[Place, None] = {}
        self._rolled_out = asyncio.Event()
        self._undelivered: dict[str, dict[str, datetime]] = {}
        """By workflow and ID, when images that nobody has published yet were first seen: built by another
        process, or by a build that was superseded."""
        self._unused: dict[str, datetime] = {}
        """By ID, when parent images and images of third-party code were first seen without a user."""
        self._looked_at: datetime | None = None
        """When that was last asked."""

    def rolled_out(self, workflow: TrackedWorkflow) -> None:
        """Have the workflow's images looked at."""
        if workflow.claim is not None:
            self._due[workflow.claim] = None
            self._rolled_out.set()

    async def run(self) -> None:
        """Prune what is due, until cancelled."""
        while True:
            await self._rolled_out.wait()
            self._rolled_out.clear()
            while self._due:
                place = next(iter(self._due))
                del self._due[place]
                await self._prune(place)

    async def _prune(self, place: Place) -> None:
        log = self._log.bind(workflow=place.name, namespace=place.namespace, target=place.target)
        try:
            async with asyncio.timeout(PRUNE_S):
                removals, unused = await self._removals(place), await self._long_unused()
                if not removals and not unused:
                    return
                pruned = await self._store.remove(removals, unused)
        except PdwatchError as error:
            log.emit(
                Event.PRUNE_FAILED,
                error=type(error).__name__,
                message=error.message,
                remedy=error.remedy,
            )
        except TimeoutError:
            log.emit(Event.PRUNE_FAILED, error="TimeoutError", message=f"not done after {PRUNE_S:g} s")
        else:
            if pruned.count:
                log.emit(Event.IMAGES_PRUNED, count=pruned.count, bytes=pruned.bytes)

    async def _removals(self, place: Place) -> Sequence[Removal]:
        images = await self._store.images(place.name)
        if not self._surplus(place, images, in_use=frozenset()):
            return ()  # whatever is in use: the API server need not be asked
        in_use = await self._history.images(place.namespace, place.name) | await self._store.running()
        return self._surplus(place, images, in_use=in_use)

    async def _long_unused(self) -> Sequence[Ingredient]:
        """Look for what a build left that was cancelled before its image was made.

        Docker is asked once in ten minutes, however many saves there are: nothing goes any sooner.
        """
        now = self._now()
        if self._looked_at is not None and now - self._looked_at < ON_ITS_WAY:
            return ()
        self._looked_at = now
        unused = await self._store.unused()
        self._unused = first_seen((each.id for each in unused), self._unused, now=now)
        return long_unused(unused, self._unused, now=now)

    def _surplus(
        self, place: Place, images: Sequence[StoredImage], *, in_use: frozenset[str]
    ) -> Sequence[Removal]:
        now, known = self._now(), self._undelivered.get(place.name, {})
        seen = first_seen((image.id for image in images if image.delivered_at is None), known, now=now)
        self._undelivered[place.name] = seen
        return surplus(images, in_use=in_use, keep=self._keep, now=now, first_seen=seen)
