"""Rings when something happens in a set of directories, and costs nothing while nothing does.

It is inotify(7) without the names: what happened is for others to find out. watchfiles has no such thing; it
looks at what has been gathered every few milliseconds for as long as it is waited for
(docs/adr/0021-doorbell.md).
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING, Self

from pdwatch.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

_LIBC = ctypes.CDLL(None, use_errno=True)

_IN_MODIFY, _IN_ATTRIB = 0x2, 0x4
_IN_MOVED_FROM, _IN_MOVED_TO, _IN_MOVE_SELF = 0x40, 0x80, 0x800
_IN_CREATE, _IN_DELETE, _IN_DELETE_SELF = 0x100, 0x200, 0x400
_IN_Q_OVERFLOW, _IN_IGNORED = 0x4000, 0x8000
_IN_ONLYDIR = 0x1000000
_MASK = (
    _IN_ONLYDIR
    | (_IN_MODIFY | _IN_ATTRIB)
    | (_IN_CREATE | _IN_DELETE | _IN_DELETE_SELF)
    | (_IN_MOVED_FROM | _IN_MOVED_TO | _IN_MOVE_SELF)
)
"""What watchfiles tells of, and no more: reading a file must not ring."""
_EVENT = struct.Struct("iIII")
"""``struct inotify_event`` without its name: watch, mask, cookie, length of the name."""
_READ_BYTES = 1 << 16


class Doorbell:
    """Waits for something to happen in any of the directories, but not below them; to be closed.

    Args:
        directories: Paths of directories.

    Raises:
        OSError: A directory is not there (any more), or can't be read.
        SourceError: A limit of the system on inotify is reached; names the sysctl.
    """

    def __init__(self, directories: Iterable[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()
        self._rung_at = 0.0
        self.first_rung_at = 0.0
        """When, in loop time, the first happened of what :meth:`settled` waits for the end of."""
        self.overflowed = False
        """Whether so much happened at once that the kernel has dropped some of it."""
        self._descriptor = _require(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")
        try:
            for directory in directories:
                watch = _LIBC.inotify_add_watch(self._descriptor, os.fsencode(directory), _MASK)
                _require(watch, directory)
        except (OSError, SourceError):
            os.close(self._descriptor)
            raise
        self._loop.add_reader(self._descriptor, self._hear)

    def __enter__(self) -> Self:
        """Return the bell itself, to be closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    async def rings(self, *, within_s: float) -> bool:
        """Return True once something has happened since the last :meth:`settled`, False when time is up."""
        try:
            async with asyncio.timeout(within_s):
                await self._rung.wait()
        except TimeoutError:
            return False
        return True

    async def settled(self, *, quiet_s: float, at_most_s: float) -> bool:
        """Return True once nothing has happened for ``quiet_s``, or False after ``at_most_s``."""
        until = self._loop.time() + at_most_s
        while (left := min(self._rung_at + quiet_s, until) - self._loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)  # not for an event, but for that none comes
        self._rung.clear()
        return self._loop.time() - self._rung_at >= quiet_s

    def _hear(self) -> None:
        masks = list(_masks(os.read(self._descriptor, _READ_BYTES)))
        self.overflowed |= any(mask & _IN_Q_OVERFLOW for mask in masks)
        if any(not mask & _IN_IGNORED for mask in masks):
            self._rung_at = self._loop.time()
            if not self._rung.is_set():
                self.first_rung_at = self._rung_at
            self._rung.set()


def watches_exhausted() -> SourceError:
    """Return the error for the limit on what all inotify instances of a user may watch."""
    return SourceError(
        "the system's limit on inotify watches is reached",
        remedy="raise it (sysctl fs.inotify.max_user_watches=524288), or watch fewer directories",
    )


def instances_exhausted() -> SourceError:
    """Return the error for the limit on a user's inotify instances, or a process' open files."""
    return SourceError(
        "the system's limit on inotify instances is reached",
        remedy="raise it (sysctl fs.inotify.max_user_instances=512, or ulimit -n), or end other watchers",
    )


def _require(result: int, path: str) -> int:
    if result >= 0:
        return result
    number = ctypes.get_errno()
    if number == errno.ENOSPC:
        raise watches_exhausted()
    if number == errno.EMFILE:
        raise instances_exhausted()
    raise OSError(number, os.strerror(number), path)


def _masks(events: bytes) -> Iterator[int]:
    place = 0
    while place < len(events):
        _, mask, _, length = _EVENT.unpack_from(events, place)
        yield mask
        place += _EVENT.size + length
