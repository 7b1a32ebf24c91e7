from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.drift import FieldChange, drift
from pdwatch.core.manifests import deployment, service
from pdwatch.core.model import DeploymentOptions, ImageRef, Resources, WorkflowSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdwatch.core.model import Manifest

SPEC = WorkflowSpec(name="hello", version="1.0", triggers=(), nodes=())
IMAGE = ImageRef(repository="hello", tag="1-0-abc")
DESIRED = deployment(SPEC, digest="sha256:1", image=IMAGE, namespace="dev")
CONTAINER = 'spec.template.spec.containers[name="hello"]'


def container(manifest: Manifest) -> Any:
    return manifest["spec"]["template"]["spec"]["containers"][0]


def changed(change: Callable[[Manifest], object], desired: Manifest = DESIRED) -> tuple[FieldChange, ...]:
    observed = copy.deepcopy(desired)
    change(observed)
    return drift(desired, observed)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param(lambda m: m["spec"].update(replicas=3), "spec.replicas", id="scaled"),
        pytest.param(lambda m: container(m).update(image="nginx"), f"{CONTAINER}.image", id="image set"),
        pytest.param(
            lambda m: m["metadata"]["labels"].pop("app.kubernetes.io/version"),
            "metadata.labels.app.kubernetes.io/version",
            id="label removed",
        ),
        pytest.param(
            lambda m: m["spec"]["template"]["spec"].pop("runtimeClassName"),
            "spec.template.spec.runtimeClassName",
            id="gVisor taken away",
        ),
        pytest.param(
            lambda m: container(m)["resources"]["limits"].update(memory="512Mi"),
            f"{CONTAINER}.resources.limits.memory",
            id="memory raised",
        ),
        pytest.param(
            lambda m: container(m)["resources"]["limits"].update(memory="99E"),
            f"{CONTAINER}.resources.limits.memory",
            id="memory beyond all bounds",
        ),
        pytest.param(
            lambda m: container(m)["securityContext"]["capabilities"].update(drop=["ALL", "CHOWN"]),
            f"{CONTAINER}.securityContext.capabilities.drop",
            id="a list that is one value",
        ),
        pytest.param(
            lambda m: container(m)["volumeMounts"].pop(0),
            f'{CONTAINER}.volumeMounts[mountPath="/app/secrets"]',
            id="mount removed",
        ),
        pytest.param(
            lambda m: container(m)["ports"][0].update(containerPort=80),
            f'{CONTAINER}.ports[containerPort=8080,protocol="TCP"]',
            id="port changed",
        ),
        pytest.param(lambda m: m["spec"].pop("strategy"), "spec.strategy", id="a whole branch removed"),
    ],
)
def test_a_change_to_a_field_that_pdwatch_sets_is_drift_and_named(
    change: Callable[[Manifest], object], path: str
) -> None:
    assert [found.path for found in changed(change)] == [path]


def test_a_change_says_what_was_wanted_and_what_is_there() -> None:
    assert changed(lambda m: m["spec"].update(replicas=3)) == (
        FieldChange(path="spec.replicas", desired=1, observed=3),
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda m: m["metadata"]["labels"].update(team="red"), id="label added"),
        pytest.param(lambda m: m.update(status={"replicas": 1}), id="status"),
        pytest.param(lambda m: container(m).update(terminationMessagePath="/dev/x"), id="default filled in"),
        pytest.param(
            lambda m: m["spec"]["template"]["spec"]["containers"].insert(0, {"name": "sidecar"}),
            id="sidecar injected",
        ),
        pytest.param(lambda m: container(m)["volumeMounts"].reverse(), id="items in another order"),
        pytest.param(
            lambda m: container(m)["resources"]["limits"].update(memory="262144Ki", cpu="0.5"),
            id="quantities written otherwise",
        ),
        pytest.param(lambda m: [m.pop("kind"), m.pop("apiVersion")], id="an item of a list"),
    ],
)
def test_what_others_add_and_what_means_the_same_is_no_drift(change: Callable[[Manifest], object]) -> None:
    assert changed(change) == ()


def test_the_ports_of_a_service_are_told_apart_by_number_and_protocol() -> None:
    desired = service(SPEC, namespace="dev")
    changes = changed(lambda m: m["spec"]["ports"].insert(0, {"port": 53, "protocol": "UDP"}), desired)
    assert changes == ()
    changes = changed(lambda m: m["spec"]["ports"][0].update(targetPort=80), desired)
    assert [change.path for change in changes] == ['spec.ports[port=8080,protocol="TCP"].targetPort']


def leaves(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        return [leaf for key in value for leaf in leaves(value[key], (*at, key))]
    if isinstance(value, list):
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, (*at, index))]
    return [at]


@given(
    replicas=st.integers(0, 100),
    memory=st.sampled_from(["64Mi", "1Gi", "0.5Gi", "1e8"]),
    leaf=st.integers(0, 10_000),
)
def test_no_field_can_change_unseen(replicas: int, memory: str, leaf: int) -> None:
    options = DeploymentOptions(replicas=replicas, resources=Resources(limits={"memory": memory}))
    spec = WorkflowSpec(name="hello", version="1.0", triggers=(), nodes=(), deployment=options)
    desired = deployment(spec, digest="sha256:1", image=IMAGE, namespace="dev")
    observed = copy.deepcopy(desired)
    assert drift(desired, observed) == ()
    fields = [path for path in leaves(desired) if path[0] not in ("apiVersion", "kind")]
    *parents, last = fields[leaf % len(fields)]
    target = observed
    for part in parents:
        target = target[part]
    target[last] = "changed by somebody"
    assert drift(desired, observed)
