from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.model import ObservedDeployment, ObservedPod, RolloutPhase, RolloutStatus
from pdwatch.core.rollout import RolloutTransition, rollout_status, transitions

READY, PROGRESSING = RolloutPhase.READY, RolloutPhase.PROGRESSING
DEGRADED, NOT_READY = RolloutPhase.DEGRADED, RolloutPhase.NOT_READY
NEW, OLD = "sha256:new", "sha256:old"
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def deployment(**changes: Any) -> ObservedDeployment:
    """A Deployment of one replica whose rollout is complete, but for ``changes``."""
    complete: dict[str, Any] = {
        "name": "hello",
        "namespace": "dev",
        "uid": "1",
        "generation": 2,
        "observed_generation": 2,
        "source_digest": NEW,
        "image": "hello:1-0",
        "desired": 1,
        "replicas": 1,
        "updated": 1,
        "ready": 1,
        "available": 1,
        "managed": True,
        "created_at": NOON,
        "manifest": {},
    }
    return ObservedDeployment(**complete | changes)


def pod(name: str = "hello-b", *, age_s: int = 0, **changes: Any) -> ObservedPod:
    """A pod of the new revision that is starting, but for ``changes``."""
    starting: dict[str, Any] = {
        "name": name,
        "namespace": "dev",
        "workflow": "hello",
        "source_digest": NEW,
        "phase": "Running",
        "ready": False,
        "created_at": NOON - timedelta(seconds=age_s),
    }
    return ObservedPod(**starting | changes)


ROLLING = deployment(replicas=2, updated=1, available=1)
"""The old pod serves while the new one starts."""
FIRST = deployment(replicas=1, updated=1, ready=0, available=0)
"""Nothing has ever served."""
CRASHING = pod(reason="CrashLoopBackOff", message="exited with code 1", restarts=1)


@pytest.mark.parametrize(
    ("observed", "phase", "message"),
    [
        pytest.param(deployment(), READY, "", id="everything is there"),
        pytest.param(
            deployment(generation=3), PROGRESSING, "the change has not been observed yet", id="not observed"
        ),
        pytest.param(
            deployment(desired=2), PROGRESSING, "1 of 2 new replicas have been created", id="not all created"
        ),
        pytest.param(
            deployment(replicas=2), PROGRESSING, "old replicas pending termination: 1", id="old ones left"
        ),
        pytest.param(FIRST, PROGRESSING, "0 of 1 new replicas are available", id="not available yet"),
        pytest.param(
            deployment(desired=0, replicas=0, updated=0, ready=0, available=0), READY, "", id="scaled to zero"
        ),
        pytest.param(
            deployment(replicas=1, ready=0, available=0, rolled_out=True),
            NOT_READY,
            "0 of 1 new replicas are available",
            id="complete once, nothing serves now",
        ),
        pytest.param(
            deployment(desired=2, replicas=2, updated=2, available=1, rolled_out=True),
            DEGRADED,
            "1 of 2 new replicas are available",
            id="complete once, one is missing now",
        ),
        pytest.param(
            deployment(generation=3, rolled_out=True, available=0),
            PROGRESSING,
            "the change has not been observed yet",
            id="complete once, and changed since",
        ),
    ],
)
def test_a_deployment_alone_says_how_far_its_rollout_is(
    observed: ObservedDeployment, phase: RolloutPhase, message: str
) -> None:
    status = rollout_status(observed, [])

    assert (status.phase, status.stalled, status.message) == (phase, False, message)


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        pytest.param(
            {"deadline_exceeded": True},
            "ProgressDeadlineExceeded",
            "the rollout has exceeded its progress deadline",
            id="progress deadline",
        ),
        pytest.param(
            {"failure": "exceeded quota: pods=2"}, "FailedCreate", "exceeded quota: pods=2", id="quota"
        ),
        pytest.param({"paused": True}, "DeploymentPaused", "`kubectl rollout resume` goes on", id="paused"),
    ],
)
def test_a_deployment_says_that_its_rollout_has_stalled(
    changes: dict[str, Any], reason: str, message: str
) -> None:
    status = rollout_status(replace(ROLLING, **changes), [])

    assert status.stalled
    assert (status.phase, status.reason, status.message, status.pod) == (DEGRADED, reason, message, None)


@pytest.mark.parametrize(
    "reason",
    [
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "RunContainerError",
        "FailedCreatePodSandBox",
        "Unschedulable",
    ],
)
def test_a_new_pod_that_cannot_start_stalls_the_rollout(reason: str) -> None:
    status = rollout_status(FIRST, [pod(reason=reason, message="why")])

    assert status.stalled
    assert (status.phase, status.reason, status.message, status.pod) == (NOT_READY, reason, "why", "hello-b")


