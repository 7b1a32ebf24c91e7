"""Waits for the outcome of one rollout."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import structlog

from pdwatch.adapters.kubernetes.view import NamespaceWatch
from pdwatch.core.model import RolloutPhase
from pdwatch.core.names import MANAGED_SELECTOR, NAME_LABEL
from pdwatch.errors import NotFoundError
from pdwatch.logs import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import RolloutStatus, ViewChange


async def wait_for_rollout(
    api: Api,
    *,
    namespace: str,
    name: str,
    digest: str,
    on_status: Callable[[RolloutStatus], None],
) -> RolloutStatus:
    """Wait until a rollout is complete, or has stalled for a reason that waiting won't end.

    It outlasts an API server that goes away and comes back, so bound it with :func:`asyncio.timeout`.

    Args:
        api: The API server.
        namespace: Where the Deployment is.
        name: Of the Deployment, which pdwatch has just applied.
        digest: The source digest that has been applied; a rollout of any other is not the one to wait for.
        on_status: Called with every status on the way, the last included.

    Raises:
        NotFoundError: The Deployment is gone.
    """
    changes: asyncio.Queue[ViewChange] = asyncio.Queue()
    watch = NamespaceWatch(
        api,
        namespace,
        selector=f"{MANAGED_SELECTOR},{NAME_LABEL}={name}",
        notify=changes.put_nowait,
        log=SILENT,
    )
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch.run(), name=f"watch {namespace}/{name}")
        await watch.synced()
        status = await _outcome(changes, digest, on_status) if watch.deployment(name) else None
        watching.cancel()
    if status is None:
        raise NotFoundError(
            f"Deployment {name} in namespace {namespace} was deleted while it was rolled out",
            remedy="deploy again",
        )
    return status


async def _outcome(
    changes: asyncio.Queue[ViewChange], digest: str, on_status: Callable[[RolloutStatus], None]
) -> RolloutStatus | None:
    """Return the status that ends the wait; None when the Deployment is gone."""
    while (status := (await changes.get()).status) is not None:
        on_status(status)
        ended = status.stalled or status.phase is RolloutPhase.READY
        if ended and status.source_digest == digest:
            return status
    return None


SILENT = EventLog(
    structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
)
"""Who waits for one object is told of that, and not of the watch."""
