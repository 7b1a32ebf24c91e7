"""The targets that roots name, each opened when one first needs it (docs/adr/0020-two-targets.md)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from pdwatch.delivery import World
from pdwatch.errors import PdwatchError, TargetUnavailableError
from pdwatch.housekeeping import Housekeeping
from pdwatch.logs import Event, EventLog
from pdwatch.rollouts import RolloutReporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from pdwatch.core.model import TargetName, ViewChange
    from pdwatch.heartbeats import Heartbeats
    from pdwatch.ports import Ground, SourceReader
    from pdwatch.settings import Settings
    from pdwatch.targets import Target
    from pdwatch.tracked import TrackedWorkflow, TrackedWorkflows

RETRY_S = 30.0
"""A target that could not be opened is left alone for so long, however many workflows would go there."""


class OpenTarget(Protocol):
    """Opens a target that revisions go to."""

    def __call__(
        self,
        name: TargetName,
        settings: Settings,
        /,
        *,
        notify: Callable[[ViewChange], None],
        log: EventLog,
        heartbeats: Heartbeats,
    ) -> AbstractAsyncContextManager[Target]:
        """Return the target's context."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every site shares with the rest of the daemon; ``requeue`` has a workflow looked at again."""

    tracked: TrackedWorkflows
    reader: SourceReader
    ground: Ground
    roots: Sequence[Path]
    heartbeats: Heartbeats
    log: EventLog
    clock: Callable[[], float]
    requeue: Callable[[TrackedWorkflow, str], None]


@dataclass(slots=True, kw_only=True, eq=False)
class Site:
    """An open target, and who tells of its rollouts and keeps house there."""

    target: Target
    world: World
    reporter: RolloutReporter
    housekeeping: Housekeeping
    changes: asyncio.Queue[ViewChange]
    stack: AsyncExitStack
    """Closes it."""
    following: asyncio.Task[None] | None = None
    users: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nobody uses it any more."""

    async def close(self) -> None:
        """Follow it no more, and close it, as at the end."""
        if self.following is not None:
            self.following.cancel()
            await asyncio.wait({self.following})
        await self.stack.aclose()

    async def run(self) -> None:
        """Follow what runs there until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_run(self.target), name="follow the target")
            group.create_task(self.reporter.run(self.changes), name="report rollouts")
            group.create_task(self.housekeeping.run(), name="keep house")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    error: TargetUnavailableError
    until: float


