from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.model import RolloutPhase, ViewChange
from pdwatch.core.watching import Listed, NamespaceState, Removed, Upserted

DIGEST = "sha256:" + "a" * 64
Manifest = dict[str, Any]


def deployment(
    name: str = "hello", *, version: int = 10, uid: str = "1", generation: int = 1, available: int = 1
) -> Manifest:
    return {
        "metadata": {
            "name": name,
            "namespace": "dev",
            "uid": uid,
            "resourceVersion": str(version),
            "generation": generation,
            "annotations": {"pdwatch.dev/source-digest": DIGEST},
        },
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": "hello:1-0"}]}}},
        "status": {
            "observedGeneration": generation,
            "replicas": 1,
            "updatedReplicas": 1,
            "availableReplicas": available,
        },
    }


def pod(
    name: str = "hello-a", *, ready: bool = False, waiting: str | None = None, workflow: str = "hello"
) -> Manifest:
    reason = waiting or "ContainerCreating"
    return {
        "metadata": {
            "name": name,
            "namespace": "dev",
            "labels": {"app.kubernetes.io/name": workflow},
            "annotations": {"pdwatch.dev/source-digest": DIGEST},
        },
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [
                {"restartCount": 0, "ready": ready, "state": {"waiting": {"reason": reason}}}
            ],
        },
    }


SANDBOX = {
    "reason": "FailedCreatePodSandBox",
    "message": "no runtime",
    "lastTimestamp": "2024-05-01T10:00:00Z",
}


def listed(*items: Manifest, version: int = 100) -> Listed:
    return Listed(items=items, resource_version=str(version))


def synced(*deployments: Manifest, pods: tuple[Manifest, ...] = ()) -> NamespaceState:
    state = NamespaceState("dev")
    state.take_deployments(listed(*deployments))
    state.take_pods(listed(*pods))
    return state


def gone(name: str = "hello") -> ViewChange:
    return ViewChange(namespace="dev", name=name, deployment=None, status=None)


def phases(changes: list[ViewChange]) -> list[RolloutPhase | None]:
    return [change.status.phase if change.status else None for change in changes]


def test_nothing_is_told_before_both_kinds_are_listed() -> None:
    state = NamespaceState("dev")

    first = state.take_deployments(listed(deployment(available=0)))
    assert (first, state.synced) == ([], False)
    assert state.observe(deployment("other", version=11)) == []

    told = state.take_pods(listed(pod(waiting="ImagePullBackOff")))
    assert state.synced
    assert sorted(change.name for change in told) == ["hello", "other"]
    assert {change.status.reason for change in told if change.status} == {"ImagePullBackOff", ""}


def test_a_deployment_that_changes_is_told_even_if_its_rollout_does_not() -> None:
    state = synced(deployment())

    changed = state.take_deployments(Upserted(manifest=deployment(version=101)))

    assert phases(changed) == [RolloutPhase.READY]
    assert state.deployment("hello") is changed[0].deployment


def test_a_deployment_that_is_seen_twice_is_told_once() -> None:
    state = synced(deployment())
    applied = deployment(version=101, generation=2)

    assert len(state.observe(applied)) == 1
    assert state.take_deployments(Upserted(manifest=applied)) == []


def test_what_an_apply_returned_is_not_undone_by_a_watch_that_lags() -> None:
    state = synced(deployment())
    state.observe(deployment(version=103, generation=3))

    assert state.take_deployments(Upserted(manifest=deployment(version=102, generation=2))) == []

    known = state.deployment("hello")
    assert known is not None
    assert known.generation == 3


def test_a_list_from_before_an_apply_does_not_undo_it() -> None:
    state = synced()
    state.observe(deployment(version=103))

    assert state.take_deployments(listed(version=102)) == []
    assert state.deployment("hello") is not None


def test_a_deployment_that_a_list_misses_is_gone() -> None:
    state = synced(deployment(), deployment("other"))

    assert state.take_deployments(listed(deployment("other"), version=101)) == [gone()]
    assert state.deployment("hello") is None


def test_a_deployment_that_is_removed_is_gone_once() -> None:
    state = synced(deployment())

    assert state.take_deployments(Removed(manifest=deployment(version=101))) == [gone()]
    assert state.take_deployments(Removed(manifest=deployment(version=101))) == []


def test_the_removal_of_an_earlier_deployment_leaves_its_successor() -> None:
    state = synced(deployment())
    state.observe(deployment(version=105, uid="2"))

    assert state.take_deployments(Removed(manifest=deployment(version=104))) == []
    assert state.deployment("hello") is not None


