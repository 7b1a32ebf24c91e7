"""The rights that pdwatch needs in a cluster: one table for config/rbac.yaml and for the cluster check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Verbs on one resource, written as in an RBAC rule; ``why`` completes "needed to …"."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


NAMESPACE_RIGHTS = (
    Right(
        group="apps",
        resource="deployments",
        verbs=("create", "get", "list", "patch", "watch"),
        why="apply workflows and see what runs",
    ),
    Right(
        group="apps",
        resource="replicasets",
        verbs=("list",),
        why="roll back, and keep the images that can be rolled back to",
    ),
    Right(group="", resource="services", verbs=("create", "patch"), why="give workflows an address"),
    Right(group="", resource="secrets", verbs=("create", "patch"), why="apply local secrets (--secrets)"),
    Right(group="apps", resource="deployments", verbs=("delete",), why="undeploy workflows"),
    Right(group="", resource="services", verbs=("delete",), why="undeploy workflows"),
    Right(group="", resource="secrets", verbs=("delete",), why="undeploy workflows"),
    Right(group="", resource="pods", verbs=("get", "list", "watch"), why="follow rollouts"),
    Right(group="", resource="pods/log", verbs=("get",), why="show why a pod crashes"),
    Right(group="", resource="events", verbs=("list",), why="say why a pod does not start"),
)
"""In every namespace that workflows go to. A server-side apply is a patch, and a create for a new object."""

CLUSTER_RIGHTS = (
    Right(
        group="node.k8s.io",
        resource="runtimeclasses",
        verbs=("get",),
        why="check that workflows run under gVisor",
    ),
)
"""On objects that belong to no namespace."""
