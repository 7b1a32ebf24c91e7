"""Whether files and directories are what they were, by stat alone."""

from __future__ import annotations

import os
import stat
from typing import TypeAlias

Stamp: TypeAlias = "tuple[int, ...]"
"""Type, device, inode, size, mtime and, last, ctime; times in nanoseconds."""

_SETTLED_NS = 2_000_000_000
"""The coarsest timestamps of any file system (FAT)."""


def stamp(found: os.stat_result) -> Stamp:
    """Return what tells a file from another, and from itself after a change."""
    return (
        stat.S_IFMT(found.st_mode),
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def stamp_at(location: str) -> Stamp | None:
    """Return the stamp of what is there, links followed; None when nothing is, or it can't be seen."""
    try:
        return stamp(os.stat(location))  # noqa: PTH116  # a Path takes longer than its stat
    except OSError:
        return None


def is_settled(*, changed_ns: int, read_ns: int) -> bool:
    """Return whether a later change of a file must show in its ctime.

    ctime counts, not mtime: nobody can set it back.

    Args:
        changed_ns: The file's ctime.
        read_ns: When reading it began, by the same clock.
    """
    return read_ns - changed_ns >= _SETTLED_NS
