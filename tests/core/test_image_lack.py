"""When pods lack their image, and whether it is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pdwatch.core.image_lack import ImageLack, is_unknown, lacks_image, newly_lacks_image
from pdwatch.core.model import ImageRef, RolloutPhase, RolloutStatus

READY = RolloutStatus(
    phase=RolloutPhase.READY,
    generation=1,
    source_digest="sha256:1",
    desired=1,
    updated=1,
    ready=1,
    available=1,
)
LACKING = replace(READY, phase=RolloutPhase.NOT_READY, ready=0, available=0, reason="ImagePullBackOff")
UNKNOWN = replace(LACKING, message="manifest for hello not found: manifest unknown")
CRASHING = replace(LACKING, reason="CrashLoopBackOff")
LOCAL = ImageRef(repository="hello", tag="1-0-abc")
PUSHED = replace(LOCAL, repository="registry:5000/hello", digest=f"sha256:{'a' * 64}")


@pytest.mark.parametrize(
    ("reason", "lacks"),
    [
        ("ImagePullBackOff", True),
        ("ErrImageNeverPull", True),
        ("InvalidImageName", False),
        ("CrashLoopBackOff", False),
        ("", False),
    ],
)
def test_pods_lack_their_image_when_it_is_not_where_the_node_looks(reason: str, *, lacks: bool):
    assert lacks_image(replace(LACKING, reason=reason)) is lacks


def test_a_deployment_that_has_not_been_seen_lacks_nothing():
    assert not lacks_image(None)


@pytest.mark.parametrize(
    ("before", "now", "newly"),
    [
        pytest.param(None, LACKING, True, id="seen first, as at start"),
        pytest.param(READY, LACKING, True, id="a pod that has come since"),
        pytest.param(CRASHING, LACKING, True, id="another trouble before"),
        pytest.param(LACKING, LACKING, False, id="as before"),
        pytest.param(LACKING, replace(LACKING, generation=2), True, id="another rollout"),
        pytest.param(LACKING, UNKNOWN, True, id="out of reach before, and now unknown"),
        pytest.param(UNKNOWN, LACKING, False, id="the kubelet has another word for it"),
        pytest.param(LACKING, READY, False, id="mended"),
        pytest.param(None, CRASHING, False, id="another trouble"),
    ],
)
def test_it_is_news_once(before: RolloutStatus | None, now: RolloutStatus, *, newly: bool):
    assert newly_lacks_image(before, now) is newly


@pytest.mark.parametrize(
    ("message", "unknown"),
    [
        pytest.param(
            'Failed to pull image "r:5000/hello@sha256:1": rpc error: code = Unknown desc = Error '
            "response from daemon: manifest for r:5000/hello@sha256:1 not found: manifest unknown",
            True,
            id="Docker, no manifest",
        ),
        pytest.param("name unknown: repository name not known to registry", True, id="Docker, no repository"),
        pytest.param(
            'failed to resolve reference "r:5000/hello@sha256:1": r:5000/hello@sha256:1: not found',
            True,
            id="containerd",
        ),
        pytest.param("dial tcp 10.0.0.1:5000: connect: connection refused", False, id="no registry"),
        pytest.param("unauthorized: authentication required", False, id="no login"),
        pytest.param('Back-off pulling image "r:5000/hello@sha256:1"', False, id="no reason given"),
    ],
)
def test_a_registry_says_that_it_has_no_such_image(message: str, *, unknown: bool):
    assert is_unknown(replace(LACKING, message=message)) is unknown


@pytest.mark.parametrize(
    ("lack", "gone", "out_of_reach"),
    [
        pytest.param(ImageLack(ref=LOCAL), True, False, id="local, not in Docker"),
        pytest.param(ImageLack(ref=LOCAL, in_docker=True), False, True, id="local, in Docker"),
        pytest.param(
            ImageLack(ref=LOCAL, in_docker=True, awaited=True), False, False, id="local, just brought back"
        ),
        pytest.param(
            ImageLack(ref=LOCAL, awaited=True), True, False, id="local, just brought back and gone again"
        ),
        pytest.param(ImageLack(ref=PUSHED, unknown=True), True, False, id="pushed, unknown to the registry"),
        pytest.param(
            ImageLack(ref=PUSHED, unknown=True, awaited=True), False, False, id="pushed again just now"
        ),
        pytest.param(ImageLack(ref=PUSHED), False, False, id="pushed, and the registry does not say"),
    ],
)
def test_what_is_gone_is_made_again_and_what_is_there_is_not(
    lack: ImageLack, *, gone: bool, out_of_reach: bool
):
    assert (lack.gone, lack.out_of_reach) == (gone, out_of_reach)
