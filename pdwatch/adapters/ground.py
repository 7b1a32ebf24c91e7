"""The directories that workflows lie in; implements :class:`pdwatch.ports.Ground`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_Identity = tuple[int, int]


class DirectoryGround:
    """Tells a directory that was removed from one whose file system, or whose root, went as a whole.

    Args:
        roots: The watched directories.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = frozenset(roots)
        self._above: dict[Path, dict[Path, _Identity | None]] = {}

    def watch(self, roots: Sequence[Path]) -> None:
        """Go by other watched directories from now on."""
        self._roots = frozenset(roots)

    def note(self, directory: Path) -> None:
        """Remember what a directory lies in, up to its root; nothing of one that is below no root."""
        if self._roots.intersection(directory.parents):
            self._above[directory] = {each: _identity(each) for each in self._chain(directory)}

    def intact(self, directory: Path) -> bool:
        """Return whether what it lay in, up to its root, is what it was, or was removed along with it.

        A root that was unmounted leaves another directory, the mount point, or none at all.
        """
        noted = self._above.get(directory)
        if not noted or directory in self._roots:
            return False
        now = {each: _identity(each) for each in noted}
        return all(
            now[each] == noted[each] or (now[each] is None and each not in self._roots) for each in noted
        )

    def _chain(self, directory: Path) -> Iterator[Path]:
        for above in directory.parents:
            yield above
            if above in self._roots:
                return


def _identity(directory: Path) -> _Identity | None:
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