def test_the_old_pod_serves_while_the_new_one_crashes() -> None:
    old = pod("hello-a", source_digest=OLD, ready=True, age_s=60)

    status = rollout_status(ROLLING, [old, CRASHING])

    assert (status.phase, status.stalled, status.reason) == (DEGRADED, True, "CrashLoopBackOff")


@pytest.mark.parametrize("reason", ["CrashLoopBackOff", "OOMKilled"])
def test_a_first_crash_is_told_but_does_not_stall_the_rollout(reason: str) -> None:
    status = rollout_status(FIRST, [pod(reason=reason, restarts=0)])

    assert (status.phase, status.stalled, status.reason) == (PROGRESSING, False, reason)


@pytest.mark.parametrize("reason", ["FailedMount", "Unhealthy"])
def test_what_healthy_pods_have_while_they_start_stalls_only_at_the_deadline(reason: str) -> None:
    starting = pod(reason=reason)

    before, after = (
        rollout_status(replace(FIRST, deadline_exceeded=late), [starting]) for late in (False, True)
    )

    assert (before.phase, before.stalled, before.reason) == (PROGRESSING, False, reason)
    assert (after.phase, after.stalled, after.reason) == (NOT_READY, True, reason)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(CRASHING, source_digest=OLD), id="of the old revision"),
        pytest.param(replace(CRASHING, terminating=True), id="that is being deleted"),
        pytest.param(replace(CRASHING, phase="Failed"), id="that was evicted"),
        pytest.param(
            replace(CRASHING, name="hello-a", created_at=NOON - timedelta(seconds=1)),
            id="with the same sources that an older revision left",
        ),
    ],
)
def test_a_pod_does_not_count(other: ObservedPod) -> None:
    status = rollout_status(ROLLING, [other, pod()])

    assert (status.phase, status.stalled, status.reason) == (PROGRESSING, False, "")


def test_a_pod_that_blocks_is_told_before_one_that_only_starts_slowly() -> None:
    two = replace(FIRST, desired=2, replicas=2, updated=2)
    slow = pod("hello-a", reason="Unhealthy")

    assert rollout_status(two, [slow, CRASHING]).pod == CRASHING.name


@pytest.mark.parametrize(
    ("pods", "running"),
    [
        pytest.param([], (), id="there is none"),
        pytest.param([pod(ready=True)], (NEW,), id="it answers"),
        pytest.param([pod(), pod("a", source_digest=OLD, ready=True)], (OLD,), id="only the old one answers"),
        pytest.param([pod(ready=True), pod("a", source_digest=OLD, ready=True)], (NEW, OLD), id="both do"),
        pytest.param([pod(ready=True, terminating=True)], (), id="it is being stopped"),
        pytest.param([pod(ready=True), pod("a", ready=True)], (NEW,), id="of replicas each digest once"),
    ],
)
def test_what_runs_are_the_digests_of_the_pods_that_answer(
    pods: list[ObservedPod], running: tuple[str, ...]
) -> None:
    assert rollout_status(deployment(), pods).running == tuple(sorted(running))


def test_a_rollout_that_was_complete_is_degraded_and_not_stalled() -> None:
    status = rollout_status(replace(FIRST, rolled_out=True), [CRASHING])

    assert (status.phase, status.stalled, status.reason) == (NOT_READY, False, "CrashLoopBackOff")


def status(
    phase: RolloutPhase, reason: str = "", *, stalled: bool = False, generation: int = 2, available: int = 1
) -> RolloutStatus:
    return RolloutStatus(
        phase=phase,
        stalled=stalled,
        generation=generation,
        source_digest=NEW,
        desired=2,
        updated=2,
        ready=available,
        available=available,
        reason=reason,
    )


def stalled(reason: str, *, generation: int = 2) -> RolloutStatus:
    return status(NOT_READY, reason, stalled=True, generation=generation)


