"""Whose objects are removed."""

from __future__ import annotations

import pytest

from pdwatch.core.undeploy import ClusterObject, cluster_object, object_names, undeployment

OURS = {"app.kubernetes.io/managed-by": "pdwatch", "app.kubernetes.io/name": "hello"}


@pytest.mark.parametrize(
    ("labels", "ours"),
    [
        pytest.param(OURS, True, id="both labels"),
        pytest.param({**OURS, "app.kubernetes.io/version": "1.0"}, True, id="and others"),
        pytest.param({**OURS, "app.kubernetes.io/managed-by": "helm"}, False, id="managed by another"),
        pytest.param({**OURS, "app.kubernetes.io/name": "other"}, False, id="of another workflow"),
        pytest.param(None, False, id="without labels"),
    ],
)
def test_an_object_is_pdwatchs_by_both_labels(labels: dict[str, str] | None, ours: bool):  # noqa: FBT001  # a table's column
    metadata = {"name": "hello", "namespace": "dev", "uid": "1", "labels": labels}
    assert cluster_object("Service", {"metadata": metadata}, workflow="hello").ours is ours


def found(kind: str, *, ours: bool) -> ClusterObject:
    return ClusterObject(kind=kind, namespace="dev", name="hello", uid=kind, ours=ours)


def test_what_pdwatch_made_is_removed_the_deployment_last():
    assert [kind for kind, _ in object_names("hello")] == ["Service", "Secret", "Deployment"]
    objects = [found(kind, ours=True) for kind, _ in object_names("hello")]
    assert undeployment(objects).remove == tuple(objects)


def test_a_service_of_somebody_elses_is_left_and_the_rest_is_removed():
    service, deployment = found("Service", ours=False), found("Deployment", ours=True)
    plan = undeployment([service, deployment])
    assert (plan.remove, plan.leave, plan.refused) == ((deployment,), (service,), False)


def test_nothing_is_removed_where_the_deployment_is_somebody_elses():
    plan = undeployment([found("Service", ours=True), found("Deployment", ours=False)])
    assert plan.remove == ()
    assert plan.refused
