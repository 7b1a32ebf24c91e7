"""Stages instead of images, and child processes instead of pods (docs/adr/0013-local-target.md)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pdwatch.adapters.engine import engine_files
from pdwatch.adapters.local.cluster import LocalCluster
from pdwatch.adapters.local.deno import find_deno
from pdwatch.adapters.local.stages import Stages
from pdwatch.adapters.local.staging import stage_area
from pdwatch.adapters.local.type_check import TypeCheck
from pdwatch.targets import Target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pdwatch.core.model import ViewChange
    from pdwatch.logs import EventLog

NAMESPACE = "local"
"""What stands where a cluster's namespace does, for workflows that name none."""


@asynccontextmanager
async def local_target(
    *,
    notify: Callable[[ViewChange], None],
    log: EventLog,
    jitter: Callable[[], float],
    port: int | None = None,
    check: bool = True,
) -> AsyncIterator[Target]:
    """Make a private place for stages and secrets, removed at the end.

    Args:
        notify: Called with every change of a workflow's engines.
        log: Where engines' lines go.
        jitter: Returns a random number in [0, 1).
        port: That of the only workflow, 0 for any; None for one of each workflow's own.
        check: Whether a workflow must pass Deno's type check before it takes over.

    Raises:
        ProgramMissingError: There is no ``deno``.
    """
    log = log.bind(target="local")
    deno = find_deno()
    with stage_area() as area:
        type_check = TypeCheck(area, deno=deno, log=log) if check else None
        stages = Stages(area, engine=engine_files(), check=type_check)
        cluster = LocalCluster(stages, area=area, deno=deno, port=port, notify=notify, log=log, jitter=jitter)

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(cluster.run(), name="keep engines running")
                if type_check is not None:
                    group.create_task(type_check.run(), name="keep a language server")

        yield Target(
            name="local",
            builder=stages,
            publisher=stages,
            cluster=cluster,
            view=cluster,
            pod_logs=cluster,
            namespace=NAMESPACE,
            secrets=True,
            run=run,
        )
