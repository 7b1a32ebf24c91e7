"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass

RATIO_TO_PATCHED = 1.3
"""Goals: from a save to the patched Deployment, over the floor;"""
RATIO_TO_READY = 1.1
"""from a save to ready, over a bare apply of a ready image;"""
RATIO_OF_GROWTH = 1.1
"""a save among many workflows, over one among one;"""
RATIO_OF_BURST = 1.3
"""and a burst of saves, over what its builds take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The extent of a run."""

    saves: int = 20
    """Samples of each figure of a single save."""
    sizes: tuple[int, ...] = (1, 10, 100, 200, 1000)
    """Numbers of workflows."""
    idle_s: float = 60.0
    """How long the daemon is watched doing nothing; half of it with few workflows."""
    burst: int = 100
    """How many workflows are saved at once."""
    repeats: int = 3
    """How often a burst is measured."""
    flurry: int = 50
    """How often one workflow is saved within a second."""
    big_files: int = 2000
    big_bytes: int = 25_000
    """The files of the big workflow, and the size of each."""
    starts: int = 10
    """Samples of each command's start."""


QUICK = Options(
    saves=1, sizes=(2,), idle_s=1.0, burst=4, repeats=1, flurry=10, big_files=50, big_bytes=2_000, starts=1
)
