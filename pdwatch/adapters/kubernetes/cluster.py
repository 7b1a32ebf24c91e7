"""Writes to the API server; implements :class:`pdwatch.ports.Cluster`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdwatch.adapters.kubernetes.shared_attempts import SharedAttempts
from pdwatch.core.names import FIELD_MANAGER, RUNTIME_CLASS
from pdwatch.errors import GvisorMissingError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import Manifest

APPLY_PATCH = "application/apply-patch+yaml"
"""Server-side apply; the body may be JSON, which is YAML too."""
_COLLECTIONS: Mapping[str, str] = {
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
}


def collection_path(kind: str, namespace: str) -> str:
    """Return the path of a namespace's Deployments, Services or Secrets."""
    return _COLLECTIONS[kind].format(namespace=namespace)


class ApiCluster:
    """Applies manifests over one connection."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._finding_gvisor = SharedAttempts()
        self._gvisor_found_at: int | None = None
        """The guard's doubts when RuntimeClass ``gvisor`` was found, which holds until it has another."""

    def doubt(self) -> None:
        """Take note that pods don't start, which may be since RuntimeClass ``gvisor`` is gone."""
        self._gvisor_found_at = None

    async def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        """Server-side apply with field manager ``pdwatch``; returns the object as stored.

        Args:
            manifest: A Deployment, a Service or a Secret.
            force: Take fields over that another manager owns.

        Raises:
            ApplyConflictError: Another manager owns a field, and ``force`` is off.
            ApplyRejectedError: The API server finds the manifest invalid.
            NamespaceMissingError: Its namespace does not exist.
            ClusterError: Or another of its subclasses, by cause.
        """
        metadata = manifest["metadata"]
        collection = collection_path(manifest["kind"], metadata["namespace"])
        return await self._api.request(
            "PATCH",
            f"{collection}/{metadata['name']}",
            query={"fieldManager": FIELD_MANAGER, "force": str(force).lower()},
            body=manifest,
            content_type=APPLY_PATCH,
        )

    async def require_gvisor(self) -> None:
        """Return when workflows can be applied: pdwatch may write, and RuntimeClass ``gvisor`` exists.

        A RuntimeClass that was found is asked for again only when there is a :meth:`doubt`, or when the
        connection's guard has one: a save makes no request for it.

        Raises:
            ContextNotAllowedError: The context does not look local, and nobody has allowed it.
            ClusterChangedError: It is not the cluster of the first contact.
            GvisorMissingError: There is no such RuntimeClass.
            ClusterError: Or another of its subclasses, by cause.
        """
        await self._api.require_writable()
        async with self._finding_gvisor.attempt():
            doubts = self._api.guard.doubts
            if self._gvisor_found_at != doubts:
                await require_runtime_class(self._api)
                self._gvisor_found_at = doubts


async def require_runtime_class(api: Api) -> None:
    """Return when RuntimeClass ``gvisor`` exists.

    Raises:
        GvisorMissingError: It does not.
        ClusterError: Or another of its subclasses, by cause.
    """
    try:
        await api.request("GET", f"/apis/node.k8s.io/v1/runtimeclasses/{RUNTIME_CLASS}")
    except NotFoundError as error:
        raise GvisorMissingError(
            f"the cluster has no RuntimeClass {RUNTIME_CLASS}, and workflows run under gVisor only",
            remedy="install gVisor on the nodes (https://gvisor.dev/docs/user_guide/install/) and create "
            f"RuntimeClass {RUNTIME_CLASS} with the handler that it has there, runsc as a rule",
        ) from error