class Sites:
    """The open targets; each stays open as long as a root names it.

    Args:
        settings: Those by which targets are opened.
        surroundings: What they share.
        open_target: Opens one.
        stack: Closes them at the end.
    """

    def __init__(
        self,
        settings: Settings,
        surroundings: Surroundings,
        open_target: OpenTarget,
        *,
        stack: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._open_target = open_target
        self._stack = stack
        self._opening = asyncio.Lock()
        self._sites: dict[TargetName, Site] = {}
        self._failures: dict[TargetName, _Failure] = {}
        self._group: asyncio.TaskGroup | None = None

    @property
    def opened(self) -> frozenset[TargetName]:
        """The targets that are open."""
        return frozenset(self._sites)

    async def start(self) -> None:
        """Open one of the targets that roots name; the others are opened while its workflows are at work.

        Raises:
            PdwatchError: There is none that could be opened.
        """
        failures: dict[TargetName, PdwatchError] = {}
        for name in sorted(self._settings.targets, reverse=True):  # local first, which waits for nobody
            try:
                await self._open(name, self._settings)
                break
            except PdwatchError as error:
                failures[name] = error
        else:
            raise failures[min(failures)]
        for name, failure in failures.items():
            self._failed(name, failure)

    def follow(self, group: asyncio.TaskGroup) -> None:
        """Follow what is open, and what will be, in tasks of ``group``."""
        self._group = group
        for site in self._sites.values():
            self._follow(site, group)
        for name in self._settings.targets - self.opened - self._failures.keys():
            group.create_task(self._open_beside(name), name=f"open target {name}")

    async def _open_beside(self, name: TargetName) -> None:
        with suppress(TargetUnavailableError):  # which is told, and tried again for the first workflow
            await self.target(name)

    async def require(self, settings: Settings) -> None:
        """Open the targets that roots of other settings newly name, and try those again that could not be.

        Raises:
            PdwatchError: One that they newly name can't be opened.
        """
        async with self._opening:
            for name in sorted(settings.targets - self.opened):
                try:
                    await self._open(name, settings)
                except PdwatchError:
                    if name not in self._settings.targets:
                        raise

    def take(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self._settings = settings
        for name in self._failures.keys() - settings.targets:
            self._recovered(name)
        for site in self._sites.values():
            site.target.take(settings)
        self._close_unneeded()

    async def target(self, name: TargetName) -> Target:
        """Return a target; try to open it, now and then, if it is not open.

        Raises:
            TargetUnavailableError: It can't be opened now.
        """
        if name not in self._sites:
            async with self._opening:  # one attempt at a time, whose outcome holds for all that wait for it
                await self._try(name)
        return self._sites[name].target

    @contextmanager
    def using(self, name: TargetName) -> Iterator[bool]:
        """Keep a target open as long as the block runs; yield whether it is open (still)."""
        site = self._sites.get(name)
        if site is None:
            yield False
            return
        site.users += 1
        site.unused.clear()
        try:
            yield True
        finally:
            site.users -= 1
            if not site.users:
                site.unused.set()

    def world(self, name: TargetName) -> World:
        """Return the ports of a target that is open."""
        return self._sites[name].world

    def removed(self, workflow: TrackedWorkflow) -> None:
        """Take note of a workflow whose directory is gone."""
        if workflow.claim is not None:  # and so its target is open
            self._sites[workflow.claim.target].housekeeping.removed(workflow)

    def _close_unneeded(self) -> None:
        if self._group is not None:
            for name in self.opened - self._settings.targets:
                self._group.create_task(self._close(self._sites[name]), name=f"close target {name}")

    async def _close(self, site: Site) -> None:
        """Close a target once what is under way there has ended, unless a root names it again by then."""
        name = site.target.name
        while True:
            if site.users:
                await site.unused.wait()
            async with self._opening:  # it is opened again only when it is closed
                if name in self._settings.targets or self._sites.get(name) is not site:
                    return
                if site.users:
                    continue
                del self._sites[name]
                self._surroundings.tracked.leave(name)
                await site.close()
                self._surroundings.log.bind(target=name).emit(Event.TARGET_CLOSED)
                return

    async def _try(self, name: TargetName) -> None:
        failure = self._failures.get(name)
        if failure is not None and self._surroundings.clock() < failure.until:
            raise failure.error
        if name not in self._sites:
            try:
                await self._open(name, self._settings)
            except PdwatchError as error:
                raise self._failed(name, error) from error
            self._close_unneeded()  # it was asked for before a reload

    def _failed(self, name: TargetName, error: PdwatchError) -> TargetUnavailableError:
        unavailable = TargetUnavailableError(f"target {name} can't be used: {error.message}")
        if name not in self._settings.targets:
            return unavailable  # it was asked for before a reload
        self._failures[name] = _Failure(error=unavailable, until=self._surroundings.clock() + RETRY_S)
        log = self._surroundings.log.bind(target=name, remedy=error.remedy, retry_in_s=RETRY_S)
        log.emit(Event.TARGET_UNAVAILABLE, error=type(error).__name__, message=unavailable.message)
        return unavailable

    def _recovered(self, name: TargetName) -> None:
        if self._failures.pop(name, None):
            self._surroundings.log.bind(target=name).emit(Event.TARGET_RECOVERED)

    async def _open(self, name: TargetName, settings: Settings) -> None:
        site = self._sites[name] = await self._opened(name, settings)
        self._recovered(name)
        if self._group is not None:
            self._follow(site, self._group)

    def _follow(self, site: Site, group: asyncio.TaskGroup) -> None:
        site.following = group.create_task(site.run(), name=f"target {site.target.name}")

    async def _opened(self, name: TargetName, settings: Settings) -> Site:
        around = self._surroundings
        changes: asyncio.Queue[ViewChange] = asyncio.Queue()

        def notice(change: ViewChange) -> None:
            changes.put_nowait(replace(change, seen_at=around.clock()))

        stack = AsyncExitStack()
        target = await stack.enter_async_context(
            self._open_target(name, settings, notify=notice, log=around.log, heartbeats=around.heartbeats)
        )
        self._stack.push_async_exit(stack)
        housekeeping = Housekeeping(
            settings,
            target,
            reader=around.reader,
            ground=around.ground,
            roots=around.roots,
            tracked=around.tracked,
            log=around.log,
            clock=around.clock,
        )
        reporter = RolloutReporter(
            name,
            around.tracked,
            requeue=around.requeue,
            pod_logs=target.pod_logs,
            log=around.log,
            clock=around.clock,
            rolled_out=housekeeping.rolled_out,
        )
        world = World(
            reader=around.reader,
            builder=target.builder,
            publisher=target.publisher,
            cluster=target.cluster,
            view=target.view,
        )
        return Site(
            target=target,
            world=world,
            reporter=reporter,
            housekeeping=housekeeping,
            changes=changes,
            stack=stack,
        )


async def _run(target: Target) -> None:
    await target.run()
