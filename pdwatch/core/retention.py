"""Which images of workflows Docker need not keep: all but the newest few and whatever is still in use."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from pdwatch.core.image import DIGEST_DIGITS, parse_reference
from pdwatch.core.image_config import EMPTY_LAYER, METADATA_INSTRUCTIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

KEPT_IMAGES = 3
"""Of each workflow, whether they are used or not."""
_COPY_FROM = "COPY --from="
ABANDONED_AFTER = timedelta(hours=1)
"""A build that has taken longer has ended, and nobody is left to remove what it made."""
ON_ITS_WAY = timedelta(minutes=10)
"""Until then an image may be another process's, and the ReplicaSet or pod that names it still to come."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """An image in Docker that pdwatch built, as far as a list tells."""

    id: str
    workflow: str
    references: tuple[str, ...] = ()
    """``repository:tag``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image in Docker that pdwatch built; its labels say ``workflow``, ``version``, ``source_digest``."""

    id: str
    workflow: str
    version: str
    source_digest: str
    references: tuple[str, ...] = ()
    """``repository:tag``."""
    pins: tuple[str, ...] = ()
    """``repository@sha256:…``, once it was pushed."""
    delivered_at: datetime | None
    """When it was last published; None before that."""
    building_since: datetime | None = None
    """When it was made, if it is what a build leaves in Docker until it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What to take away from an image: these references, or all of it, since it has no name."""

    image: StoredImage
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """An image that images of workflows are made of: a parent image, or one of third-party code."""

    id: str
    references: tuple[str, ...]
    layers: tuple[str, ...] | None = None
    """Of a parent image: the diff IDs, lowest first. None of third-party code, which is copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """What a workflow's image is made of."""

    layers: tuple[str, ...]
    """The diff IDs, lowest first."""
    copied: frozenset[str]
    """The references of the images that it was made with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many images are gone, and how many bytes with them that no other image shares."""

    count: int
    bytes: int
    made_of: tuple[Composition, ...] = ()
    """What the workflows' images that are gone were made of."""


def crowded(images: Iterable[ListedImage], *, keep: int) -> dict[str, tuple[ListedImage, ...]]:
    """Return by workflow the images of those workflows of which :func:`surplus` could choose any.

    They have more than ``keep`` images, or one without a name; of the others Docker need not be asked more.
    """
    by_workflow: defaultdict[str, list[ListedImage]] = defaultdict(list)
    for image in images:
        by_workflow[image.workflow].append(image)
    return {
        workflow: tuple(group)
        for workflow, group in by_workflow.items()
        if len(group) > keep or not all(image.references for image in group)
    }


def surplus(
    images: Sequence[StoredImage],
    *,
    in_use: Collection[str],
    keep: int,
    now: datetime,
    grace: timedelta = ON_ITS_WAY,
    first_seen: Mapping[str, datetime] | None = None,
) -> tuple[Removal, ...]:
    """Decide which images go.

    Kept are the newest ``keep`` of each workflow that have a name, what ``in_use`` names, and what has been
    delivered within ``grace``. References that pdwatch did not make stay, and with them the image.

    Args:
        images: What pdwatch built.
        in_use: References that ReplicaSets name and IDs of images that containers run.
        keep: How many of each workflow stay, used or not.
        now: For builds that nobody has ended, and images that are on their way.
        grace: How long an image with a name is on its way.
        first_seen: Of images that nobody has published yet, by ID: since when they are known to be there.
    """
    used = {_normal(each) for each in in_use}
    expected = {
        image.id
        for image in images
        if (since := image.delivered_at or (first_seen or {}).get(image.id)) and now - since < grace
    }
    by_workflow = sorted(images, key=lambda image: image.workflow)
    return tuple(
        removal
        for _, group in groupby(by_workflow, key=lambda image: image.workflow)
        for removal in _removals(list(group), used=used, expected=expected, keep=keep, now=now)
    )


def freed_bytes(layers: Sequence[str], history: Sequence[tuple[str, int]], *, removed: int) -> int:
    """Return the size of an image's topmost layers, in bytes.

    Args:
        layers: The diff IDs, lowest first.
        history: The instruction and the size of each step, newest first, as Docker lists them.
        removed: How many layers are gone with the image.
    """
    # Neither metadata nor a WORKDIR that finds its directory make a layer that has a size.
    sizes = [
        size for step, size in history if step.partition(" ")[0] not in {*METADATA_INSTRUCTIONS, "WORKDIR"}
    ]
    gone = [layer for layer in layers[len(layers) - removed :] if layer != EMPTY_LAYER]
    return sum(sizes[: len(gone)])


