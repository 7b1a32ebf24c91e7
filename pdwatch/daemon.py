"""The composition root of ``pdwatch run``: settings become adapters, and adapters tasks of one group."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from pdwatch import __version__
from pdwatch.adapters.engine import engine_recipe
from pdwatch.adapters.files import FileSource
from pdwatch.adapters.ground import DirectoryGround
from pdwatch.adapters.lock import Claims
from pdwatch.adapters.systemd import service_manager
from pdwatch.adapters.watcher import FileWatcher
from pdwatch.building import build_slots
from pdwatch.delivery import Delivery
from pdwatch.discovery import WorkflowDiscovery
from pdwatch.endpoint import Endpoint
from pdwatch.errors import PdwatchError
from pdwatch.heartbeats import Heartbeats
from pdwatch.live_parts import LiveParts
from pdwatch.logs import Event, EventLog
from pdwatch.policies import Policies
from pdwatch.reconciler import Reconciler
from pdwatch.reload import Reloads, reload_requests
from pdwatch.service import ServiceReport
from pdwatch.settings import resolved
from pdwatch.sites import Sites, Surroundings
from pdwatch.tracked import TrackedWorkflows, milliseconds
from pdwatch.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from contextlib import AbstractAsyncContextManager

    from pdwatch.adapters.systemd import Systemd
    from pdwatch.core.model import TargetName, ViewChange
    from pdwatch.reload import Live
    from pdwatch.settings import Settings
    from pdwatch.sites import OpenTarget
    from pdwatch.targets import Target

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def open_target(
    name: TargetName,
    settings: Settings,
    *,
    notify: Callable[[ViewChange], None],
    log: EventLog,
    heartbeats: Heartbeats,
) -> AbstractAsyncContextManager[Target]:
    """Open a target; each imports only what it needs."""
    if name == "local":
        from pdwatch.targets.local import local_target  # noqa: PLC0415

        return local_target(notify=notify, log=log, jitter=random.random, check=settings.type_check)
    from pdwatch.targets.kubernetes import kubernetes_target  # noqa: PLC0415

    return kubernetes_target(settings, notify=notify, log=log, heartbeats=heartbeats)


async def serve(
    settings: Settings, log: EventLog, *, live: Live | None = None, open_target: OpenTarget = open_target
) -> None:
    """Watch, build, apply and tell until SIGTERM or SIGINT.

    Args:
        settings: What to watch, and how.
        log: Where events go.
        live: How to reload the settings, on SIGHUP and as they are saved; None for settings that stay.
        open_target: Opens where revisions go.

    Raises:
        NotFoundError: A root directory does not exist.
        AlreadyWatchedError: Another daemon watches one of the directories.
        PdwatchError: None of the targets that roots name can be opened: there is no usable kubeconfig, say.
        BrokenPipeError: Nobody reads the log any more.
    """
    with service_manager(os.environ, log=log) as systemd:
        await until_signal(_serve(settings, log, systemd, live, open_target), log=log, systemd=systemd)
    log.emit(Event.DAEMON_STOPPED)


async def _serve(
    settings: Settings, log: EventLog, systemd: Systemd, live: Live | None, open_target: OpenTarget
) -> None:
    clock = asyncio.get_running_loop().time
    roots = [resolved(root.path) for root in settings.roots]
    async with AsyncExitStack() as stack:
        requests = stack.enter_context(reload_requests()) if live else None
        claims = stack.enter_context(Claims())
        claims.take(roots)
        tracked, heartbeats = TrackedWorkflows(), Heartbeats()
        service = ServiceReport(systemd, tracked=tracked, heartbeats=heartbeats, log=log)
        endpoint = Endpoint(tracked, heartbeats)
        log = log.telling(lambda _: service.changed(), endpoint.take)
        reader, ground = FileSource(recipe=engine_recipe()), DirectoryGround(roots)
        surroundings = Surroundings(
            tracked=tracked,
            reader=reader,
            ground=ground,
            roots=roots,
            heartbeats=heartbeats,
            log=log,
            clock=clock,
            requeue=lambda workflow, cause: queue.add(workflow.root, cause=cause),
        )
        sites = Sites(settings, surroundings, open_target, stack=stack)
        await sites.start()
        policies, builds = Policies(settings, sites.target), build_slots(settings.builds)
        delivery = Delivery(
            sites.world,
            tracked=tracked,
            log=log,
            clock=clock,
            jitter=random.random,
            builds=builds,
            heartbeats=heartbeats,
        )
        reconciler = Reconciler(
            reader,
            delivery,
            policy=policies.find,
            tracked=tracked,
            log=log,
            clock=clock,
            heartbeats=heartbeats,
            removed=sites.removed,
            using=sites.using,
        )
        queue = WorkQueue(reconciler.reconcile)
        watcher = FileWatcher(beat_s=settings.resync_s, heartbeats=heartbeats)
        discovery = WorkflowDiscovery(
            reader, watcher, tracked=tracked, queue=queue, log=log, found=ground.note
        )
        shown = ", ".join(map(str, roots))
        log.emit(Event.DAEMON_STARTED, version=__version__, roots=shown, pid=os.getpid())
        await stack.enter_async_context(endpoint.listening(settings.http, queue=queue, log=log))
        started = clock()

        live_parts = LiveParts(
            roots=roots,
            claims=claims,
            sites=sites,
            policies=policies,
            builds=builds,
            ground=ground,
            watcher=watcher,
            discovery=discovery,
            tracked=tracked,
            queue=queue,
        )

        async def sync() -> None:
            await discovery.look(roots, cause="start")
            live_parts.follow(group)
            if live and requests:
                reloads = Reloads(
                    settings, live, live_parts.take, opened=lambda: sites.opened, listener=service, log=log
                )
                group.create_task(reloads.run(requests), name="reload settings")
            await queue.idle()
            duration_ms = milliseconds(clock() - started)
            log.emit(Event.DAEMON_SYNCED, workflows=len(tracked), duration_ms=duration_ms)
            await service.ready()

        async with asyncio.TaskGroup() as group:
            sites.follow(group)
            group.create_task(queue.run(), name="work")
            group.create_task(sync(), name="sync")
            group.create_task(service.run(), name="tell systemd")
            group.create_task(endpoint.run(), name="measure the loop's lag")


async def until_signal(work: Coroutine[Any, Any, None], *, log: EventLog, systemd: Systemd) -> None:
    """Run a coroutine that never ends by itself until SIGTERM or SIGINT; then cancel it and wait for its end.

    A second signal ends the process at once, as signals do by default.

    Raises:
        PdwatchError: What ended it.
        BrokenPipeError: It could not log, since nobody reads the log any more.
    """
    loop = asyncio.get_running_loop()
    signalled: asyncio.Future[signal.Signals] = loop.create_future()

    def stop(number: signal.Signals) -> None:
        for each in STOP_SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        signalled.set_result(number)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work, name="daemon")
            log.emit(Event.DAEMON_STOPPING, signal=(await signalled).name)
            await systemd.stopping()
            task.cancel()
    except BaseExceptionGroup as failures:
        expected = next(_expected(failures), None)
        if expected is None:
            raise
        raise expected from failures
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def _expected(failures: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    """Find what the command line can explain, however deep the group of tasks was that failed."""
    for failure in failures.exceptions:
        if isinstance(failure, BaseExceptionGroup):
            yield from _expected(failure)
        elif isinstance(failure, PdwatchError | BrokenPipeError):
            yield failure
