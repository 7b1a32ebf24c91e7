"""Remembers at the first contact which cluster the daemon works for, and says so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pdwatch.core.backoff import backoff
from pdwatch.errors import PdwatchError
from pdwatch.logs import Event

if TYPE_CHECKING:
    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.logs import EventLog

RETRY_BASE_S = 0.5
RETRY_CAP_S = 30.0


async def pin(api: Api, *, log: EventLog) -> None:
    """Pin the cluster as soon as it can be reached; that it can't be is the watches' to report."""
    attempt = 0
    while True:
        try:
            identity = await api.pin()
            break
        except PdwatchError:
            await asyncio.sleep(backoff(attempt, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, jitter=0.5))
            attempt += 1
    log.emit(Event.CLUSTER_PINNED, context=api.context, server=api.server, uid=identity.uid)
    if identity.uid is None:
        log.emit(
            Event.CLUSTER_UNIDENTIFIED,
            message="namespace kube-system can't be read: another cluster is noticed only by its address or "
            "certificate",
            remedy="allow it: config/rbac.yaml has the rule",
        )