def copied_from(history: Sequence[tuple[str, int]]) -> frozenset[str]:
    """Return the references of the images that an image was made with, by its history (``COPY --from=``)."""
    return frozenset(
        step.removeprefix(_COPY_FROM).partition(" ")[0] for step, _ in history if step.startswith(_COPY_FROM)
    )


def unused_ingredients(
    ingredients: Sequence[Ingredient], images: Collection[Composition], *, in_use: Collection[str] = ()
) -> tuple[Ingredient, ...]:
    """Return which parent images and images of third-party code no workflow's image is made of.

    One that somebody gave a second name counts as used.

    Args:
        ingredients: All that there are.
        images: What each image that pdwatch built is made of, of all workflows.
        in_use: IDs of images that containers run.
    """
    lengths = {len(each.layers) for each in ingredients if each.layers is not None}
    lowest = {image.layers[:length] for image in images for length in lengths}
    copied = {reference for image in images for reference in image.copied}
    return tuple(
        each
        for each in ingredients
        if each.id not in in_use
        and len(each.references) <= 1
        and (each.layers not in lowest if each.layers is not None else copied.isdisjoint(each.references))
    )


def orphaned(unused: Sequence[Ingredient], gone: Collection[Composition]) -> tuple[Ingredient, ...]:
    """Return which of what is unused goes along with images that have just been removed.

    Others are unused too that a build has just made, and is about to make an image of.

    Args:
        unused: See :func:`unused_ingredients`.
        gone: What the removed images were made of.
    """
    others = unused_ingredients(unused, gone)
    return tuple(each for each in unused if each not in others)


def first_seen(ids: Iterable[str], known: Mapping[str, datetime], *, now: datetime) -> dict[str, datetime]:
    """Return since when each image is known to be as it is; what is not among ``ids`` is forgotten."""
    return {each: known.get(each, now) for each in ids}


def long_unused(
    unused: Sequence[Ingredient], first_seen: Mapping[str, datetime], *, now: datetime
) -> tuple[Ingredient, ...]:
    """Return which of what is unused has been so for a while: no build that is under way has just made it.

    Args:
        unused: See :func:`unused_ingredients`.
        first_seen: By ID, since when they are known to be unused.
        now: The time of day.
    """
    return tuple(each for each in unused if now - first_seen[each.id] >= ON_ITS_WAY)


def _removals(
    images: Sequence[StoredImage],
    *,
    used: Collection[str],
    expected: Collection[str],
    keep: int,
    now: datetime,
) -> Iterator[Removal]:
    newest_first = sorted(images, key=lambda image: (image.delivered_at or _NEVER, image.id), reverse=True)
    named = [image for image in newest_first if image.references]
    nameless = [image for image in newest_first if not image.references and not _under_way(image, now)]
    for image in named[keep:]:
        ours = tuple(ref for ref in image.references if _is_ours(ref, image))
        if ours and image.id not in expected and not _is_used(image, used):
            yield Removal(image=image, references=ours)
    for image in nameless:
        if not _is_used(image, used):
            yield Removal(image=image)


def _under_way(image: StoredImage, now: datetime) -> bool:
    return image.building_since is not None and now - image.building_since < ABANDONED_AFTER


def _is_used(image: StoredImage, used: Collection[str]) -> bool:
    return any(name in used for name in (image.id, *image.references, *image.pins))


def _is_ours(reference: str, image: StoredImage) -> bool:
    """Tell whether :func:`pdwatch.core.image.image_references` gave the image this reference."""
    ref = parse_reference(reference)
    if ref is None or ref.repository.rpartition("/")[2] != image.workflow:
        return False
    moving = image.version.replace(".", "-")
    short = image.source_digest.removeprefix("sha256:")[:DIGEST_DIGITS]
    return ref.tag in {moving, f"{moving}-{short}"}


def _normal(name: str) -> str:
    """Return a reference as Docker lists it: what is pinned by digest without its tag."""
    ref = parse_reference(name)
    if ref is None or name.startswith("sha256:"):
        return name
    return f"{ref.repository}@{ref.digest}" if ref.digest else f"{ref.repository}:{ref.tag}"
