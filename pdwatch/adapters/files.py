"""Reads workflow directories: which there are, what is in one at an instant, and what its files hold."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pdwatch.adapters.scan import CHUNK_BYTES, Memory, moved, scan
from pdwatch.adapters.search import Search, search
from pdwatch.adapters.secrets import read_secrets
from pdwatch.adapters.tree import TreeChangedError, open_regular
from pdwatch.errors import NotFoundError, SourceChangedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from pdwatch.core.model import SourceFile, SourceSnapshot

_ATTEMPTS = 3


class FileSource:
    """Reads workflow directories; implements :class:`pdwatch.ports.SourceReader`.

    A file that has been read is not read again until its stat shows a change, so that a scan after one save
    costs one stat a file and one read.

    Args:
        recipe: Stands for what pdwatch adds to every image; see :func:`pdwatch.core.sources.source_digest`.
    """

    def __init__(self, *, recipe: str) -> None:
        self._recipe = recipe
        self._memories: dict[Path, Memory] = {}
        self._search: Search | None = None

    async def scan(self, root: Path) -> SourceSnapshot:
        """Take a snapshot of the directory as it is now.

        What a person has to put right in the directory is a problem of the snapshot, not an error.

        Raises:
            NotFoundError: There is no ``workflow.yaml`` in ``root``.
            SourceChangedError: Files kept changing while they were read.
            SourceError: The directory or a file can't be read.
        """
        return await asyncio.to_thread(self._scan, root)

    async def moved(self, roots: Collection[Path]) -> frozenset[Path]:
        """Return those of ``roots``, resolved paths, where another scan may find something else.

        It costs a stat a file. Directories that have not been scanned are among them.
        """
        return await asyncio.to_thread(self._moved, tuple(roots))

    async def discover(
        self, roots: Sequence[Path], *, passed_over: Callable[[Path, Path], None] = lambda *_: None
    ) -> frozenset[Path]:
        """Find every directory at or under ``roots`` that holds a ``workflow.yaml``, as resolved paths.

        Hidden directories and third-party code (``vendor``, ``node_modules``) are not searched, nor are
        symbolic links followed: what they lead to is found at its own place, or lies elsewhere. Searching the
        same roots again costs one stat a directory where nothing has changed.

        Args:
            roots: Where to look.
            passed_over: Called with each link to a workflow that lies elsewhere, and where that is.

        Raises:
            NotFoundError: A root does not exist, or is no directory.
            SourceError: A root can't be listed.
        """
        self._search = found = await asyncio.to_thread(search, roots, self._search)
        for link, target in sorted(found.passed_over.items()):
            passed_over(link, target)
        return found.workflows

    async def secrets(self, root: Path) -> Mapping[str, bytes]:
        """Read the local secrets; see :func:`pdwatch.adapters.secrets.read_secrets`."""
        return await asyncio.to_thread(read_secrets, root)

    def _moved(self, roots: Iterable[Path]) -> frozenset[Path]:
        return frozenset(root for root in roots if moved(root, self._memories.get(root, Memory())))

    def _scan(self, root: Path) -> SourceSnapshot:
        root = Path(os.path.realpath(root))  # Path.resolve raises RuntimeError where links lead in a circle
        for _ in range(_ATTEMPTS):
            try:
                snapshot, memory = scan(root, self._memories.get(root, Memory()), recipe=self._recipe)
            except TreeChangedError as error:
                changed = str(error)
            except NotFoundError:
                self._memories.pop(root, None)
                raise
            else:
                self._memories[root] = memory
                return snapshot
        raise SourceChangedError(
            f"{root / changed} changes while it is read",
            remedy="keep files that a program goes on writing outside the workflow",
        )


def read_verified(snapshot: SourceSnapshot, file: SourceFile) -> Iterator[bytes]:
    """Yield a file's content in chunks, and make sure that it still is what the snapshot says.

    The last chunk comes only after the whole content has proved right, so that no reader ever holds a
    complete file that differs.

    Raises:
        SourceChangedError: The file is gone, or differs in size or content.
        SourceError: It can't be read.
    """
    path = snapshot.root / file.path
    changed = SourceChangedError(f"{path} changed after it was scanned")
    content = hashlib.sha256()
    left = file.size
    last = b""
    try:
        with open_regular(path) as source:
            if os.fstat(source.fileno()).st_size != file.size:
                raise changed
            while chunk := source.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise changed
                content.update(chunk)
                if last:
                    yield last
                last = chunk
    except FileNotFoundError:
        raise changed from None
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}") from error
    if content.hexdigest() != file.digest:
        raise changed
    if last:
        yield last
