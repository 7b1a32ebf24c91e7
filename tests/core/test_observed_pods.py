from datetime import UTC, datetime
from typing import Any

import pytest

from pdwatch.core.model import ObservedPod
from pdwatch.core.observed import observed_pod

DIGEST = "sha256:" + "a" * 64
CREATED = "2024-05-01T10:00:00Z"
STARTED = "2024-05-01T10:05:00Z"


def pod(
    *,
    state: dict[str, Any] | None = None,
    last_state: dict[str, Any] | None = None,
    restarts: int = 0,
    ready: bool = False,
    unready_since: str = CREATED,
    phase: str = "Running",
    conditions: tuple[dict[str, Any], ...] = (),
    **status: Any,
) -> dict[str, Any]:
    container = {
        "name": "workflow",
        "ready": ready,
        "restartCount": restarts,
        "state": state or {"waiting": {"reason": "ContainerCreating"}},
        "lastState": last_state or {},
    }
    readiness = {"type": "Ready", "status": str(ready), "lastTransitionTime": unready_since}
    return {
        "metadata": {
            "name": "hello-5d4f-abcde",
            "namespace": "dev",
            "creationTimestamp": CREATED,
            "labels": {"app.kubernetes.io/name": "hello"},
            "annotations": {"pdwatch.dev/source-digest": DIGEST},
        },
        "status": {
            "phase": phase,
            "conditions": [readiness, *conditions],
            "containerStatuses": [container],
            **status,
        },
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def running() -> dict[str, Any]:
    return {"running": {"startedAt": STARTED}}


def ended(reason: str = "Error", code: int = 1, message: str = "") -> dict[str, Any]:
    return {"terminated": {"reason": reason, "exitCode": code, "message": message}}


def event(reason: str, message: str = "", *, at: str = "10:00:00") -> dict[str, Any]:
    return {"reason": reason, "message": message, "lastTimestamp": f"2024-05-01T{at}Z"}


def test_a_ready_pod_needs_no_reason() -> None:
    manifest = pod(state=running(), last_state=ended(), restarts=4, ready=True)

    assert observed_pod(manifest, events=[event("Unhealthy")]) == ObservedPod(
        name="hello-5d4f-abcde",
        namespace="dev",
        workflow="hello",
        source_digest=DIGEST,
        phase="Running",
        ready=True,
        restarts=4,
        created_at=datetime(2024, 5, 1, 10, tzinfo=UTC),
    )


def test_a_pod_that_is_being_deleted_is_terminating() -> None:
    manifest = pod(state=running(), ready=True)
    manifest["metadata"]["deletionTimestamp"] = STARTED

    assert observed_pod(manifest).terminating


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient cpu.",
}


