"""What there is to remove of a workflow: what pdwatch made, and nothing of the same name that it did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdwatch.core.manifests import secret_name
from pdwatch.core.names import FIELD_MANAGER, MANAGED_BY_LABEL, NAME_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdwatch.core.model import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterObject:
    """An object that has the name of one of a workflow's; ``ours`` when pdwatch made it."""

    kind: str
    namespace: str
    name: str
    uid: str
    ours: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeployment:
    """What to remove, in this order, and what to leave since pdwatch did not make it."""

    remove: tuple[ClusterObject, ...] = ()
    leave: tuple[ClusterObject, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the workflow itself is not pdwatch's, so that nothing is removed."""
        return any(each.kind == "Deployment" for each in self.leave)


def object_names(workflow: str) -> tuple[tuple[str, str], ...]:
    """Return kind and name of every object that pdwatch makes for a workflow, in the order of their removal.

    The Deployment is last: a daemon that sees it go, because the workflow's directory has come back
    meanwhile, makes all of them anew, and nothing of that is removed any more.
    """
    return (("Service", workflow), ("Secret", secret_name(workflow)), ("Deployment", workflow))


def cluster_object(kind: str, manifest: Manifest, *, workflow: str) -> ClusterObject:
    """Read an object's metadata; pdwatch made it if it has the labels that pdwatch selects pods by."""
    metadata = manifest["metadata"]
    labels = metadata.get("labels") or {}
    return ClusterObject(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        ours=(labels.get(MANAGED_BY_LABEL), labels.get(NAME_LABEL)) == (FIELD_MANAGER, workflow),
    )


def undeployment(found: Iterable[ClusterObject]) -> Undeployment:
    """Decide what to remove of what was found."""
    objects = tuple(found)
    leave = tuple(each for each in objects if not each.ours)
    plan = Undeployment(remove=tuple(each for each in objects if each.ours), leave=leave)
    return Undeployment(leave=leave) if plan.refused else plan
