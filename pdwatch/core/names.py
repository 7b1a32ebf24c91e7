"""The names that pdwatch writes on cluster objects and images, in one place.

Keys follow Kubernetes' recommended labels (app.kubernetes.io) and OCI's image annotations.
"""

from __future__ import annotations

FIELD_MANAGER = "pdwatch"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
NAME_LABEL = "app.kubernetes.io/name"
VERSION_LABEL = "app.kubernetes.io/version"
MANAGED_SELECTOR = f"{MANAGED_BY_LABEL}=pdwatch"
"""Selects every Deployment and Pod that pdwatch made."""

DIGEST_ANNOTATION = "pdwatch.dev/source-digest"
"""On the Deployment and on its pod template: the digest of the snapshot that was deployed."""
IMAGE_ANNOTATION = "pdwatch.dev/image"
"""On the Deployment: the image reference that pdwatch applied, so that a change to it shows as drift."""
ROLLED_BACK_ANNOTATION = "pdwatch.dev/rolled-back-from"
"""On a Deployment that was rolled back: the digest that must not be rolled out again until the next save."""

IMAGE_DIGEST_LABEL = "dev.pdwatch.source-digest"
IMAGE_VERSION_LABEL = "org.opencontainers.image.version"
IMAGE_WORKFLOW_LABEL = "dev.pdwatch.workflow"
IMAGE_BUILD_LABEL = "dev.pdwatch.build"
"""On what a build leaves in Docker until it ends: tells one build's images from all others."""
IMAGE_DEPENDENCIES_LABEL = "dev.pdwatch.dependencies"
"""On an image of third-party code: the digest of what decided what was fetched."""
IMAGE_PARENT_LABEL = "dev.pdwatch.parent"
"""On what images of workflows add their sources to: the digest of what decided its content."""
BASE_IMAGE = "denoland/deno:distroless"
RUNTIME_CLASS = "gvisor"
USER_ID = 65532
PORT = 8080