@pytest.mark.parametrize(
    ("manifest", "reason", "message"),
    [
        pytest.param(pod(), "", "", id="containers that are being created"),
        pytest.param(pod(state=running()), "", "", id="a container that has just started"),
        pytest.param(
            pod(state=waiting("ErrImagePull", "manifest unknown")),
            "ImagePullBackOff",
            "manifest unknown",
            id="a pull that failed just now is a pull that backs off",
        ),
        pytest.param(
            pod(state=waiting("ImagePullBackOff", 'Back-off pulling image "x"')),
            "ImagePullBackOff",
            'Back-off pulling image "x"',
            id="a pull that backs off",
        ),
        pytest.param(
            pod(state=waiting("ErrImageNeverPull", "Container image is not present")),
            "ErrImageNeverPull",
            "Container image is not present",
            id="an image that must not be pulled",
        ),
        pytest.param(
            pod(state=waiting("InvalidImageName", "couldn't parse image reference")),
            "InvalidImageName",
            "couldn't parse image reference",
            id="an image name that is none",
        ),
        pytest.param(
            pod(state=waiting("CreateContainerConfigError", 'secret "x" not found')),
            "CreateContainerConfigError",
            'secret "x" not found',
            id="a configuration that misses something",
        ),
        pytest.param(
            pod(state=ended(code=3)),
            "CrashLoopBackOff",
            "container workflow exited with code 3",
            id="the first crash",
        ),
        pytest.param(
            pod(state=running(), last_state=ended(code=3), restarts=1),
            "CrashLoopBackOff",
            "container workflow exited with code 3, restarted 1 time",
            id="a crash, in the middle of the next attempt",
        ),
        pytest.param(
            pod(state=waiting("CrashLoopBackOff", "back-off 10s"), last_state=ended(code=3), restarts=2),
            "CrashLoopBackOff",
            "container workflow exited with code 3, restarted 2 times",
            id="a crash loop",
        ),
        pytest.param(
            pod(state=waiting("ContainerCreating"), last_state=ended("Completed", 0), restarts=2),
            "CrashLoopBackOff",
            "container workflow exited with code 0, restarted 2 times",
            id="a server that ends by itself",
        ),
        pytest.param(
            pod(state=waiting("CrashLoopBackOff", "back-off 10s")),
            "CrashLoopBackOff",
            "back-off 10s",
            id="a crash loop that does not say how it ended",
        ),
        pytest.param(
            pod(state=running(), last_state=ended(), restarts=5, unready_since="2024-05-01T10:06:00Z"),
            "",
            "",
            id="readiness lost long after the last crash",
        ),
        pytest.param(
            pod(state=running(), last_state=ended("OOMKilled", 137), restarts=1),
            "OOMKilled",
            "container workflow used more memory than its limit, restarted 1 time",
            id="out of memory",
        ),
        pytest.param(
            pod(
                state=waiting("CrashLoopBackOff"),
                last_state=ended("ContainerCannotRun", 127, "exec: no such file"),
            ),
            "RunContainerError",
            "exec: no such file",
            id="a command that does not exist",
        ),
        pytest.param(
            pod(phase="Pending", conditions=(UNSCHEDULABLE,), containerStatuses=[]),
            "Unschedulable",
            "0/1 nodes are available: 1 Insufficient cpu.",
            id="no node with room",
        ),
        pytest.param(
            pod(
                phase="Failed",
                reason="Evicted",
                message="The node was low on memory.",
                containerStatuses=None,
            ),
            "Evicted",
            "The node was low on memory.",
            id="an eviction",
        ),
        pytest.param(
            pod(
                initContainerStatuses=[
                    {"name": "mesh", "ready": False, "state": waiting("InvalidImageName", "no")}
                ]
            ),
            "InvalidImageName",
            "no",
            id="an init container that somebody injected",
        ),
        pytest.param(
            pod(initContainerStatuses=[{"name": "mesh", "ready": True, "state": ended("Completed", 0)}]),
            "",
            "",
            id="an init container that is done",
        ),
    ],
)
def test_a_pod_says_why_it_is_not_ready(manifest: dict[str, Any], reason: str, message: str) -> None:
    seen = observed_pod(manifest)

    assert (seen.reason, seen.message) == (reason, message)


SANDBOX = event("FailedCreatePodSandBox", 'runtime "runsc" not found', at="10:00:05")
PROBE = event("Unhealthy", "Readiness probe failed: connection refused", at="10:05:02")


@pytest.mark.parametrize(
    ("manifest", "events", "reason", "message"),
    [
        pytest.param(pod(), [], "", "", id="no event"),
        pytest.param(
            pod(),
            [event("Scheduled"), SANDBOX, event("SandboxChanged", at="10:00:06")],
            "FailedCreatePodSandBox",
            'runtime "runsc" not found',
            id="a sandbox that can't be made",
        ),
        pytest.param(
            pod(),
            [{"reason": "Scheduled", "eventTime": "2024-05-01T10:00:05.350029Z"}, SANDBOX],
            "FailedCreatePodSandBox",
            'runtime "runsc" not found',
            id="what went wrong in the second of the last step is not over",
        ),
        pytest.param(
            pod(),
            [event("FailedMount", "timed out"), event("Pulling", at="10:00:09")],
            "",
            "",
            id="a mount that failed before the pull began is over",
        ),
        pytest.param(
            pod(state=running()),
            [SANDBOX, event("Started", at="10:05:00"), PROBE],
            "Unhealthy",
            "Readiness probe failed: connection refused",
            id="the newest warning counts",
        ),
        pytest.param(
            pod(state=running()),
            [
                {
                    **event("Unhealthy", "in a series"),
                    "lastTimestamp": None,
                    "series": {"lastObservedTime": STARTED},
                }
            ],
            "Unhealthy",
            "in a series",
            id="an event of the newer API",
        ),
        pytest.param(
            pod(state=waiting("ImagePullBackOff", 'Back-off pulling image "x"')),
            [
                event("Failed", 'Failed to pull image "x": not found', at="10:00:01"),
                event("Failed", "Error: ImagePullBackOff", at="10:00:02"),
            ],
            "ImagePullBackOff",
            'Failed to pull image "x": not found',
            id="the event knows why the pull failed",
        ),
        pytest.param(
            pod(state=running(), last_state=ended(), restarts=1),
            [PROBE],
            "CrashLoopBackOff",
            "container workflow exited with code 1, restarted 1 time",
            id="a crash explains more than a probe",
        ),
    ],
)
def test_events_explain_what_the_status_does_not(
    manifest: dict[str, Any], events: list[dict[str, Any]], reason: str, message: str
) -> None:
    seen = observed_pod(manifest, events=events)

    assert (seen.reason, seen.message) == (reason, message)
