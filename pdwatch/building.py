"""A revision's image: waits for its turn, builds and publishes, and tells of each step."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, cast

from pdwatch.admission import Admission
from pdwatch.core.admission import Work
from pdwatch.logs import Event, EventLog
from pdwatch.pipeline import image_for
from pdwatch.tracked import milliseconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pdwatch.core.model import ImageRef, Turn
    from pdwatch.heartbeats import Heartbeats
    from pdwatch.ports import ImageBuilder, ImagePublisher
    from pdwatch.tracked import Revision, TrackedWorkflow

BUILDS = 2
BUILD_S = 3600.0
"""A build or push that takes longer hangs: Docker may say nothing for minutes, but not go on for ever.

Those of a turn may have to wait for each other."""
QUEUED_S = 1.0
"""A build that has waited for its turn for so long is worth a word."""


def build_slots(limit: int = BUILDS) -> Admission:
    """Return so many slots for builds."""
    return Admission(limit, turn="build slot", together=_together)


def _together(work: Work) -> int:
    """Return how many builds the builder makes in one go by now."""
    builder: ImageBuilder | None = cast("ImageBuilder | None", work.joins)
    return 1 if builder is None else builder.builds_per_turn


class Building:
    """Builds the images of revisions, a few at once."""

    def __init__(
        self, slots: Admission, *, log: EventLog, clock: Callable[[], float], heartbeats: Heartbeats
    ) -> None:
        self._slots = slots
        self._log = log
        self._clock = clock
        self._heartbeats = heartbeats

    async def image(
        self,
        workflow: TrackedWorkflow,
        revision: Revision,
        *,
        builder: ImageBuilder,
        publisher: ImagePublisher,
    ) -> ImageRef:
        """Return the reference that the revision's Deployment should name.

        Raises:
            DockerError: Or one of its subclasses, by cause.
            SourceChangedError: A file is no longer what the snapshot says.
        """
        planned = self._clock()
        async with self._slot(workflow, revision, builder) as turn:
            with self._heartbeats.ending(f"build {workflow.root}", within_s=BUILD_S * turn.size):
                plan_ms = milliseconds(planned - revision.plan_began_at)
                wait_ms = milliseconds(self._clock() - planned)
                self._emit(revision, Event.BUILD_STARTED, plan_ms=plan_ms, wait_ms=wait_ms)
                image = await image_for(
                    revision.snapshot,
                    registry=revision.policy.registry,
                    builder=builder,
                    publisher=publisher,
                    reuse=True,
                    clock=self._clock,
                    turn=turn,
                )
        if revision.image == str(image.ref):
            return image.ref  # told before a later step failed
        revision.image = str(image.ref)
        pushed, publish_ms = revision.policy.registry is not None, milliseconds(image.publish_s)
        self._emit(
            revision,
            Event.BUILD_SUCCEEDED,
            image_id=image.id,
            cached=image.cached,
            builder=image.builder,
            build_ms=milliseconds(image.build_s),
            tag_ms=None if pushed else publish_ms,
        )
        if pushed:
            self._emit(revision, Event.PUBLISH_SUCCEEDED, publish_ms=publish_ms)
        return image.ref

    @asynccontextmanager
    async def _slot(
        self, workflow: TrackedWorkflow, revision: Revision, builder: ImageBuilder
    ) -> AsyncIterator[Turn]:
        """Wait for a slot; a workflow that is saved again while it waits keeps its place."""
        if workflow.in_line_since is None:
            workflow.in_line_since = self._clock()
        name, priority = revision.snapshot.name, revision.priority
        work = Work(name=name, priority=priority, since=workflow.in_line_since, joins=builder)
        revision.waits = partial(self._slots.hold, work)
        late = asyncio.get_running_loop().call_later(QUEUED_S, self._tell_queued, revision)
        try:
            async with self._slots.slot(work) as turn:
                late.cancel()
                revision.waits = workflow.in_line_since = None
                yield turn
        finally:
            late.cancel()
            revision.waits = None

    def _tell_queued(self, revision: Revision) -> None:
        if revision.waits is not None:
            self._emit(revision, Event.BUILD_QUEUED, message=revision.waits())

    def _emit(self, revision: Revision, event: Event, **fields: object) -> None:
        self._log.bind(**revision.log_fields(self._clock())).emit(event, **fields)
