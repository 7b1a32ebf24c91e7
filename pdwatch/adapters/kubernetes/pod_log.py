"""Reads and follows the logs of all pods of a workflow, through rollouts, restarts and lost connections."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdwatch.adapters.kubernetes.list_watch import Collection, ListWatch
from pdwatch.adapters.kubernetes.rollout_watch import SILENT
from pdwatch.core.backoff import backoff
from pdwatch.core.names import MANAGED_SELECTOR, NAME_LABEL
from pdwatch.core.pod_log import Position, container_runs, read_pod_line
from pdwatch.core.watching import Listed, Upserted
from pdwatch.errors import (
    ApplyRejectedError,
    ClusterError,
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import Manifest
    from pdwatch.core.pod_log import ContainerRun, PodLine
    from pdwatch.core.watching import WatchChange

_SILENCE_S = 300.0
"""How long a workflow may be silent before its stream is opened anew: the connection may be dead."""
_RETRY_BASE_S = 0.4
_RETRY_CAP_S = 15.0
_TOLD_AFTER = 2
"""Failures in a row before an interruption is told: one may be a connection that was merely ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """How much of a log: its last lines, and those since a time."""

    tail: int | None = None
    since: datetime | None = None

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of ``pods/log``."""
        query = {} if self.tail is None else {"tailLines": str(self.tail)}
        return (
            query if self.since is None else query | {"sinceTime": self.since.isoformat(timespec="seconds")}
        )


class WorkflowLogs:
    """The logs of a workflow's pods in one namespace.

    Args:
        api: The API server.
        namespace: Where the workflow runs.
        name: The workflow.
    """

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api = api
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._selection = {"labelSelector": f"{MANAGED_SELECTOR},{NAME_LABEL}={name}"}

    async def runs(self) -> Sequence[ContainerRun]:
        """Return the runs of all pods whose logs there are.

        Raises:
            ClusterError: Or one of its subclasses, by cause.
        """
        found = await self._api.request("GET", self._pods, query=self._selection)
        return [run for pod in found.get("items") or () for run in container_runs(pod)]

    async def read(self, run: ContainerRun, portion: Portion) -> Sequence[PodLine]:
        """Return what a run has written so far, oldest first; nothing when its pod is gone by now.

        Raises:
            ClusterError: Or one of its subclasses, by cause.
        """
        try:
            async with aclosing(self._lines(run, portion.query)) as lines:
                return [line async for line in lines]
        except (NotFoundError, ApplyRejectedError):
            return ()

    async def follow(
        self, portion: Portion, *, put: Callable[[PodLine], Awaitable[None]], tell: Callable[[str], None]
    ) -> None:
        """Pass on what pods write, those that come later included, until cancelled.

        Args:
            portion: How much of what is there already; of later pods it is everything.
            put: Takes each line; reading waits for it.
            tell: Takes a message when a log can't be read for some time.

        Raises:
            ForbiddenError: RBAC does not let logs be read.
            UnauthorizedError: The credentials do not do.
        """
        started: set[str] = set()
        pods = Collection(resource="pods", path=self._pods, selection=self._selection)
        watch = ListWatch(self._api, pods, log=SILENT)
        first = True
        async with asyncio.TaskGroup() as group, aclosing(watch.changes()) as changes:
            async for change in changes:
                for run in [run for pod in _present(change) for run in container_runs(pod)]:
                    wanted = run.id not in started and not (first and run.previous)
                    started.add(run.id)
                    if wanted:
                        following = self._follow(run, portion if first else Portion(), put, tell)
                        group.create_task(following, name=f"follow the log of {run.pod}")
                first = False

    async def _follow(
        self,
        run: ContainerRun,
        portion: Portion,
        put: Callable[[PodLine], Awaitable[None]],
        tell: Callable[[str], None],
    ) -> None:
        """Pass on what a run writes, until it has ended and been read."""
        position, failures = Position(), 0
        current: ContainerRun | None = run
        while current is not None:
            since = position.resume()
            query = portion.query if since is None else {"sinceTime": since}
            try:
                async with aclosing(self._lines(current, {**query, "follow": "true"})) as lines:
                    async for line in lines:
                        if position.takes(line.moment):
                            await put(line)
                            failures = 0
                if not current.running:
                    return
                current = await self._as_it_is_now(run)
            except (NotFoundError, ApplyRejectedError):
                return  # the pod, or the run's log, is gone
            except (ForbiddenError, UnauthorizedError):
                raise
            except ClusterError as error:
                if failures + 1 == _TOLD_AFTER:
                    tell(f"the log of {run.pod} can't be read, and is tried again: {error.message}")
            await asyncio.sleep(_delay_s(failures))
            failures += 1

    async def _as_it_is_now(self, run: ContainerRun) -> ContainerRun | None:
        pod = await self._api.request("GET", f"{self._pods}/{run.pod}")
        return next((each for each in container_runs(pod) if each.id == run.id), None)

    async def _lines(self, run: ContainerRun, query: Mapping[str, str]) -> AsyncGenerator[PodLine, None]:
        stream = self._api.stream(
            f"{self._pods}/{run.pod}/log",
            query={
                **query,
                "container": run.container,
                "previous": str(run.previous).lower(),
                "timestamps": "true",
            },
            inactivity_timeout_s=_SILENCE_S,
        )
        async with aclosing(stream) as lines:
            async for line in lines:
                if (read := read_pod_line(run.pod, line)) is not None:
                    yield read


def _present(change: WatchChange) -> Sequence[Manifest]:
    match change:
        case Listed():
            return change.items
        case Upserted():
            return (change.manifest,)
    return ()


def _delay_s(failures: int) -> float:
    jitter = random.random()  # noqa: S311  # it spreads load and guards nothing
    return backoff(failures, base_s=_RETRY_BASE_S, cap_s=_RETRY_CAP_S, jitter=jitter)
