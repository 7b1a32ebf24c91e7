"""The decision: what to do for a workflow, given what is on disk and what is in the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from pdwatch.core.drift import FieldChange
    from pdwatch.core.image_lack import ImageLack
    from pdwatch.core.model import ImageRef, ObservedDeployment, Problem, SourceSnapshot


ROLLED_BACK = "rolled-back"
"""The reason of a hold that ``pdwatch rollback`` asked for."""
IMAGE_UNREACHABLE = "image-unreachable"
"""The reason of a hold while a node can't get an image that Docker has."""


class Cause(StrEnum):
    """Why a rollout is needed."""

    CREATED = "created"
    """There is no Deployment: a new workflow, or somebody deleted it."""
    CHANGED = "changed"
    """The Deployment was made from other sources, or by another engine."""
    RELOCATED = "relocated"
    """The settings now put the image into another repository."""
    IMAGE_MISSING = "image-missing"
    """The sources are deployed, but their image is gone, and pods wait for it."""
    DRIFTED = "drifted"
    """The sources are deployed, but somebody changed a field that pdwatch owns."""
    RELEASED = "released"
    """What it was rolled back to has been saved, and is no longer held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpToDate:
    """What is saved is what the cluster was told to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """The workflow has problems; what runs keeps running."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The workflow is valid, but pdwatch must not act: ``reason`` is a stable word.

    ``retry`` is false when only a save or a person ends it, so that looking again by itself is of no use.
    """

    reason: str
    message: str
    remedy: str | None = None
    retry: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Apply the workflow; build its image first unless only fields drifted.

    ``force`` takes fields back from other field managers, which is right only for a Deployment that pdwatch
    made itself.
    """

    cause: Cause
    build: bool = True
    force: bool = False
    changes: tuple[FieldChange, ...] = ()


Plan: TypeAlias = UpToDate | Invalid | Held | Rollout


def plan(
    snapshot: SourceSnapshot,
    observed: ObservedDeployment | None,
    *,
    relocated: bool = False,
    changes: tuple[FieldChange, ...] = (),
    claimed_by: Path | None = None,
    lack: ImageLack | None = None,
) -> Plan:
    """Decide what to do for one workflow.

    Args:
        snapshot: The directory as it is now.
        observed: The workflow's Deployment as last seen; None when there is none that pdwatch manages.
        relocated: Whether the deployed image lies elsewhere than the settings say.
        changes: How the Deployment differs from the manifest that pdwatch would apply for it.
        claimed_by: Another directory whose workflow already has this name in this namespace.
        lack: The image that pods made from the snapshot can't get, if they can't.
    """
    if snapshot.problems:
        return Invalid(problems=snapshot.problems)
    if claimed_by is not None:
        return Held(
            reason="duplicate-name",
            message=f"the workflow in {claimed_by} has the name {snapshot.name} too, in the same namespace",
            remedy="rename one of them, or give it a namespace of its own under deployment.namespace",
        )
    if observed is None:
        return Rollout(cause=Cause.CREATED)
    if is_rolled_back(observed, snapshot.digest):
        release = f"pdwatch rollback {snapshot.name} -n {observed.namespace} --release"
        return Held(
            reason=ROLLED_BACK,
            message=f"{snapshot.name} was rolled back from what is saved to {observed.source_digest}",
            remedy=f"save a change, or roll out what is saved: `{release}`",
            retry=False,
        )
    return _correction(snapshot.digest, observed, relocated=relocated, changes=changes, lack=lack)


def is_rolled_back(observed: ObservedDeployment, digest: str) -> bool:
    """Tell whether the Deployment is held away from ``digest`` (docs/adr/0017-rollback.md)."""
    return observed.rolled_back_from == digest != observed.source_digest


def _correction(
    digest: str,
    observed: ObservedDeployment,
    *,
    relocated: bool,
    changes: tuple[FieldChange, ...],
    lack: ImageLack | None,
) -> Rollout | Held | UpToDate:
    if observed.source_digest != digest:
        return Rollout(cause=Cause.CHANGED, force=True)
    if relocated:
        return Rollout(cause=Cause.RELOCATED, force=True)
    if lack is not None and lack.gone:
        return Rollout(cause=Cause.IMAGE_MISSING, force=True, changes=changes)
    if changes:
        return Rollout(cause=Cause.DRIFTED, build=False, force=True, changes=changes)
    if observed.rolled_back_from is not None:
        return Rollout(cause=Cause.RELEASED, build=False, force=True)
    return _unreachable(lack.ref) if lack is not None and lack.out_of_reach else UpToDate()


def _unreachable(ref: ImageRef) -> Held:
    return Held(
        reason=IMAGE_UNREACHABLE,
        message=f"Docker has {ref}, but the node can't get it: it seems to use another Docker",
        remedy="let the cluster use the Docker that pdwatch builds with, or set a `registry` that both reach",
    )
