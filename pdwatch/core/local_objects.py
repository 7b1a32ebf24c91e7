"""What an API server would say of a workflow whose engine is a process here.

The view of the local target is fed with these objects, so that one and the same code judges rollouts wherever
they take place. One engine stands for however many replicas are asked for; none asked for is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pdwatch.core.names import DIGEST_ANNOTATION
from pdwatch.core.observed import CRASH_LOOP, PROCESS_ID

if TYPE_CHECKING:
    from datetime import datetime

    from pdwatch.core.model import Manifest


_SIGNALLED = 128
"""A process that a signal ended has this and the signal's number as its exit code, as in a container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """How an engine ended that should not have; ``status`` negative is the signal that ended it."""

    status: int
    restarts: int


def stored(manifest: Manifest, *, before: Manifest | None, uid: str, version: int, now: datetime) -> Manifest:
    """Return a Deployment as it is stored when it is applied.

    Args:
        manifest: What is applied.
        before: What was stored until now; None when nothing was.
        uid: Of a new object.
        version: The resourceVersion, which grows with every change.
        now: The time.
    """
    known = before["metadata"] if before else {}
    changed = before is None or before["spec"] != manifest["spec"]
    return {
        **manifest,
        "metadata": {
            **manifest["metadata"],
            "uid": known.get("uid", uid),
            "creationTimestamp": known.get("creationTimestamp", now.isoformat()),
            "generation": known.get("generation", 0) + changed,
            "resourceVersion": str(version),
        },
        "status": before["status"] if before else {},
    }


def with_status(
    deployment: Manifest, *, new_ready: bool, old_serves: bool, rolled_out: bool, version: int
) -> Manifest:
    """Return a stored Deployment with the status that its engines give it.

    Args:
        deployment: The stored one.
        new_ready: Whether the engine of the current generation answers.
        old_serves: Whether an older one does meanwhile.
        rolled_out: Whether this generation was complete once.
        version: The new resourceVersion.
    """
    wanted = deployment["spec"].get("replicas", 1)
    ready = wanted if new_ready else int(old_serves)
    reason = "NewReplicaSetAvailable" if rolled_out else "ReplicaSetUpdated"
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": wanted + int(old_serves),
        "updatedReplicas": wanted,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "conditions": [{"type": "Progressing", "status": "True", "reason": reason}],
    }
    metadata = {**deployment["metadata"], "resourceVersion": str(version)}
    return {**deployment, "metadata": metadata, "status": status}


def pod(deployment: Manifest, *, name: str, ready: bool, crash: Crash | None, since: datetime) -> Manifest:
    """Return the Pod that an engine would be.

    Args:
        deployment: The stored Deployment that it belongs to.
        name: The Pod's name.
        ready: Whether it answers.
        crash: How its last process ended, if it did.
        since: When it was first started.
    """
    template = deployment["spec"]["template"]["metadata"]
    container: dict[str, Any] = {
        "name": deployment["metadata"]["name"],
        "containerID": f"{PROCESS_ID}{name}",
        "restartCount": 0,
    }
    if crash is not None:
        code = crash.status if crash.status >= 0 else _SIGNALLED - crash.status
        container |= {
            "restartCount": crash.restarts,
            "lastState": {"terminated": {"exitCode": code}},
            "state": {} if ready else {"waiting": {"reason": CRASH_LOOP}},
        }
    return {
        "metadata": {
            "name": name,
            "namespace": deployment["metadata"]["namespace"],
            "labels": template["labels"],
            "annotations": {DIGEST_ANNOTATION: template["annotations"][DIGEST_ANNOTATION]},
            "creationTimestamp": since.isoformat(),
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [container],
        },
    }
