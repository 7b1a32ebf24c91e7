from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from pdwatch.core.observed import observed_deployment

DIGEST = "sha256:" + "a" * 64
CREATED = "2024-05-01T10:00:00Z"
STARTED = "2024-05-01T10:05:00Z"


DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "hello",
        "namespace": "dev",
        "uid": "11111111-2222-3333-4444-555555555555",
        "generation": 3,
        "creationTimestamp": CREATED,
        "labels": {"app.kubernetes.io/managed-by": "pdwatch"},
        "annotations": {"pdwatch.dev/source-digest": DIGEST},
        "managedFields": [{"manager": "pdwatch", "operation": "Apply"}],
    },
    "spec": {
        "replicas": 2,
        "template": {"spec": {"containers": [{"name": "workflow", "image": "hello:1-0"}]}},
    },
    "status": {
        "observedGeneration": 3,
        "replicas": 3,
        "updatedReplicas": 1,
        "readyReplicas": 2,
        "availableReplicas": 2,
    },
}


def with_condition(**condition: str) -> dict[str, Any]:
    manifest = deepcopy(DEPLOYMENT)
    manifest["status"]["conditions"] = [condition]
    return manifest


def test_a_deployment_is_read_with_all_its_counts() -> None:
    seen = observed_deployment(DEPLOYMENT)

    assert (seen.name, seen.namespace, seen.generation, seen.observed_generation) == ("hello", "dev", 3, 3)
    assert (seen.desired, seen.replicas, seen.updated, seen.ready, seen.available) == (2, 3, 1, 2, 2)
    assert (seen.source_digest, seen.image, seen.managed) == (DIGEST, "hello:1-0", True)
    assert seen.created_at == datetime(2024, 5, 1, 10, tzinfo=UTC)


def test_only_managed_fields_are_left_out_of_the_manifest() -> None:
    before = deepcopy(DEPLOYMENT)

    kept = observed_deployment(DEPLOYMENT).manifest

    assert before == DEPLOYMENT
    del before["metadata"]["managedFields"]
    assert kept == before


def test_a_deployment_without_status_has_nothing_yet() -> None:
    manifest = {key: value for key, value in DEPLOYMENT.items() if key != "status"}

    seen = observed_deployment(manifest)

    assert (seen.observed_generation, seen.replicas, seen.updated, seen.ready, seen.available) == (
        0,
        0,
        0,
        0,
        0,
    )


def test_a_deployment_of_somebody_else_is_not_managed() -> None:
    manifest = deepcopy(DEPLOYMENT)
    del manifest["metadata"]["labels"], manifest["metadata"]["annotations"]

    seen = observed_deployment(manifest)

    assert not seen.managed
    assert seen.source_digest is None


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param(
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
            {"deadline_exceeded": True},
            id="the progress deadline",
        ),
        pytest.param(
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
            {"rolled_out": True},
            id="a revision that was available in full",
        ),
        pytest.param(
            {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"},
            {},
            id="a rollout that goes on",
        ),
        pytest.param(
            {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"},
            {"failure": "exceeded quota"},
            id="a quota",
        ),
        pytest.param(
            {"type": "ReplicaFailure", "status": "False", "message": "exceeded quota"},
            {},
            id="a failure that is over",
        ),
    ],
)
def test_a_deployment_s_conditions_are_read(condition: dict[str, str], expected: dict[str, Any]) -> None:
    seen = observed_deployment(with_condition(**condition))

    nothing: dict[str, Any] = {"deadline_exceeded": False, "rolled_out": False, "failure": ""}
    assert {name: getattr(seen, name) for name in nothing} == nothing | expected