T = RolloutTransition


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param([status(READY)], [T.COMPLETE], id="complete when first seen"),
        pytest.param([status(PROGRESSING)], [T.PROGRESSING], id="progressing when first seen"),
        pytest.param([stalled("Unschedulable")], [T.STALLED], id="stalled when first seen"),
        pytest.param([status(NOT_READY)], [T.DEGRADED], id="degraded when first seen"),
        pytest.param(
            [status(READY), status(READY, available=2)], [T.COMPLETE], id="counts alone are not worth a word"
        ),
        pytest.param(
            [
                status(READY),
                status(PROGRESSING, generation=3),
                status(PROGRESSING, generation=3, available=2),
                status(PROGRESSING, "Unhealthy", generation=3, available=2),
                status(READY, generation=3),
            ],
            [T.COMPLETE, T.PROGRESSING, T.COMPLETE],
            id="a rollout",
        ),
        pytest.param(
            [status(READY), status(READY, generation=3)], [T.COMPLETE] * 2, id="a rollout seen late"
        ),
        pytest.param(
            [
                status(PROGRESSING),
                stalled("CrashLoopBackOff"),
                stalled("CrashLoopBackOff"),
                stalled("OOMKilled"),
            ],
            [T.PROGRESSING, T.STALLED, T.STALLED],
            id="stalled once a reason",
        ),
        pytest.param(
            [stalled("ImagePullBackOff"), status(PROGRESSING), status(READY)],
            [T.STALLED, T.PROGRESSING, T.COMPLETE],
            id="a stall that ends",
        ),
        pytest.param(
            [stalled("ImagePullBackOff"), stalled("ImagePullBackOff", generation=3)],
            [T.STALLED] * 2,
            id="the next generation stalls as well",
        ),
        pytest.param(
            [status(READY), status(NOT_READY), status(NOT_READY, "CrashLoopBackOff"), status(READY)],
            [T.COMPLETE, T.DEGRADED, T.DEGRADED, T.COMPLETE],
            id="availability is lost, explained and regained",
        ),
        pytest.param(
            [status(READY), status(PROGRESSING), status(NOT_READY), status(READY)],
            [T.COMPLETE, T.DEGRADED, T.COMPLETE],
            id="availability is lost where no condition tells",
        ),
        pytest.param(
            [
                status(READY),
                status(PROGRESSING, generation=3),
                status(DEGRADED, generation=3),
                status(READY, generation=3),
            ],
            [T.COMPLETE, T.PROGRESSING, T.COMPLETE],
            id="scaling up loses nothing",
        ),
    ],
)
def test_a_history_is_told_in_few_words(
    history: list[RolloutStatus], expected: list[RolloutTransition]
) -> None:
    assert [transition for _, transition in told(history)] == expected


def told(history: list[RolloutStatus]) -> list[tuple[RolloutStatus, RolloutTransition]]:
    before = [None, *history]
    return [
        (new, transition)
        for old, new in zip(before, history, strict=False)
        for transition in transitions(old, new)
    ]


reasons = st.sampled_from(["", "CrashLoopBackOff", "Unschedulable", "Unhealthy"])
statuses = st.builds(
    status,
    phase=st.sampled_from(RolloutPhase),
    reason=reasons,
    generation=st.integers(1, 3),
    available=st.integers(0, 2),
) | st.builds(stalled, reason=reasons.filter(bool), generation=st.integers(1, 3))
histories = st.lists(statuses, max_size=30)


@given(statuses)
def test_a_status_that_stays_says_nothing(one: RolloutStatus) -> None:
    assert transitions(one, one) == ()


@given(histories)
def test_nothing_is_said_twice_in_a_row(history: list[RolloutStatus]) -> None:
    words = [
        (word, new.generation, None if word is T.PROGRESSING else new.reason) for new, word in told(history)
    ]
    assert all(one != other for one, other in pairwise(words))


@given(histories)
def test_complete_is_said_once_a_generation_and_loss(history: list[RolloutStatus]) -> None:
    completed = Counter(new.generation for new, word in told(history) if word is T.COMPLETE)
    entered = Counter(
        new.generation
        for old, new in zip([None, *history], history, strict=False)
        if new.phase is READY and (old is None or (old.phase, old.generation) != (READY, new.generation))
    )
    assert completed == entered


deployments = st.builds(
    deployment,
    generation=st.integers(1, 2),
    observed_generation=st.integers(1, 2),
    desired=st.integers(0, 3),
    replicas=st.integers(0, 4),
    updated=st.integers(0, 3),
    available=st.integers(0, 4),
    rolled_out=st.booleans(),
    deadline_exceeded=st.booleans(),
    failure=st.sampled_from(["", "exceeded quota"]),
    paused=st.booleans(),
)
pods = st.lists(
    st.builds(
        pod,
        name=st.sampled_from(["hello-a", "hello-b", "hello-c"]),
        source_digest=st.sampled_from([NEW, OLD]),
        age_s=st.integers(0, 3),
        reason=reasons,
        restarts=st.integers(0, 2),
        terminating=st.booleans(),
        phase=st.sampled_from(["Pending", "Running", "Failed"]),
    ),
    max_size=4,
)


@given(deployments, pods)
def test_a_status_is_consistent(observed: ObservedDeployment, its_pods: list[ObservedPod]) -> None:
    seen = rollout_status(observed, its_pods)

    assert (seen.phase is READY) <= (not seen.stalled and not seen.message and not seen.reason)
    assert seen.stalled <= (bool(seen.reason) and seen.phase in {DEGRADED, NOT_READY})
    assert (seen.phase is NOT_READY) <= (observed.available == 0)
    assert (seen.phase is not READY) <= bool(seen.message)
