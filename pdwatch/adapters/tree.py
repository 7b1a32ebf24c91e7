"""Walks directory trees, following symbolic links only as far as a workflow may."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pdwatch.adapters.stamps import stamp_at
from pdwatch.core.sources import kept_as_link, shippable
from pdwatch.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

    from pdwatch.adapters.stamps import Stamp

MAX_FILES = 100_000
"""More files than this below one directory are a mistake, such as a workflow.yaml in a home directory."""


class TreeChangedError(Exception):
    """Something that had been listed was gone, or another, when it was looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What lies in a tree, by POSIX path under its root."""

    files: list[str] = field(default_factory=list)
    """Regular files, those that links lead to included."""
    links: dict[str, str] = field(default_factory=dict)
    """Where symbolic links to files and directories that are followed lead to, under the root."""
    kept: dict[str, str] = field(default_factory=dict)
    """Where symbolic links that stay links lead to, relative to where they lie."""
    flaws: dict[str, str] = field(default_factory=dict)
    """What can't be shipped, and why."""
    pruned: list[str] = field(default_factory=list)
    """Directories that were not entered."""
    directories: dict[str, Stamp | None] = field(default_factory=dict)
    """What stat said of each directory right before it was listed, by its real path."""


def list_tree(root: Path, *, start: str = "", enters: Callable[[str], bool], listing: Listing) -> None:
    """Add to ``listing`` what lies in the tree below ``start``.

    Args:
        root: The directory that links must not leave; resolved.
        start: Where to begin, a path under ``root``; the root itself by default.
        enters: Whether to list a directory, by its path.
        listing: What to add to.

    Raises:
        FileNotFoundError, NotADirectoryError: ``root`` is no directory.
        OSError: A directory can't be listed for another reason than permissions, or ``root`` for any.
        TreeChangedError: A directory went while the tree was walked.
        SourceError: There are more than :data:`MAX_FILES` files.
    """
    _Walk(root=str(root), enters=enters, listing=listing).run(start)


def open_regular(path: str | Path) -> BufferedReader:
    """Open a regular file for reading; never blocks on a FIFO.

    Raises:
        OSError: It can't be opened, or is something else.
    """
    return open(path, "rb", opener=_open_regular)


def printable(path: str) -> str:
    """Return a path as messages can show it, whatever bytes it is made of."""
    return os.fsencode(path).decode(errors="backslashreplace")


def is_utf8(path: str) -> bool:
    """Return whether the path's bytes are UTF-8, which tar streams, JSON and inotify's binding ask for."""
    return path.isascii() or path == printable(path)


def _open_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file", path)
    return descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A directory to list: its path, and the real paths of it and of all that it was reached through."""

    path: str
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    root: str
    enters: Callable[[str], bool]
    listing: Listing

    def run(self, start: str) -> None:
        places = [_Place(path=start, chain=(os.path.realpath(f"{self.root}/{start}"),))]
        while places:
            places += self._list(places.pop())
            if len(self.listing.files) > MAX_FILES:
                raise SourceError(
                    f"{self.root} holds more than {MAX_FILES} files",
                    remedy="keep workflow.yaml in a directory of its own",
                )

    def _list(self, place: _Place) -> list[_Place]:
        found = []
        real = place.chain[-1]
        self.listing.directories[real] = stamp_at(real)
        try:
            entries = os.scandir(real)
        except PermissionError:
            if not place.path:
                raise
            self.listing.flaws[place.path] = "can't be listed; allow it to be (chmod u+rx)"
            return []
        except (FileNotFoundError, NotADirectoryError) as error:
            if not place.path:
                raise
            raise TreeChangedError(place.path) from error
        with entries:
            for entry in entries:
                below = self._take(entry, place)
                if below is not None:
                    found.append(below)
        return found

    def _take(self, entry: os.DirEntry[str], place: _Place) -> _Place | None:
        path = f"{place.path}/{entry.name}" if place.path else entry.name
        if not is_utf8(path):
            self.listing.flaws[printable(path)] = "has a name that is not UTF-8; rename it"
        elif entry.is_symlink():
            return self._follow(entry, path, place)
        elif entry.is_dir(follow_symlinks=False):
            return self._enter(path, entry.path, place)
        elif entry.is_file(follow_symlinks=False):
            self.listing.files.append(path)
        else:
            self.listing.flaws[path] = "is a FIFO, socket or device; only regular files can be shipped"
        return None

    def _enter(self, path: str, real: str, place: _Place) -> _Place | None:
        if self.enters(path):
            return _Place(path=path, chain=(*place.chain, real))
        self.listing.pruned.append(path)
        return None

    def _follow(self, entry: os.DirEntry[str], path: str, place: _Place) -> _Place | None:
        flaw = None
        try:
            real = os.path.realpath(entry.path, strict=True)
            mode = Path(real).stat().st_mode
        except OSError as error:
            flaw = _BROKEN_LINK.get(error.errno or 0, f"is a link that can't be followed: {error.strerror}")
        else:
            flaw = self._link_flaw(real, mode, place, path)
        if flaw is not None:
            self.listing.flaws[path] = flaw
            return None
        target = os.path.relpath(real, self.root)
        if kept_as_link(path, target):
            self.listing.kept[path] = os.path.relpath(target, place.path)
            return None
        self.listing.links[path] = target
        if stat.S_ISDIR(mode):
            return self._enter(path, real, place)
        self.listing.files.append(path)
        return None

    def _link_flaw(self, real: str, mode: int, place: _Place, path: str) -> str | None:
        if not f"{real}/".startswith(f"{self.root}/"):
            return f"is a link that leaves the directory (to {printable(real)}); copy here what it leads to"
        target = os.path.relpath(real, self.root)
        if not shippable(target):
            return f"is a link to {printable(target)}, which is never shipped; remove it"
        if stat.S_ISDIR(mode) and not kept_as_link(path, target):
            endless = any(f"{above}/".startswith(f"{real}/") for above in place.chain)
            return f"is a link to {target}, which it lies in, so that it would never end" if endless else None
        return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "is a link to a FIFO, socket or device"


_BROKEN_LINK = {
    errno.ENOENT: "is a link to something that does not exist",
    errno.ELOOP: "is a link that leads back to itself",
}
