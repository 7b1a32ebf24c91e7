"""Removes images that workflows need no longer; implements :class:`pdwatch.ports.ImageStore`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.docker.api import NOT_FOUND, RefusedError
from pdwatch.adapters.docker.base import inspect
from pdwatch.core.names import (
    IMAGE_BUILD_LABEL,
    IMAGE_DIGEST_LABEL,
    IMAGE_VERSION_LABEL,
    IMAGE_WORKFLOW_LABEL,
)
from pdwatch.core.retention import Pruned, StoredImage, freed_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.retention import Removal

_CONFLICT = 409
_NEVER = datetime.min.replace(tzinfo=UTC)


class DockerImageStore:
    """The images of one Docker daemon."""

    def __init__(self, api: DockerApi) -> None:
        self._api = api

    async def images(self, workflow: str | None = None) -> tuple[StoredImage, ...]:
        """Return what pdwatch built for a workflow, or for all of them.

        Raises:
            DockerError: Docker can't be reached, or answers with an error.
        """
        label = IMAGE_WORKFLOW_LABEL if workflow is None else f"{IMAGE_WORKFLOW_LABEL}={workflow}"
        filters = json.dumps({"label": [label]})
        listed = await self._api.request("GET", "images/json", query={"filters": filters})
        inspected = [await inspect(self._api, image["Id"]) for image in listed]
        return tuple(_stored(image) for image in inspected if image is not None)

    async def running(self) -> frozenset[str]:
        """Return the IDs of the images of all containers, running or not.

        Raises:
            DockerError: Docker can't be reached, or answers with an error.
        """
        containers = await self._api.request("GET", "containers/json", query={"all": "1"})
        return frozenset(container["ImageID"] for container in containers)

    async def remove(self, removals: Sequence[Removal]) -> Pruned:
        """Remove images, with the nameless ones that they were built on.

        One that has come into use meanwhile stays, and one that is gone is no error.

        Raises:
            DockerError: Docker can't be reached, or answers with another error.
        """
        removed = [await self._remove(removal) for removal in removals]
        return Pruned(count=sum(size is not None for size in removed), bytes=sum(filter(None, removed)))

    async def _remove(self, removal: Removal) -> int | None:
        """Return the size of the layers that are gone with the image; None when it is still there."""
        layers, history = await self._layers(removal.image.id)
        deleted: list[str] = []
        for name in removal.references or (removal.image.id,):
            try:
                answer = await self._api.request("DELETE", f"images/{name}")
            except RefusedError as refused:
                if refused.status not in {NOT_FOUND, _CONFLICT}:
                    raise
            else:
                deleted += [each["Deleted"] for each in answer if "Deleted" in each]
        if removal.image.id not in deleted:
            return None
        return freed_bytes(layers, history, removed=min(len(deleted) - 1, len(layers)))

    async def _layers(self, image_id: str) -> tuple[Sequence[str], Sequence[tuple[str, int]]]:
        image = await inspect(self._api, image_id)
        if image is None:
            return (), ()
        history = await self._api.request("GET", f"images/{image_id}/history")
        return image["RootFS"]["Layers"], [(step["CreatedBy"], step["Size"]) for step in history]


def _stored(image: dict[str, Any]) -> StoredImage:
    labels = image["Config"]["Labels"]
    return StoredImage(
        id=image["Id"],
        workflow=labels[IMAGE_WORKFLOW_LABEL],
        version=labels.get(IMAGE_VERSION_LABEL, ""),
        source_digest=labels.get(IMAGE_DIGEST_LABEL, ""),
        references=tuple(image.get("RepoTags") or ()),
        pins=tuple(image.get("RepoDigests") or ()),
        delivered_at=_time((image.get("Metadata") or {}).get("LastTagTime")),
        building_since=_time(image["Created"]) if IMAGE_BUILD_LABEL in labels else None,
    )


def _time(text: str | None) -> datetime:
    """Read RFC 3339 with Docker's nanoseconds; no time at all is the first there is."""
    return datetime.fromisoformat(text).astimezone(UTC) if text and not text.startswith("0001") else _NEVER
