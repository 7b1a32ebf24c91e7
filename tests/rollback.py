"""Rolls back in a cluster in memory, as ``pdwatch rollback`` does."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from pdwatch.core.names import DIGEST_ANNOTATION, ROLLED_BACK_ANNOTATION

if TYPE_CHECKING:
    from tests.world import FakeCluster


def roll_back(cluster: FakeCluster, name: str) -> None:
    """Return a Deployment to the digest that was applied before its present one, if there is one."""
    present = cluster.digest(name)
    earlier = [digest for applied, digest in cluster.applied if applied == name and digest != present]
    if present is None or not earlier:
        return
    changed = copy.deepcopy(cluster.deployments[name])
    annotations = changed["metadata"]["annotations"]
    annotations.setdefault(ROLLED_BACK_ANNOTATION, present)
    annotations[DIGEST_ANNOTATION] = earlier[-1]
    changed["spec"]["template"]["metadata"]["annotations"][DIGEST_ANNOTATION] = earlier[-1]
    if annotations[ROLLED_BACK_ANNOTATION] == earlier[-1]:
        del annotations[ROLLED_BACK_ANNOTATION]
    cluster.store(changed)


def release(cluster: FakeCluster, name: str) -> None:
    """End the hold, which does not change the Deployment's generation."""
    changed = copy.deepcopy(cluster.deployments[name])
    del changed["metadata"]["annotations"][ROLLED_BACK_ANNOTATION]
    cluster.store(changed)


def held_from(cluster: FakeCluster, name: str) -> str | None:
    """Return the digest that a Deployment is held away from."""
    annotations = cluster.deployments[name]["metadata"]["annotations"] if name in cluster.deployments else {}
    digest: str | None = annotations.get(ROLLED_BACK_ANNOTATION)
    return digest
