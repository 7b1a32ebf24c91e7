"""Prunes images after rollouts: of all workflows in one go, and not while anybody saves."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from pdwatch.core.retention import ON_ITS_WAY, crowded, first_seen, long_unused, orphaned, surplus
from pdwatch.errors import PdwatchError
from pdwatch.logs import Event, EventLog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from pdwatch.core.model import Place
    from pdwatch.core.retention import ListedImage, Pruned, Removal, StoredImage
    from pdwatch.ports import ImageStore, RevisionHistory
    from pdwatch.tracked import TrackedWorkflow

    T = TypeVar("T")

CALM_S = 10.0
"""Without a rollout for so long, nobody is about to save: Docker lists a thousand images in a fifth of a
second of one core, which a save would wait for."""
UNREST_S = 60.0
"""But somebody who saves all the time fills the disk: after so long it is done all the same."""
PRUNE_S = 60.0
"""The time for a list, for one workflow, and for what images are made of; what does not end in it is left for
the next rollout."""


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
            await self._calm()
            due, self._due = tuple(self._due), {}
            await self._look(due)

    async def _calm(self) -> None:
        """Wait for a rollout, and until none has followed for a while."""
        await self._rolled_out.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(UNREST_S):
                while self._rolled_out.is_set():
                    self._rolled_out.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(CALM_S):
                            await self._rolled_out.wait()
        self._rolled_out.clear()

    async def _look(self, due: Iterable[Place]) -> None:
        images = await self._done(self._crowded(), log=self._log)
        if images is None:
            self._due = dict.fromkeys(due) | self._due  # with the next rollout of any workflow
            return
        gone: list[Pruned] = []
        for place in due:
            if place.name in images:
                log = self._log.bind(workflow=place.name, namespace=place.namespace, target=place.target)
                pruned = await self._done(self._prune(place, images[place.name], log), log=log)
                gone += [pruned] if pruned is not None and pruned.count else []
        await self._done(self._prune_ingredients(gone), log=self._log)

    async def _crowded(self) -> Mapping[str, Sequence[ListedImage]]:
        return crowded(await self._store.listed(), keep=self._keep)

    async def _done(self, work: Awaitable[T], *, log: EventLog) -> T | None:
        """Return what the work does; None if it fails, which is told of."""
        try:
            async with asyncio.timeout(PRUNE_S):
                return await work
        except PdwatchError as error:
            failure, message, remedy = type(error).__name__, error.message, error.remedy
        except TimeoutError:
            failure, message, remedy = "TimeoutError", f"not done after {PRUNE_S:g} s", None
        log.emit(Event.PRUNE_FAILED, error=failure, message=message, remedy=remedy)
        return None

    async def _prune(self, place: Place, listed: Sequence[ListedImage], log: EventLog) -> Pruned | None:
        removals = await self._removals(place, await self._store.images(listed))
        if not removals:
            return None
        return _told(await self._store.remove(removals), log)

    async def _removals(self, place: Place, images: Sequence[StoredImage]) -> Sequence[Removal]:
        if not self._surplus(place, images, in_use=frozenset()):
            return ()  # whatever is in use: the API server need not be asked
        in_use = await self._history.images(place.namespace, place.name) | await self._store.running()
        return self._surplus(place, images, in_use=in_use)

    def _surplus(
        self, place: Place, images: Sequence[StoredImage], *, in_use: frozenset[str]
    ) -> Sequence[Removal]:
        now, known = self._now(), self._undelivered.get(place.name, {})
        seen = first_seen((image.id for image in images if image.delivered_at is None), known, now=now)
        self._undelivered[place.name] = seen
        return surplus(images, in_use=in_use, keep=self._keep, now=now, first_seen=seen)

    async def _prune_ingredients(self, gone: Sequence[Pruned]) -> None:
        """Remove what the images that are gone were made of, and what builds left that were cancelled.

        For the latter Docker is asked once in ten minutes, however many saves there are: nothing goes any
        sooner.
        """
        now = self._now()
        if not gone and self._looked_at is not None and now - self._looked_at < ON_ITS_WAY:
            return
        self._looked_at = now
        unused = await self._store.unused()
        self._unused = first_seen((each.id for each in unused), self._unused, now=now)
        going = {each.id: each for each in long_unused(unused, self._unused, now=now)}
        made_of = [composition for each in gone for composition in each.made_of]
        going |= {each.id: each for each in orphaned(unused, made_of)}
        _told(await self._store.remove_ingredients(going.values()), self._log)


def _told(pruned: Pruned, log: EventLog) -> Pruned:
    if pruned.count:
        log.emit(Event.IMAGES_PRUNED, count=pruned.count, bytes=pruned.bytes)
    return pruned
