"""Removes a workflow's objects; implements :class:`pdwatch.ports.Undeployer`."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from pdwatch.adapters.kubernetes.cluster import collection_path
from pdwatch.adapters.kubernetes.list_watch import Collection, ListWatch
from pdwatch.adapters.kubernetes.rollout_watch import SILENT
from pdwatch.core.undeploy import cluster_object, object_names, undeployment
from pdwatch.core.watching import Listed, Removed, Upserted
from pdwatch.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.undeploy import ClusterObject, Undeployment
    from pdwatch.core.watching import WatchChange

_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class ApiUndeployer:
    """Finds and removes what pdwatch made, over one connection."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def find(self, namespace: str, workflow: str) -> Undeployment:
        """Look which objects of the workflow there are, and whose they are.

        Raises:
            ClusterError: Or one of its subclasses, by cause.
        """
        found = [await self._look(kind, namespace, name, workflow) for kind, name in object_names(workflow)]
        return undeployment(filter(None, found))

    async def remove(self, objects: Sequence[ClusterObject]) -> None:
        """Remove objects; one that is gone is no error.

        The Deployment goes in the foreground: it is there until its last pod has ended.

        Raises:
            ClusterError: Or one of its subclasses, by cause; also when another has taken the place of one.
        """
        for each in objects:
            path = collection_path(each.kind, each.namespace)
            options = {
                "kind": "DeleteOptions",
                "apiVersion": "v1",
                "preconditions": {"uid": each.uid},
                "propagationPolicy": "Foreground",
            }
            try:
                await self._api.request("DELETE", f"{path}/{each.name}", body=options)
            except NotFoundError:
                continue

    async def gone(self, deployment: ClusterObject) -> None:
        """Return once a Deployment that was removed has gone, and with it all its pods.

        It outlasts an API server that goes away and comes back, so bound it with :func:`asyncio.timeout`.
        """
        collection = Collection(
            resource="deployments",
            path=collection_path(deployment.kind, deployment.namespace),
            selection={"fieldSelector": f"metadata.name={deployment.name}"},
        )
        async with aclosing(ListWatch(self._api, collection, log=SILENT).changes()) as changes:
            async for change in changes:
                if deployment.uid not in _uids(change):
                    return

    async def _look(self, kind: str, namespace: str, name: str, workflow: str) -> ClusterObject | None:
        """Return an object's metadata, by a patch of nothing that is not stored either.

        That needs no right beyond those to apply it, and no value of a Secret leaves the API server.
        """
        try:
            manifest = await self._api.request(
                "PATCH",
                f"{collection_path(kind, namespace)}/{name}",
                query={"dryRun": "All"},
                body={},
                content_type="application/merge-patch+json",
                accept=_METADATA,
            )
        except NotFoundError:
            return None
        return cluster_object(kind, manifest, workflow=workflow)


def _uids(change: WatchChange) -> set[str]:
    """Return the UIDs of what is there according to a change."""
    match change:
        case Listed(items=items):
            return {item["metadata"]["uid"] for item in items}
        case Upserted(manifest=manifest):
            return {manifest["metadata"]["uid"]}
        case Removed():
            return set()