def test_what_an_apply_returned_before_the_removal_stays_gone() -> None:
    state = synced(deployment())
    state.take_deployments(Removed(manifest=deployment(version=105)))

    assert state.observe(deployment(version=104)) == []
    assert state.deployment("hello") is None


def test_another_deployment_of_the_name_is_told_after_the_end_of_the_first() -> None:
    state = synced(deployment())

    told = state.take_deployments(Upserted(manifest=deployment(version=101, uid="2")))

    assert told[0] == gone()
    assert phases(told) == [None, RolloutPhase.READY]


def test_a_pod_is_told_only_where_it_changes_the_rollout() -> None:
    state = synced(deployment(available=0), pods=(pod(),))

    assert state.take_pods(Upserted(manifest=pod())) == []
    stalled = state.take_pods(Upserted(manifest=pod(waiting="ImagePullBackOff")))
    assert [(change.name, change.status and change.status.reason) for change in stalled] == [
        ("hello", "ImagePullBackOff")
    ]
    assert phases(state.take_pods(Removed(manifest=pod(waiting="ImagePullBackOff")))) == [
        RolloutPhase.PROGRESSING
    ]


def test_pods_that_a_list_misses_no_longer_count() -> None:
    state = synced(deployment(available=0), pods=(pod(waiting="ImagePullBackOff"),))

    assert phases(state.take_pods(listed())) == [RolloutPhase.PROGRESSING]


def test_a_pod_of_no_known_deployment_is_no_news() -> None:
    assert synced().take_pods(Upserted(manifest=pod(waiting="ImagePullBackOff"))) == []


def test_events_explain_a_puzzling_pod_until_it_is_ready() -> None:
    state = synced(deployment(available=0), pods=(pod(),))
    assert set(state.puzzling) == {"hello-a"}

    told = state.take_events("hello-a", [SANDBOX])
    assert [change.status and change.status.reason for change in told] == ["FailedCreatePodSandBox"]
    assert state.take_pods(Upserted(manifest=pod())) == [], (
        "the explanation outlives a change that says nothing"
    )

    assert phases(state.take_pods(Upserted(manifest=pod(ready=True)))) == [RolloutPhase.PROGRESSING]
    assert not state.puzzling


def test_events_about_a_pod_that_is_gone_or_says_why_itself_are_ignored() -> None:
    state = synced(deployment(available=0), pods=(pod("hello-b", waiting="ImagePullBackOff"),))

    assert not state.puzzling
    assert state.take_events("hello-a", [SANDBOX]) == []
    assert state.take_events("hello-b", [SANDBOX]) == []


def test_the_list_of_pods_forgets_events_of_pods_that_are_gone() -> None:
    state = synced(deployment(available=0), pods=(pod(),))
    state.take_events("hello-a", [SANDBOX])

    state.take_pods(listed())

    assert phases(state.take_pods(listed(pod()))) == []
    assert set(state.puzzling) == {"hello-a"}


names = st.sampled_from(["a", "b", "c"])
histories = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), names),
        st.tuples(st.just("delete"), names),
        st.tuples(st.just("relist"), names),
    ),
    max_size=20,
)


@given(histories, st.data())
def test_in_the_end_the_state_is_what_the_server_has(
    history: list[tuple[str, str]], data: st.DataObject
) -> None:
    """The watch lags behind what applies return, by any number of events, and is made good by lists."""
    state, server, version = synced(), {}, 100
    lagging: list[Upserted | Removed] = []
    known_of: dict[str, bool] = {}

    def take(change: Listed | Upserted | Removed) -> None:
        for told in state.take_deployments(change):
            known_of[told.name] = told.deployment is not None

    for kind, name in history:
        version += 1
        if kind == "apply":
            server[name] = deployment(name, version=version, uid=f"{name}-{version}")
            lagging.append(Upserted(manifest=server[name]))
            for told in state.observe(server[name]):
                known_of[told.name] = told.deployment is not None
        elif kind == "delete" and name in server:
            del server[name]
            lagging.append(Removed(manifest=deployment(name, version=version)))
        elif kind == "relist":
            lagging.clear()
            take(listed(*server.values(), version=version))
        for _ in range(data.draw(st.integers(0, len(lagging)))):
            take(lagging.pop(0))
    for change in lagging:
        take(change)

    observed = {name: state.deployment(name) for name in "abc"}
    assert {name: seen.uid for name, seen in observed.items() if seen} == {
        name: manifest["metadata"]["uid"] for name, manifest in server.items()
    }
    assert {name for name, known in known_of.items() if known} == server.keys()
