from __future__ import annotations

import pytest

from pdwatch.adapters.docker.api import RefusedError
from pdwatch.adapters.docker.refusals import (
    base_error,
    build_error,
    load_error,
    push_error,
    refuses_buildkit,
)
from pdwatch.adapters.docker.steps import BuildSteps
from pdwatch.core.model import ImageRef
from pdwatch.errors import (
    BaseImageError,
    BuildFailedError,
    DiskFullError,
    DockerError,
    ExitCode,
    PushRefusedError,
)

IMAGE = ImageRef(repository="ghcr.io/me/hello", tag="1-0")
FULL = "write /var/lib/docker/tmp/x: no space left on device"


def steps(*lines: str) -> BuildSteps:
    result = BuildSteps(lambda _: None)
    for line in lines:
        result.take({"stream": line})
    return result


@pytest.mark.parametrize(
    ("message", "error"),
    [
        pytest.param(
            "toomanyrequests: You have reached your pull rate limit.", BaseImageError, id="rate limit"
        ),
        pytest.param('Get "https://registry-1.docker.io/v2/": no such host', BaseImageError, id="no network"),
        pytest.param("pull access denied for x, repository does not exist", BaseImageError, id="unknown"),
        pytest.param(FULL, DiskFullError, id="disk full"),
    ],
)
def test_a_base_image_that_can_not_be_pulled(message: str, error: type[DockerError]) -> None:
    refused = base_error(RefusedError(message), ImageRef(repository="denoland/deno", tag="distroless"))
    assert type(refused) is error
    assert "denoland/deno:distroless" in refused.message
    assert message in refused.message
    assert refused.retryable
    assert refused.remedy


def test_the_remedy_for_a_base_image_works_without_a_network_too() -> None:
    remedy = base_error(RefusedError("x"), ImageRef(repository="a/b", tag="c")).remedy or ""
    assert "docker pull a/b:c" in remedy
    assert "docker load" in remedy


def test_a_failed_step_carries_its_output() -> None:
    error = build_error(RefusedError("exit code: 3"), IMAGE, steps("Step 2/3 : RUN x\n", "one\ntwo\n"))
    assert isinstance(error, BuildFailedError)
    assert error.message == "the build of ghcr.io/me/hello:1-0 failed at Step 2/3 : RUN x: exit code: 3"
    assert (error.step, error.output) == ("Step 2/3 : RUN x", ("one", "two"))
    assert not error.retryable


def test_a_full_disk_is_no_fault_of_the_sources() -> None:
    error = build_error(RefusedError(FULL), IMAGE, steps("Step 2/3 : COPY a /\n"))
    assert type(error) is DiskFullError
    assert error.retryable
    assert type(load_error(RefusedError(FULL), IMAGE)) is DiskFullError
    assert load_error(RefusedError("open x/layer.tar: no such file or directory"), IMAGE) is None


def test_a_daemon_that_fails_before_the_first_step_may_be_asked_again() -> None:
    error = build_error(RefusedError("context canceled", status=500), IMAGE, steps())
    assert type(error) is DockerError
    assert error.retryable
    assert type(build_error(RefusedError("bad", status=400), IMAGE, steps())) is BuildFailedError


@pytest.mark.parametrize(
    ("message", "says", "remedy"),
    [
        pytest.param(
            "no basic auth credentials", "asks who pushes", "docker login ghcr.io", id="no credentials"
        ),
        pytest.param(
            "unauthorized: authentication required", "asks who", "docker login ghcr.io", id="wrong ones"
        ),
        pytest.param(
            "denied: requested access to the resource is denied", "does not let you", "account", id="denied"
        ),
        pytest.param(
            "received unexpected HTTP status: 403 Forbidden", "does not let you", "account", id="403"
        ),
        pytest.param(
            "dial tcp 127.0.0.1:5: connect: connection refused", "can't reach", "port", id="closed port"
        ),
        pytest.param("lookup ghcr.io: no such host", "can't reach", "name", id="no such host"),
        pytest.param(
            "x509: certificate signed by unknown authority", "can't reach", "name", id="certificate"
        ),
        pytest.param(
            "http: server gave HTTP response to HTTPS client",
            "without TLS",
            "insecure-registries",
            id="plain HTTP",
        ),
    ],
)
def test_a_push_that_is_refused_says_why_and_what_to_do(message: str, says: str, remedy: str) -> None:
    error = push_error(RefusedError(message), IMAGE)
    assert isinstance(error, PushRefusedError)
    assert "ghcr.io" in error.message
    assert says in error.message
    assert message in error.message
    assert remedy in (error.remedy or "")
    assert error.exit_code is ExitCode.UNAVAILABLE


def test_other_refusals_of_a_push_are_told_in_dockers_words() -> None:
    assert "blob upload invalid" in push_error(RefusedError("blob upload invalid"), IMAGE).message
    assert type(push_error(RefusedError(FULL), IMAGE)) is DiskFullError


def test_docker_hub_needs_no_host_to_log_in() -> None:
    hub = ImageRef(repository="me/hello", tag="1")
    assert push_error(RefusedError("unauthorized"), hub).remedy == "run `docker login`"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("buildkit is not supported by daemon", True),
        ("buildkit is only supported with experimental mode", True),
        ("failed to resolve: no active session for abc: context deadline exceeded", True),
        ("failed to compute cache key: not found", False),
    ],
)
def test_only_buildkit_itself_leads_to_the_classic_builder(message: str, *, expected: bool) -> None:
    assert refuses_buildkit(RefusedError(message)) is expected
