"""Undeploys from a cluster in memory: Services and Deployments, each request in its time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdwatch.core.undeploy import ClusterObject, Undeployment, undeployment
from pdwatch.errors import ClusterUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.world import FakeCluster


@dataclass(slots=True)
class FakeUndeployer:
    """Implements :class:`pdwatch.ports.Undeployer`."""

    cluster: FakeCluster

    async def find(self, namespace: str, workflow: str) -> Undeployment:
        there = {
            "Service": workflow in self.cluster.services,
            "Deployment": workflow in self.cluster.deployments,
        }
        return undeployment(
            ClusterObject(kind=kind, namespace=namespace, name=workflow, uid=kind, ours=True)
            for kind, is_there in there.items()
            if is_there
        )

    async def remove(self, objects: Sequence[ClusterObject]) -> None:
        for each in objects:
            await asyncio.sleep(self.cluster.apply_s)
            if self.cluster.down:
                raise ClusterUnavailableError("the API server is down")
            if each.kind == "Service":
                self.cluster.services.discard(each.name)
            else:
                self.cluster.delete(each.name)
