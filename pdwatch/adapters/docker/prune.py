"""Removes images that workflows need no longer; implements :class:`pdwatch.ports.ImageStore`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from sys import intern
from typing import TYPE_CHECKING, Any, TypeVar

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
from pdwatch.core.retention import (
    Composition,
    Ingredient,
    ListedImage,
    Pruned,
    StoredImage,
    copied_from,
    freed_bytes,
    unused_ingredients,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.retention import Removal

T = TypeVar("T")

_CONFLICT = 409
_NAMELESS = "<none>:<none>"


class DockerImageStore:
    """The images of one Docker daemon."""

    def __init__(self, api: DockerApi) -> None:
        self._api = api
        self._layers: dict[str, dict[str, tuple[str, ...]]] = {}
        """By label and ID; those of one ID are always the same."""
        self._copied: dict[str, frozenset[str]] = {}
        """By the ID of a workflow's image: the references of the images that it was made with."""

    async def listed(self) -> tuple[ListedImage, ...]:
        """Return what pdwatch built, for all workflows: a single request, which takes Docker a while.

        Docker reads the configuration of each image that it has, whatever it is asked to list.

        Raises:
            DockerError: Docker can't be reached, or answers with an error.
        """
        return tuple(
            ListedImage(
                id=image["Id"],
                workflow=image["Labels"][IMAGE_WORKFLOW_LABEL],
                references=_names(image),
            )
            for image in await self._labelled(IMAGE_WORKFLOW_LABEL)
        )

    async def images(self, listed: Iterable[ListedImage]) -> tuple[StoredImage, ...]:
        """Look at each of these images; those that are gone are left out.

        Raises:
            DockerError: Docker can't be reached, or answers with an error.
        """
        found = [await inspect(self._api, each.id) for each in listed]
        return tuple(_stored(image) for image in found if image is not None)

    async def running(self) -> frozenset[str]:
        """Return the IDs of the images of all containers, running or not.

        Raises:
            DockerError: Docker can't be reached, or answers with an error.
        """
        containers = await self._api.request("GET", "containers/json", query={"all": "1"})
        return frozenset(container["ImageID"] for container in containers)

    async def unused(self, *, in_use: Collection[str] = ()) -> tuple[Ingredient, ...]:
        """Return which parent images and images of third-party code no workflow's image is made of.

        Args:
            in_use: IDs of images that stay.

        Raises:
            DockerError: Docker can't be reached, or answers with an error.
        """
        code = [
            Ingredient(id=each, references=references)
            for each, references in (await self._listed(IMAGE_DEPENDENCIES_LABEL)).items()
        ]
        listed = await self._listed(IMAGE_PARENT_LABEL)
        parents = [
            Ingredient(id=each, references=listed[each], layers=layers)
            for each, layers in (await self._layers_of(IMAGE_PARENT_LABEL, listed)).items()
        ]
        if not code and not parents:
            return ()
        images = await self._layers_of(IMAGE_WORKFLOW_LABEL, await self._listed(IMAGE_WORKFLOW_LABEL))
        copied = await self._copied_by(images) if code else {}
        made = [
            Composition(layers=layers, copied=copied.get(each, frozenset()))
            for each, layers in images.items()
        ]
        return unused_ingredients([*code, *parents], made, in_use=in_use)

    async def remove(self, removals: Iterable[Removal]) -> Pruned:
        """Remove images of workflows, with the nameless ones that they were built on.

        One that has come into use or been published again meanwhile stays, and one that is gone is no error.

        Raises:
            DockerError: Docker can't be reached, or answers with another error.
        """
        made_of: list[Composition] = []
        freed: list[int] = []
        for each in removals:
            history = await self._history(each.image.id)
            found = await inspect(self._api, each.image.id)
            if found is None or _last_tagged(found) != each.image.delivered_at:
                continue  # it may be wanted at once
            size = await self._delete(each.image.id, each.references or (each.image.id,))
            if size is not None:
                freed.append(size)
                layers = tuple(found["RootFS"]["Layers"])
                made_of.append(Composition(layers=layers, copied=copied_from(history)))
        return Pruned(count=len(freed), bytes=sum(freed), made_of=tuple(made_of))

    async def remove_ingredients(self, unused: Iterable[Ingredient]) -> Pruned:
        """Remove what images of workflows were made of; what has come into use meanwhile stays.

        Raises:
            DockerError: Docker can't be reached, or answers with another error.
        """
        freed = [await self._delete(each.id, (each.id,)) for each in unused]
        sizes = [size for size in freed if size is not None]
        return Pruned(count=len(sizes), bytes=sum(sizes))

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

    async def _layers_of(self, label: str, ids: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """Return the layers of each image with a label, by its ID; Docker is asked once for each.

        What it has said is kept when this is cancelled: with thousands of images the next one goes on there.
        """
        known = self._layers[label] = _only(ids, self._layers.get(label, {}))
        for each in ids:
            if each not in known and (image := await inspect(self._api, each)):
                known[each] = tuple(map(intern, image["RootFS"]["Layers"]))
        return known

    async def _copied_by(self, ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the references of the images that each was made with; Docker is asked as for layers."""
        known = self._copied = _only(ids, self._copied)
        for each in ids:
            # An image that is gone has no history, and may come back under the same ID.
            if each not in known and (history := await self._history(each)):
                known[each] = copied_from(history)
        return known

    async def _listed(self, label: str) -> Mapping[str, tuple[str, ...]]:
        """Return the references of each image with a label, by its ID."""
        return {image["Id"]: _names(image) for image in await self._labelled(label)}

    async def _labelled(self, label: str) -> Sequence[dict[str, Any]]:
        filters = json.dumps({"label": [label]})
        listed: list[dict[str, Any]] = await self._api.request(
            "GET", "images/json", query={"filters": filters}
        )
        return listed

    async def _history(self, image_id: str) -> Sequence[tuple[str, int]]:
        """Return the instruction and the size of each step, newest first; none of an image that is gone."""
        try:
            history = await self._api.request("GET", f"images/{image_id}/history")
        except RefusedError as refused:
            if refused.status == NOT_FOUND:
                return ()
            raise
        return [(step["CreatedBy"], step["Size"]) for step in history]


def _only(ids: Iterable[str], known: Mapping[str, T]) -> dict[str, T]:
    return {each: known[each] for each in ids if each in known}


def _names(listed: dict[str, Any]) -> tuple[str, ...]:
    """Return the references of an image in a list, where older Dockers have a placeholder for none."""
    return tuple(name for name in listed["RepoTags"] or () if name != _NAMELESS)


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
