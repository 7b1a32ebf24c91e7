"""What Docker's error messages mean: one error per cause, in Docker's own words, with what to do about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pdwatch.core.image import DEFAULT_REGISTRY, registry_host
from pdwatch.errors import BaseImageError, BuildFailedError, DiskFullError, DockerError, PushRefusedError

if TYPE_CHECKING:
    from pdwatch.adapters.docker.api import RefusedError
    from pdwatch.adapters.docker.steps import BuildSteps
    from pdwatch.core.model import ImageRef

_DISK_FULL = re.compile(r"no space left on device|disk quota exceeded|ENOSPC", re.IGNORECASE)
_NO_CREDENTIALS = re.compile(
    r"unauthorized|authentication required|no basic auth credentials|incorrect username or password|\b401\b",
    re.IGNORECASE,
)
_DENIED = re.compile(r"denied|forbidden|insufficient_scope|\b403\b", re.IGNORECASE)
_PLAIN_HTTP = "server gave HTTP response to HTTPS client"
_UNREACHABLE = re.compile(
    r"connection refused|no such host|no route to host|i/o timeout|timeout|deadline exceeded|TLS handshake|"
    r"certificate|server misbehaving|network is unreachable|connection reset|\bEOF\b",
    re.IGNORECASE,
)
_BUILDKIT_REFUSED = re.compile(r"buildkit is|no active session|experimental mode", re.IGNORECASE)
"""A daemon without BuildKit, or one that wants the client's session to resolve the base image."""
_HTTP_BAD_REQUEST = 400


def refuses_buildkit(refused: RefusedError) -> bool:
    """Return whether the classic builder may do what BuildKit has just refused."""
    return bool(_BUILDKIT_REFUSED.search(refused.message))


def build_error(refused: RefusedError, image: ImageRef, steps: BuildSteps) -> DockerError:
    """Return the error for a build that Docker gave up."""
    if _DISK_FULL.search(refused.message):
        return _disk_full(refused, f"the build of {image} failed")
    if steps.step is None and refused.status is not None and refused.status != _HTTP_BAD_REQUEST:
        return DockerError(f"Docker does not build {image}: {refused.message}")
    at = f" at {steps.step}" if steps.step else ""
    return BuildFailedError(
        f"the build of {image} failed{at}: {refused.message}", step=steps.step, output=steps.output
    )


def base_error(refused: RefusedError, base: ImageRef) -> DockerError:
    """Return the error for a base image that is not there and could not be pulled."""
    if _DISK_FULL.search(refused.message):
        return _disk_full(refused, f"the base image {base} can't be pulled")
    return BaseImageError(
        f"the base image {base} is not in Docker and can't be pulled: {refused.message}",
        remedy=f"bring it in: `docker pull {base}`, or without a network `docker save {base}` where it is "
        "and `docker load` here",
    )


def load_error(refused: RefusedError, image: ImageRef) -> DockerError | None:
    """Return the error for an image that was not registered; None when Docker just can't do it that way."""
    return _disk_full(refused, f"the build of {image} failed") if _DISK_FULL.search(refused.message) else None


def push_error(refused: RefusedError, image: ImageRef) -> DockerError:
    """Return the error for an image that the registry did not take."""
    host = registry_host(image)
    login = "docker login" if host == DEFAULT_REGISTRY else f"docker login {host}"
    said = refused.message
    if _DISK_FULL.search(said):
        return _disk_full(refused, f"{image} was not pushed")
    if _NO_CREDENTIALS.search(said):
        return PushRefusedError(f"{host} asks who pushes {image}: {said}", remedy=f"run `{login}`")
    if _PLAIN_HTTP in said:
        return PushRefusedError(
            f"{host} speaks HTTP without TLS: {said}",
            remedy=f'give it TLS, or add "{host}" to "insecure-registries" in Docker\'s daemon.json',
        )
    if _DENIED.search(said):
        return PushRefusedError(
            f"{host} does not let you push {image}: {said}",
            remedy=f"make sure that the repository exists and that the account of `{login}` may push to it",
        )
    if _UNREACHABLE.search(said):
        return PushRefusedError(
            f"Docker can't reach the registry {host}: {said}",
            remedy="check its name and port, and that it is up; Docker's proxy settings count, not yours",
        )
    return PushRefusedError(f"{host} did not take {image}: {said}")


def _disk_full(refused: RefusedError, what: str) -> DiskFullError:
    return DiskFullError(
        f"{what}, since Docker's disk is full: {refused.message}",
        remedy="free space: `docker system df` shows what Docker holds, `docker system prune` helps",
    )
