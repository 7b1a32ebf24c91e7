"""Reads the log files that daemons write, and follows them across rotation."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Self

from watchfiles import watch

from pdwatch.adapters.log_file import log_files, put_aside
from pdwatch.core.log_records import merged, read_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from pdwatch.core.log_records import Record

_STEP_MS = 10
_DEBOUNCE_MS = 100
_LOOK_MS = 1_000
"""How often to look by itself: of what is written before the watch stands nothing is told."""


class LogReader:
    """What daemons have written to a file and its like, and what they write next; a context manager.

    Files that were read stay open: a name tells nothing, since files are renamed when they are put aside, and
    the number of a file that is gone may be another's next.

    Args:
        path: The file that the settings name; those that were put aside, and other daemons', lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[tuple[int, int], _File] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def newest_first(self) -> Iterator[Record]:
        """Open the files, and return the records that there are; :meth:`appended` goes on from here.

        Raises:
            PermissionError: A file is somebody else's.
        """
        return merged([self._records_of(path) for path in log_files(self._path)])

    def appended(self) -> Iterator[Sequence[Record]]:
        """Yield the records that come, in batches that are each in order of time, until interrupted."""
        events = watch(
            self._path.parent,
            watch_filter=None,
            step=_STEP_MS,
            debounce=_DEBOUNCE_MS,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            recursive=False,
        )
        for _ in events:
            for path in log_files(self._path):
                self._open(path)
            records = [record for file in self._files.values() for record in _records(file.unread())]
            self._forget()
            if records:
                yield sorted(records, key=lambda record: record.at)

    def _records_of(self, path: Path) -> Iterator[Record]:
        """Open one daemon's files, and return their records, newest first; old files are read when needed."""
        files = self._open(path)
        newest = [file.unread() for file in files[:1]]
        for file in files[1:]:
            file.skip()
        contents = chain(newest, (file.whole() for file in files[1:]))
        return (record for content in contents for record in reversed(_records(content)))

    def _open(self, path: Path) -> Sequence[_File]:
        """Open what has not been, of one daemon's files; return these, newest first."""
        opened = []
        for each in (path, *put_aside(path)):
            with suppress(FileNotFoundError):
                file = _File(each.open("rb"))
                if file.identity in self._files:
                    file.close()
                else:
                    self._files[file.identity] = file
                    opened.append(file)
        return opened

    def _forget(self) -> None:
        """Close the files that have been deleted."""
        for file in [file for file in self._files.values() if file.is_deleted]:
            file.close()
            del self._files[file.identity]


class _File:
    """An open file, and how much of it has been read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offset = 0
        found = os.fstat(file.fileno())
        self.identity = (found.st_dev, found.st_ino)

    @property
    def is_deleted(self) -> bool:
        return os.fstat(self._file.fileno()).st_nlink == 0

    def close(self) -> None:
        self._file.close()

    def skip(self) -> None:
        """Count as read what there is."""
        self._offset = os.fstat(self._file.fileno()).st_size

    def whole(self) -> bytes:
        """Return everything, read or not."""
        self._file.seek(0)
        return self._file.read()

    def unread(self) -> bytes:
        """Return the whole lines that have not been read."""
        if os.fstat(self._file.fileno()).st_size < self._offset:
            self._offset = 0  # somebody has emptied it
        self._file.seek(self._offset)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole


def _records(content: bytes) -> list[Record]:
    return [record for line in content.splitlines() if (record := read_line(line)) is not None]
