"""What a worker does when the settings say something else of its workflow's directory."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.core.model import Place
from pdwatch.delivery import Delivery, World
from pdwatch.errors import NotWatchedError, TargetUnavailableError
from pdwatch.logs import Event
from pdwatch.reconciler import SCANS, Reconciler
from pdwatch.tracked import Policy, TrackedWorkflow, TrackedWorkflows
from pdwatch.workqueue import WorkQueue
from tests.world import FakeWorld, digest_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pdwatch.core.model import TargetName

HELLO = Path("/w/hello")


class Loop:
    """A reconciler whose policy can be changed."""

    def __init__(self) -> None:
        self.world = FakeWorld()
        self.world.cluster.relist()
        self.policy: Policy | None = Policy(namespace="dev")
        self.unavailable = False
        self.closed: set[TargetName] = set()
        self.removed: list[TrackedWorkflow] = []
        self.tracked = TrackedWorkflows()
        clock, world = asyncio.get_running_loop().time, self.world
        ports = World(
            reader=world.disk,
            builder=world.docker,
            publisher=world.docker,
            cluster=world.cluster,
            view=world.cluster,
        )
        delivery = Delivery(
            lambda _: ports, tracked=self.tracked, log=world.log, clock=clock, jitter=lambda: 0.0
        )
        reconciler = Reconciler(
            world.disk,
            delivery,
            policy=self._policy,
            tracked=self.tracked,
            log=world.log,
            clock=clock,
            removed=self.removed.append,
            using=self._using,
        )
        self.queue = WorkQueue(reconciler.reconcile)

    async def _policy(self, directory: Path) -> Policy:
        if directory.name.startswith("elsewhere"):
            await asyncio.Event().wait()  # for a credential plugin that hangs, say
        if self.unavailable:
            raise TargetUnavailableError("there is no kubeconfig")
        if self.policy is None:
            raise NotWatchedError("no root holds it any more")
        return self.policy

    @contextmanager
    def _using(self, target: TargetName) -> Iterator[bool]:
        if target in self.closed:
            self.policy = Policy(target="local", namespace="dev")  # by the settings that it was closed for
        yield target not in self.closed

    async def look(self) -> None:
        self.queue.add(HELLO, cause="settings")
        await self.queue.idle()


@pytest.fixture
async def loop() -> AsyncIterator[Loop]:
    loop = Loop()
    loop.world.disk.save(HELLO, "first")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(loop.queue.run())
        await loop.look()
        yield loop
        task.cancel()


async def test_a_directory_that_is_watched_no_more_is_forgotten_and_not_undeployed(loop: Loop):
    applied = list(loop.world.cluster.applied)
    loop.policy = None
    await loop.look()
    assert HELLO not in loop.tracked
    assert loop.removed == []
    loop.world.disk.save(HELLO, "second")
    await loop.look()
    assert loop.world.cluster.applied == applied


async def test_another_namespace_makes_another_revision_of_the_same_sources(loop: Loop):
    (workflow,) = loop.tracked
    before = workflow.revision
    loop.policy = Policy(namespace="staging")
    await loop.look()
    assert workflow.revision is not None
    assert workflow.revision is not before
    assert workflow.revision.namespace == "staging"


async def test_what_changes_nothing_of_a_workflow_leaves_its_revision_as_it_is(loop: Loop):
    (workflow,) = loop.tracked
    before, applied = workflow.revision, list(loop.world.cluster.applied)
    loop.policy = Policy(namespace="dev", secrets=True)
    await loop.look()
    assert workflow.revision is before
    assert workflow.revision is not None
    assert workflow.revision.policy.secrets
    assert loop.world.cluster.applied == applied


async def test_another_target_makes_another_revision_even_where_the_namespace_has_the_same_name(loop: Loop):
    (workflow,) = loop.tracked
    before, applied = workflow.revision, len(loop.world.cluster.applied)
    loop.world.cluster.relist()
    loop.policy = Policy(target="local", namespace="dev")
    await loop.look()
    assert workflow.revision is not before
    assert workflow.claim == Place(target="local", namespace="dev", name="hello")
    (told,) = loop.world.log.named(Event.WORKFLOW_REMOVED)
    assert (told["target"], told["namespace"]) == ("kubernetes", "dev")
    assert loop.removed == [], "what runs in the old place runs on"
    assert len(loop.world.cluster.applied) == applied


async def test_a_target_that_was_closed_while_the_files_were_read_is_not_used_and_they_are_looked_at_again(
    loop: Loop,
):
    (workflow,) = loop.tracked
    applied = list(loop.world.cluster.applied)
    loop.world.disk.save(HELLO, "second")
    loop.closed = {"kubernetes"}
    loop.queue.add(HELLO, cause="save")
    await loop.queue.idle()
    assert loop.world.cluster.applied[len(applied) :] == [("hello", digest_of("second"))]
    assert workflow.claim == Place(target="local", namespace="dev", name="hello")


async def test_a_target_that_cannot_be_used_fails_its_workflows_without_a_line_for_each(loop: Loop):
    (workflow,) = loop.tracked
    loop.world.log.lines.clear()
    loop.unavailable = True
    await loop.look()
    assert workflow.failure == "there is no kubeconfig"
    assert loop.world.log.lines == []
    loop.unavailable = False
    await loop.look()
    assert workflow.failure == ""


@pytest.mark.looptime
async def test_workflows_whose_target_is_slow_to_be_opened_keep_no_other_from_being_read(loop: Loop):
    (workflow,) = loop.tracked
    before = workflow.revision
    for number in range(SCANS):
        loop.queue.add(Path(f"/w/elsewhere{number}"), cause="start")
    await asyncio.sleep(0.1)
    loop.world.disk.save(HELLO, "second")
    loop.queue.add(HELLO, cause="start")
    await asyncio.sleep(60)
    assert workflow.revision is not before
