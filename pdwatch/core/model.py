"""The values that pdwatch's decisions are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

Manifest: TypeAlias = "dict[str, Any]"
"""A Kubernetes object as JSON."""
TargetName: TypeAlias = Literal["kubernetes", "local"]
"""Where workflows run: in a cluster, or as processes of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong in a workflow directory, in words that say what to do.

    ``path`` is relative to the workflow directory, ``line`` and ``column`` count from 1, ``where`` is the
    dotted place inside the file (``nodes.summarize.path``) or empty.
    """

    path: str
    line: int | None = None
    column: int | None = None
    where: str = ""
    message: str

    def __str__(self) -> str:
        position = ":".join(str(part) for part in (self.path, self.line, self.column) if part is not None)
        return f"{position}: {self.where}: {self.message}" if self.where else f"{position}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What starts a workflow: ``schedule`` belongs to cron, ``path`` to webhook."""

    type: Literal["manual", "cron", "webhook"]
    schedule: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One step of a workflow; ``path`` as written, ``net`` the declared hosts or None when undeclared."""

    id: str
    path: str
    config: Mapping[str, Any] = field(default_factory=dict)
    net: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """``target`` needs the output of ``source``."""

    source: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Container resources as Kubernetes quantities; the defaults are the seed's."""

    requests: Mapping[str, str] = field(default_factory=lambda: {"memory": "64Mi", "cpu": "100m"})
    limits: Mapping[str, str] = field(default_factory=lambda: {"memory": "256Mi", "cpu": "500m"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentOptions:
    """The ``deployment`` section of workflow.yaml; ``namespace`` None leaves it to the settings."""

    namespace: str | None = None
    replicas: int = 1
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSpec:
    """A valid workflow.yaml. Nodes are sorted by id."""

    name: str
    version: str
    description: str | None = None
    triggers: tuple[Trigger, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    timeout_ms: int = 30_000
    retries: int = 0
    include: tuple[str, ...] = ()
    deployment: DeploymentOptions = field(default_factory=DeploymentOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file that is shipped: POSIX ``path`` under the root, ``size`` in bytes, hex SHA-256 ``digest``.

    A symbolic link that is shipped as one has as its ``target`` where it leads to, from where it lies;
    its digest is the target's, its size 0.
    """

    path: str
    size: int
    digest: str
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSnapshot:
    """A workflow directory as it was at one instant.

    ``files`` are sorted by path; ``digest`` is ``sha256:<64 hex>`` over everything that pdwatch puts into the
    image (see :func:`pdwatch.core.sources.source_digest`). ``spec`` is None exactly when ``problems`` is not
    empty. ``name`` is the workflow's, or the directory's while workflow.yaml can't be read. ``links`` are
    the paths outside the allow-list that symbolic links inside it lead to: a change there is one here.
    """

    name: str
    root: Path
    files: tuple[SourceFile, ...]
    digest: str
    spec: WorkflowSpec | None
    problems: tuple[Problem, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """An OCI image reference ``repository:tag@digest``; ``digest`` is ``sha256:<64 hex>`` once pushed."""

    repository: str
    tag: str
    digest: str | None = None

    def __str__(self) -> str:
        pinned = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}:{self.tag}{pinned}"


@dataclass(frozen=True, slots=True)
class Turn:
    """What several builds may share: so many of them take no more at once than a single one does."""

    number: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build: a valid snapshot, the base image, and every reference the image gets.

    ``tags[0]`` is the immutable one that a Deployment may name; the others move with each build. The
    images of builds that share a ``turn`` may be made in one go.
    """

    snapshot: SourceSnapshot
    tags: tuple[ImageRef, ...]
    base: str = "denoland/deno:distroless"
    turn: Turn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """An image in the local daemon.

    ``id`` is ``sha256:<64 hex>`` of its config; ``cached`` says that it was there already, and ``builder``
    what made it if not.
    """

    id: str
    tags: tuple[ImageRef, ...]
    cached: bool = False
    builder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPod:
    """What matters of a Pod: whose template it came from (``source_digest``) and why it is not ready.

    ``reason`` and ``message`` come from the container's waiting or terminated state, from a condition, or
    from an event, whichever explains most; both are empty for a healthy pod.
    """

    name: str
    namespace: str
    workflow: str
    source_digest: str | None
    phase: str
    ready: bool
    restarts: int = 0
    reason: str = ""
    message: str = ""
    terminating: bool = False
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedDeployment:
    """What matters of a Deployment; ``manifest`` is the object as the API server returned it.

    Only ``metadata.managedFields`` is left out of ``manifest``.
    """

    name: str
    namespace: str
    uid: str
    generation: int
    observed_generation: int
    source_digest: str | None
    image: str | None
    desired: int
    replicas: int
    updated: int
    ready: int
    available: int
    managed: bool
    """Whether pdwatch made it: it carries ``app.kubernetes.io/managed-by: pdwatch``."""
    created_at: datetime | None
    rolled_out: bool = False
    """Whether this revision was available in full once (condition Progressing: NewReplicaSetAvailable)."""
    paused: bool = False
    deadline_exceeded: bool = False
    failure: str = ""
    """The message of condition ReplicaFailure (quota, admission), or empty."""
    rolled_back_from: str | None = None
    """The source digest that it was rolled back from and is held away from; see docs/adr/0017-rollback.md."""
    manifest: Manifest


class RolloutPhase(StrEnum):
    """The states of a rollout; the words of ``pdwatch status``."""

    READY = "ready"
    PROGRESSING = "progressing"
    DEGRADED = "degraded"
    """It was rolled out, or an older revision serves, but not everything wanted is available."""
    NOT_READY = "not ready"
    """Nothing serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStatus:
    """Where a rollout stands; ``stalled`` when it will not go on without somebody's help, with the reason."""

    phase: RolloutPhase
    stalled: bool = False
    generation: int
    source_digest: str | None
    desired: int
    updated: int
    ready: int
    available: int
    reason: str = ""
    message: str = ""
    pod: str | None = None
    """The pod that ``reason`` is about."""
    running: tuple[str, ...] = ()
    """The source digests of the pods that are ready, of any revision, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a workflow runs. No two have the same: a namespace of a cluster is none of this machine's."""

    target: TargetName
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewChange:
    """What has become of one Deployment; both are None once it is gone."""

    namespace: str
    name: str
    deployment: ObservedDeployment | None
    status: RolloutStatus | None
    seen_at: float | None = None
    """When it arrived, in loop time (seconds); None where nobody has taken note."""
