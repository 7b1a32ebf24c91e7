"""Image references: what a workflow's image is called, by the grammar of the OCI distribution spec.

An image gets two references. One moves with each build (seed, decision 5); the other names one digest's image
for ever, and is what a Deployment names (docs/adr/0003-image.md).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pdwatch.core.model import ImageRef
from pdwatch.errors import SettingsError

if TYPE_CHECKING:
    from pdwatch.core.model import WorkflowSpec

DIGEST_DIGITS = 12
"""How many hexadecimal digits of the source digest an immutable tag carries."""
DEFAULT_TAG = "latest"
DEFAULT_REGISTRY = "docker.io"

_LONGEST_REPOSITORY = 255
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:(?:{_LABEL}(?:\.{_LABEL})+|localhost|\[[a-fA-F0-9:]+\])(?::[0-9]+)?|{_LABEL}:[0-9]+)"
"""What tells a host from the first part of a path: a dot, a port, brackets, or that it is localhost."""
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def image_references(
    spec: WorkflowSpec, digest: str, *, registry: str | None = None, tag: str | None = None
) -> tuple[ImageRef, ...]:
    """Return every reference that the workflow's image gets; the first is the one for the Deployment.

    Args:
        spec: The workflow.
        digest: The snapshot's ``sha256:<64 hex>``.
        registry: A registry's host, perhaps with a path; None for an image that stays local.
        tag: Taken as given, and then the only one: a tag, or with a ``:`` or ``/`` in it a whole reference.

    Raises:
        SettingsError: ``registry`` or ``tag`` make no valid reference.
    """
    if tag is not None and (":" in tag or "/" in tag):
        return (_whole_reference(tag),)
    repository = image_repository(spec.name, registry)
    if tag is not None:
        if not _TAG.fullmatch(tag):
            raise SettingsError(
                f"{tag!r} is no image tag",
                remedy="a tag has up to 128 letters, digits, '_', '.' and '-', and begins with no '.' or '-'",
            )
        return (ImageRef(repository=repository, tag=tag),)
    moving = spec.version.replace(".", "-")
    short = digest.removeprefix("sha256:")[:DIGEST_DIGITS]
    return (
        ImageRef(repository=repository, tag=f"{moving}-{short}"),
        ImageRef(repository=repository, tag=moving),
    )


def image_repository(name: str, registry: str | None) -> str:
    """Return the repository of workflow ``name``: in the registry, or its name alone where there is none.

    Raises:
        SettingsError: ``registry`` makes no valid repository.
    """
    if registry is None:
        return name
    if "@" in registry:  # it is not repeated: what stands before may be a password
        raise SettingsError(
            "the registry has an @ in it, as before a host to log in to",
            remedy="leave out the user; log in with `docker login`, and pdwatch uses Docker's credentials",
        )
    if "://" in registry:
        raise SettingsError(
            f"the registry {registry!r} is a URL",
            remedy=f"leave out the scheme: {registry.partition('://')[2]}",
        )
    repository = f"{registry.rstrip('/')}/{name}"
    if len(repository) > _LONGEST_REPOSITORY or not _REPOSITORY.fullmatch(repository):
        raise SettingsError(
            f"{repository!r} is no image repository",
            remedy="give the registry as a host, perhaps with a port and a path: ghcr.io/me, localhost:5000",
        )
    return repository


def parse_reference(text: str) -> ImageRef | None:
    """Parse ``repository[:tag][@sha256:…]``, the tag being ``latest`` by default; None if it is invalid."""
    name, at, digest = text.partition("@")
    head, colon, last = name.rpartition(":")
    repository, tag = (head, last) if colon and "/" not in last else (name, DEFAULT_TAG)
    if (
        len(repository) > _LONGEST_REPOSITORY
        or not _REPOSITORY.fullmatch(repository)
        or not _TAG.fullmatch(tag)
        or (at and not _DIGEST.fullmatch(digest))
    ):
        return None
    return ImageRef(repository=repository, tag=tag, digest=digest or None)


def registry_host(ref: ImageRef) -> str:
    """Return the host, with its port, that ``ref`` is pulled from and pushed to."""
    first, slash, _ = ref.repository.partition("/")
    return first if slash and re.fullmatch(_HOST, first) else DEFAULT_REGISTRY


def _whole_reference(text: str) -> ImageRef:
    ref = parse_reference(text)
    if ref is None:
        raise SettingsError(
            f"{text!r} is no image reference",
            remedy="write it as [host[:port]/]repository[:tag], in lower case",
        )
    if ref.digest is not None:
        raise SettingsError(
            f"{text!r} pins a digest, which an image has only once it is built",
            remedy="leave out the @sha256:…",
        )
    return ref
