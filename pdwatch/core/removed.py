"""Whether a workflow whose directory is gone may be undeployed; docs/housekeeping.md says it in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from pdwatch.core.model import ObservedDeployment, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedWorkflow:
    """What was known of a directory when it went."""

    root: Path
    place: Place
    delivered: str
    """The source digest that was last brought there from it."""
    beside: frozenset[Path]
    """The other directories that were known then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedDirectory:
    """A workflow directory that is there; ``place`` is None until it has been read."""

    root: Path
    place: Place | None = None
    valid: bool = False
    why: str = ""
    """Why it has not been read, as far as that is known."""


class Fate(Enum):
    """What becomes of what was deployed."""

    UNDEPLOY = auto()
    LEAVE = auto()
    LOOK_AGAIN = auto()
    """What has been seen so far does not tell."""


def fate(
    removed: RemovedWorkflow,
    directories: Collection[WatchedDirectory],
    observed: ObservedDeployment | None,
    *,
    intact: bool,
) -> Fate:
    """Decide, some time after a directory went.

    Args:
        removed: The directory.
        directories: Those that are there now.
        observed: The Deployment as last seen.
        intact: Whether all that the directory lay in is what it was, and not, for example, unmounted.
    """
    if not intact or observed is None or removed.delivered not in _sources(observed):
        return Fate.LEAVE
    if any(each.root == removed.root or each.place == removed.place for each in directories):
        return Fate.LEAVE
    return Fate.UNDEPLOY if in_the_way(removed, directories) is None else Fate.LOOK_AGAIN


def in_the_way(
    removed: RemovedWorkflow, directories: Collection[WatchedDirectory]
) -> WatchedDirectory | None:
    """Return a directory that may be the removed one under another path, which only reading it can tell."""
    unknown = (
        each
        for each in directories
        if each.place is None or (each.root not in removed.beside and not each.valid)
    )
    return next(unknown, None)


def _sources(observed: ObservedDeployment) -> tuple[str | None, str | None]:
    return observed.source_digest, observed.rolled_back_from
