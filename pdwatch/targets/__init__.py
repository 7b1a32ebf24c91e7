"""Where workflows run: a cluster, or this machine. Each target brings the ports that revisions go through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pdwatch.core.model import TargetName
    from pdwatch.ports import (
        Cluster,
        ClusterView,
        ImageBuilder,
        ImagePublisher,
        ImageStore,
        PodLogs,
        RevisionHistory,
        Undeployer,
    )
    from pdwatch.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The ports of one target, connected."""

    name: TargetName
    builder: ImageBuilder
    publisher: ImagePublisher
    cluster: Cluster
    view: ClusterView
    pod_logs: PodLogs
    namespace: str
    """Where workflows go that neither they nor the settings give another."""
    secrets: bool
    """Whether local secrets are applied whatever the settings say."""
    run: Callable[[], Awaitable[None]]
    """Follow what runs, until cancelled."""
    take: Callable[[Settings], None] = lambda _: None
    """Go by reloaded settings from now on."""
    image_store: ImageStore | None = None
    """Where images pile up; None where none do."""
    history: RevisionHistory | None = None
    """What may be started again from ``image_store``; comes with it."""
    undeployer: Undeployer | None = None
    """Removes workflows; None where they end by themselves."""
