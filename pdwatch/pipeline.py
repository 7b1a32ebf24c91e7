"""From a snapshot to an image that a Deployment can name: the straight line of both commands and daemon."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pdwatch.core.image import image_references
from pdwatch.core.model import BuildRequest
from pdwatch.errors import InvalidWorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdwatch.core.model import ImageRef, SourceSnapshot, Turn
    from pdwatch.ports import ImageBuilder, ImagePublisher


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A workflow's image, where the nodes find it.

    ``ref`` is for the Deployment, ``tags`` are all references that it got, ``id`` is its ID in Docker.
    ``cached`` says that it was there before, ``builder`` what made it if not; the durations are in seconds.
    """

    ref: ImageRef
    tags: tuple[ImageRef, ...]
    id: str
    cached: bool
    builder: str | None
    build_s: float
    publish_s: float


async def image_for(
    snapshot: SourceSnapshot,
    *,
    registry: str | None = None,
    tag: str | None = None,
    builder: ImageBuilder,
    publisher: ImagePublisher,
    reuse: bool,
    clock: Callable[[], float],
    turn: Turn | None = None,
) -> Image:
    """Build and publish the image of a valid snapshot.

    Args:
        snapshot: What to build.
        registry: See :func:`pdwatch.core.image.image_references`.
        tag: See there.
        builder: Builds it.
        publisher: Publishes it.
        reuse: Whether an image that was built from exactly this snapshot will do.
        clock: Returns seconds; only differences count.
        turn: See :class:`pdwatch.core.model.BuildRequest`.

    Raises:
        InvalidWorkflowError: The snapshot has problems.
        SettingsError: ``registry`` or ``tag`` make no valid reference.
        DockerError: Or one of its subclasses, by cause.
        SourceChangedError: A file is no longer what the snapshot says.
    """
    if snapshot.spec is None:
        problems = "\n".join(map(str, snapshot.problems))
        raise InvalidWorkflowError(f"{snapshot.root} is no valid workflow:\n{problems}")
    tags = image_references(snapshot.spec, snapshot.digest, registry=registry, tag=tag)
    started = clock()
    found = await builder.find(tags[0], snapshot) if reuse else None
    image = (
        replace(found, tags=tags)
        if found
        else await builder.build(BuildRequest(snapshot=snapshot, tags=tags, turn=turn))
    )
    built = clock()
    ref = await publisher.publish(image)
    return Image(
        ref=ref,
        tags=tags,
        id=image.id,
        cached=image.cached,
        builder=image.builder,
        build_s=built - started,
        publish_s=clock() - built,
    )
