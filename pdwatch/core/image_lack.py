"""Pods that can't get their image: whether it is gone, or only out of the node's reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdwatch.core.observed import IMAGE_PULL

if TYPE_CHECKING:
    from pdwatch.core.model import ImageRef, RolloutStatus

_NOT_HAD = frozenset({IMAGE_PULL, "ErrImageNeverPull"})
"""Reasons of a container whose image is neither on the node nor where the node looks for it."""
_UNKNOWN = ("not found", "manifest unknown", "name unknown", "not known to registry")
"""How registries say that they have no such image (OCI distribution spec: MANIFEST_UNKNOWN, NAME_UNKNOWN)."""
AWAITED_S = 330.0
"""A node has tried again by then: the kubelet's back-off between pulls grows to five minutes.

An image that is on the node it finds without a pull, whenever it looks at the pod.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLack:
    """An image that pods of the newest revision can't get."""

    ref: ImageRef
    """What the Deployment names; pinned by digest if it was pushed."""
    in_docker: bool = False
    """Whether Docker has it, made from what is saved."""
    unknown: bool = False
    """Whether its registry says that it has no such image."""
    awaited: bool = False
    """Whether it was brought back so lately that the node may not have tried again."""

    @property
    def gone(self) -> bool:
        """Whether it has to be made, or pushed, again."""
        return (self.unknown and not self.awaited) if self.ref.digest else not self.in_docker

    @property
    def out_of_reach(self) -> bool:
        """Whether the node looks for it elsewhere than in the Docker that has it."""
        return self.ref.digest is None and self.in_docker and not self.awaited


def lacks_image(status: RolloutStatus | None) -> bool:
    """Tell whether pods of the current revision wait for an image that they can't get."""
    return status is not None and status.reason in _NOT_HAD


def is_unknown(status: RolloutStatus) -> bool:
    """Tell whether the registry says that it has no such image."""
    message = status.message.lower()
    return any(words in message for words in _UNKNOWN)


def newly_lacks_image(before: RolloutStatus | None, now: RolloutStatus) -> bool:
    """Tell whether a status says for the first time that pods lack their image, or that it is nowhere."""
    if not lacks_image(now):
        return False
    if before is None or not lacks_image(before) or before.generation != now.generation:
        return True
    return is_unknown(now) and not is_unknown(before)
