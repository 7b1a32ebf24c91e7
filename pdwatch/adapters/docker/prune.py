"""Removes images that workflows need no longer; implements :class:`pdwatch.ports.ImageStore`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from sys import intern
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.docker.api import NOT_FOUND, RefusedError
from pdwatch.adapters.docker.base import inspect
from pdwatch.core.names import (
    IMAGE_BUILD_LABEL,
    IMAGE_DEPENDENCIES_LABEL,
    IMAGE_DIGEST_LABEL,
    IMAGE_PARENT_LABEL,
    IMAGE_VERSION_LABEL,
    IMAGE_WORKFLOW_LABEL,
)
from pdwatch.core.retention import Pruned, StoredImage, copied_from, freed_bytes, unused_parents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.retention import Removal

_CONFLICT = 409


class DockerImageStore:
    """The images of one Docker daemon."""

    def __init__(self, api: DockerApi) -> None:
        self._api = api
        self._layers: dict[str, Mapping[str, Sequence[str]]] = {}
        """By label and ID; those of one ID are always the same."""

    async def images(self, workflow: str | None = None) -> tuple[StoredImage, ...]:
        """Return what pdwatch built for a workflow, or for all of them.

        Raises:
            DockerError: Docker can't be reached, or answers with an error.
        """
        label = IMAGE_WORKFLOW_LABEL if workflow is None else f"{IMAGE_WORKFLOW_LABEL}={workflow}"
        return tuple([_stored(image) for image in await self._labelled(label)])

    async def running(self) -> frozenset[str]:
        """Return the IDs of the images of all containers, running or not.

        Raises:
            DockerError: Docker can't be reached, or answers with an error.
        """
        containers = await self._api.request("GET", "containers/json", query={"all": "1"})
        return frozenset(container["ImageID"] for container in containers)

    async def remove(self, removals: Sequence[Removal]) -> Pruned:
        """Remove images, with the nameless ones that they were built on, and what was made for them alone.

        One that has come into use or been published again meanwhile stays, and one that is gone is no error.

        Raises:
            DockerError: Docker can't be reached, or answers with another error.
        """
        sources: set[str] = set()
        freed: list[int | None] = []
        for each in removals:
            sources |= copied_from(await self._history(each.image.id))
            if not await self._published_since(each.image):
                freed.append(await self._delete(each.image.id, each.references or (each.image.id,)))
        unused = await self._unused(sources)
        freed += [await self._delete(source, (source,)) for source in sorted(unused)]
        if any(size is not None for size in freed):
            freed += [await self._delete(parent, (parent,)) for parent in await self._unused_parents()]
        return Pruned(count=sum(size is not None for size in freed), bytes=sum(filter(None, freed)))

    async def _published_since(self, image: StoredImage) -> bool:
        """Tell whether somebody has published an image since it was looked at: it may be wanted at once."""
        found = await inspect(self._api, image.id)
        return found is not None and _last_tagged(found) != image.delivered_at

    async def _delete(self, image: str, names: Sequence[str]) -> int | None:
        """Return the size of the layers that are gone with the image; None when it is still there."""
        found = await inspect(self._api, image)
        if found is None:
            return None
        history = await self._history(found["Id"])
        deleted: list[str] = []
        for name in names:
            try:
                answer = await self._api.request("DELETE", f"images/{name}")
            except RefusedError as refused:
                if refused.status not in {NOT_FOUND, _CONFLICT}:
                    raise
            else:
                deleted += [each["Deleted"] for each in answer if "Deleted" in each]
        if found["Id"] not in deleted:
            return None
        layers = found["RootFS"]["Layers"]
        return freed_bytes(layers, history, removed=min(len(deleted) - 1, len(layers)))

    async def _unused(self, sources: set[str]) -> set[str]:
        """Return which images of third-party code no workflow's image was made with."""
        ours = {source for source in sources if await self._holds_dependencies(source)}
        for image in await self.images() if ours else ():
            ours -= copied_from(await self._history(image.id))
            if not ours:
                break
        return ours

    async def _unused_parents(self) -> Sequence[str]:
        """Return the parent images that no workflow's image is made of; a build makes what it lacks."""
        parents = await self._layers_of(IMAGE_PARENT_LABEL)
        images = await self._layers_of(IMAGE_WORKFLOW_LABEL) if parents else {}
        return sorted(unused_parents(parents, images.values()))

    async def _layers_of(self, label: str) -> Mapping[str, Sequence[str]]:
        """Return the layers of each image with a label, by its ID; Docker is asked once for each."""
        known = self._layers.get(label, {})
        ids = await self._ids(label)
        new = [await inspect(self._api, each) for each in ids if each not in known]
        layers = {image["Id"]: tuple(map(intern, image["RootFS"]["Layers"])) for image in new if image}
        self._layers[label] = layers | {each: known[each] for each in ids if each in known}
        return self._layers[label]

    async def _labelled(self, label: str) -> Sequence[dict[str, Any]]:
        """Return what Docker says of each image with a label."""
        inspected = [await inspect(self._api, each) for each in await self._ids(label)]
        return [image for image in inspected if image is not None]

    async def _ids(self, label: str) -> Sequence[str]:
        filters = json.dumps({"label": [label]})
        listed = await self._api.request("GET", "images/json", query={"filters": filters})
        return [image["Id"] for image in listed]

    async def _holds_dependencies(self, reference: str) -> bool:
        found = await inspect(self._api, reference)
        return found is not None and IMAGE_DEPENDENCIES_LABEL in (found["Config"].get("Labels") or {})

    async def _history(self, image_id: str) -> Sequence[tuple[str, int]]:
        """Return the instruction and the size of each step, newest first; none of an image that is gone."""
        try:
            history = await self._api.request("GET", f"images/{image_id}/history")
        except RefusedError as refused:
            if refused.status == NOT_FOUND:
                return ()
            raise
        return [(step["CreatedBy"], step["Size"]) for step in history]


def _stored(image: dict[str, Any]) -> StoredImage:
    labels = image["Config"]["Labels"]
    return StoredImage(
        id=image["Id"],
        workflow=labels[IMAGE_WORKFLOW_LABEL],
        version=labels.get(IMAGE_VERSION_LABEL, ""),
        source_digest=labels.get(IMAGE_DIGEST_LABEL, ""),
        references=tuple(image.get("RepoTags") or ()),
        pins=tuple(image.get("RepoDigests") or ()),
        delivered_at=_last_tagged(image),
        building_since=_time(image["Created"]) if IMAGE_BUILD_LABEL in labels else None,
    )


def _last_tagged(image: dict[str, Any]) -> datetime | None:
    return _time((image.get("Metadata") or {}).get("LastTagTime"))


def _time(text: str | None) -> datetime | None:
    """Read RFC 3339 with Docker's nanoseconds; None for Go's zero time."""
    return datetime.fromisoformat(text).astimezone(UTC) if text and not text.startswith("0001") else None
