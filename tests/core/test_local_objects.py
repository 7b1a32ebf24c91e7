"""The local target's objects are judged by the same code as a cluster's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from pdwatch.core.local_objects import Crash, pod, stored, with_status
from pdwatch.core.manifests import deployment
from pdwatch.core.model import DeploymentOptions, ImageRef, Node, RolloutPhase, Trigger, WorkflowSpec
from pdwatch.core.observed import observed_deployment, observed_pod
from pdwatch.core.rollout import rollout_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = f"sha256:{'1' * 64}"


def manifest(*, replicas: int = 1, digest: str = DIGEST) -> dict[str, Any]:
    spec = WorkflowSpec(
        name="hello",
        version="1.0",
        triggers=(Trigger(type="manual"),),
        nodes=(Node(id="greet", path="./nodes/greet.ts"),),
        deployment=DeploymentOptions(replicas=replicas),
    )
    image = ImageRef(repository="hello", tag=digest[7:19])
    return deployment(spec, digest=digest, image=image, namespace="local")


def apply(new: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
    return stored(new, before=before, uid="uid", version=1, now=NOW)


def test_the_generation_grows_with_the_spec_alone():
    first = apply(manifest())
    again = apply(manifest(), first)
    other = apply(manifest(digest=f"sha256:{'2' * 64}"), again)
    assert [each["metadata"]["generation"] for each in (first, again, other)] == [1, 1, 2]
    assert {each["metadata"]["uid"] for each in (first, again, other)} == {"uid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """How the engines of a workflow are, and where its rollout stands then."""

    new_ready: bool = False
    old_serves: bool = False
    rolled_out: bool = False
    crash: Crash | None = None
    phase: RolloutPhase
    stalled: bool = False


CRASHED = Crash(status=1, restarts=1)
STANDINGS = {
    "starts": Engines(phase=RolloutPhase.PROGRESSING),
    "starts beside the old": Engines(old_serves=True, phase=RolloutPhase.PROGRESSING),
    "has taken over": Engines(new_ready=True, rolled_out=True, phase=RolloutPhase.READY),
    "crashes beside the old": Engines(
        old_serves=True, crash=CRASHED, phase=RolloutPhase.DEGRADED, stalled=True
    ),
    "crashes alone": Engines(crash=CRASHED, phase=RolloutPhase.NOT_READY, stalled=True),
    "was killed": Engines(rolled_out=True, crash=Crash(status=-9, restarts=1), phase=RolloutPhase.NOT_READY),
}


@pytest.mark.parametrize("engines", STANDINGS.values(), ids=STANDINGS)
def test_a_rollout_stands_where_its_engines_do(engines: Engines):
    now = with_status(
        apply(manifest()),
        new_ready=engines.new_ready,
        old_serves=engines.old_serves,
        rolled_out=engines.rolled_out,
        version=2,
    )
    its_pod = pod(now, name="hello-1", ready=engines.new_ready, crash=engines.crash, since=NOW)
    status = rollout_status(observed_deployment(now), [observed_pod(its_pod)])
    assert (status.phase, status.stalled) == (engines.phase, engines.stalled)
    assert status.pod == (None if engines.crash is None else "hello-1")


def test_an_engine_that_a_signal_ended_has_the_exit_code_of_a_container():
    its_pod = pod(
        apply(manifest()), name="hello-1", ready=False, crash=Crash(status=-9, restarts=2), since=NOW
    )
    assert observed_pod(its_pod).message == "engine hello exited with code 137, restarted 2 times"


def test_no_replica_asked_for_is_a_rollout_that_is_complete():
    now = with_status(
        apply(manifest(replicas=0)), new_ready=False, old_serves=False, rolled_out=True, version=2
    )
    assert rollout_status(observed_deployment(now), []).phase is RolloutPhase.READY
