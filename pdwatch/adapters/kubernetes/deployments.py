"""Looks up one workflow's Deployment, and what its ReplicaSets remember."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdwatch.core.names import FIELD_MANAGER, MANAGED_SELECTOR, NAME_LABEL
from pdwatch.core.observed import observed_deployment
from pdwatch.core.suggestion import did_you_mean
from pdwatch.errors import ForbiddenError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import Manifest, ObservedDeployment

_LIST_LIMIT = 500


async def find_deployment(api: Api, namespace: str, name: str) -> ObservedDeployment:
    """Return the Deployment of a workflow, whoever made it.

    Raises:
        NotFoundError: There is none; the message suggests the workflows that are deployed there.
        ClusterError: Or one of its subclasses, by cause.
    """
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    try:
        return observed_deployment(await api.request("GET", f"{path}/{name}"))
    except NotFoundError as error:
        raise await no_workflow(api, namespace, name) from error


async def no_workflow(api: Api, namespace: str, name: str) -> NotFoundError:
    """Return the error for a workflow that is not deployed, with what is.

    Raises:
        ClusterError: Or one of its subclasses, by cause.
    """
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    query = {"labelSelector": MANAGED_SELECTOR, "limit": str(_LIST_LIMIT)}
    found = await api.request("GET", path, query=query)
    known = sorted(each["metadata"]["name"] for each in found.get("items") or ())
    return NotFoundError(
        f"there is no workflow {name} in namespace {namespace}{did_you_mean(name, known)}",
        remedy=f"deployed there: {', '.join(known)}"
        if known
        else "none is deployed there; --namespace and --context choose another place to look",
    )


async def replica_sets(api: Api, name: str | None, *, namespace: str | None) -> Sequence[Manifest]:
    """Return the ReplicaSets (apps/v1) that Kubernetes keeps for a workflow, in a namespace.

    Without a name they are those of all workflows; without a namespace, of all namespaces.

    Raises:
        ForbiddenError: RBAC does not let them be listed there.
        ClusterError: Or another of its subclasses, by cause.
    """
    where = "" if namespace is None else f"/namespaces/{namespace}"
    selector = MANAGED_SELECTOR if name is None else f"{MANAGED_SELECTOR},{NAME_LABEL}={name}"
    found = await api.request("GET", f"/apis/apps/v1{where}/replicasets", query={"labelSelector": selector})
    items: Sequence[Manifest] = found.get("items") or ()
    return items


async def remembered_images(api: Api, name: str | None = None, *, namespace: str | None) -> frozenset[str]:
    """Return the references of the images that ReplicaSets name; see :func:`replica_sets`."""
    return frozenset(
        container["image"]
        for each in await replica_sets(api, name, namespace=namespace)
        for container in each["spec"]["template"]["spec"]["containers"]
    )


class ApiRevisionHistory:
    """Knows what ReplicaSets name; implements :class:`pdwatch.ports.RevisionHistory`."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._sees_all = True

    async def images(self, namespace: str, workflow: str) -> frozenset[str]:
        """Return what ReplicaSets in all namespaces name, or in this one where no more may be seen.

        Raises:
            ClusterError: Or one of its subclasses, by cause.
        """
        if self._sees_all:
            try:
                return await remembered_images(self._api, workflow, namespace=None)
            except ForbiddenError:
                self._sees_all = False
        return await remembered_images(self._api, workflow, namespace=namespace)


async def remove_annotation(api: Api, deployment: ObservedDeployment, key: str) -> Manifest:
    """Take an annotation off a Deployment, whoever set it; return the object as stored.

    Raises:
        NotFoundError: It is gone.
        ClusterError: Or one of its subclasses, by cause; also when another has taken its place.
    """
    return await api.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{deployment.namespace}/deployments/{deployment.name}",
        query={"fieldManager": FIELD_MANAGER},
        body={"metadata": {"uid": deployment.uid, "annotations": {key: None}}},
        content_type="application/merge-patch+json",
    )
