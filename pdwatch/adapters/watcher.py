"""Tells which paths changed, by inotify, and beats when something may have been missed.

watchfiles gathers what happens, and a doorbell says when there is something to fetch from it
(docs/adr/0021-doorbell.md). The directories are watched one by one instead of recursively, since watchfiles'
recursion follows symbolic links (one to ``/usr`` costs 15 000 watches and four seconds of a blocked event
loop), and enters ``.git``. So a new directory means a new set of watches.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

from watchfiles._rust_notify import RustNotify

from pdwatch.adapters.doorbell import Doorbell, instances_exhausted, watches_exhausted
from pdwatch.adapters.tree import is_utf8
from pdwatch.core.resync import resync_interval
from pdwatch.core.sources import SECRETS_DIRECTORY, outermost
from pdwatch.errors import SourceError
from pdwatch.heartbeats import Heartbeats

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Container, Sequence
    from types import TracebackType

_TICK_S = 1.0
"""How soon a root is missed that is not what it was."""
_QUIET_S = 0.1
"""How long nothing must have happened before the watches are renewed, or doubts are put right."""
_LONGEST_STALE_S = 1.0
"""How long the watches may go without new directories when something happens all the time."""
_LAGS_S = (0.0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""How long to wait for watchfiles' thread, which learns of everything separately, again and again."""
_PROMISE_S = 120.0
"""How long finding all directories, or a look at everything that a beat leads to, may take."""

_Identity: TypeAlias = "tuple[Path, int, int] | None"


class FileWatcher:
    """Watches directory trees; implements :class:`pdwatch.ports.SourceWatcher`.

    Args:
        settle_s: How long nothing must have happened before a batch is told: long enough for an editor to
            write, rename and change the mode of one file.
        longest_s: How long a batch may grow when something happens all the time, as in a large checkout.
        beat_s: How often to say that everything should be looked at, unless there are so many files that
            :func:`pdwatch.core.resync.resync_interval` makes it less often.
        heartbeats: Where it shows that it lives.
    """

    def __init__(
        self,
        *,
        settle_s: float = 0.012,
        longest_s: float = 0.25,
        beat_s: float = 30.0,
        heartbeats: Heartbeats | None = None,
    ) -> None:
        self._settle_s = settle_s
        self._longest_s = longest_s
        self.beat_s = beat_s
        """Another one counts from the next :meth:`changes` on."""
        self.noticed_at: float | None = None
        """See :class:`pdwatch.ports.SourceWatcher`."""
        self._heartbeats = heartbeats or Heartbeats()

    async def changes(self, roots: Sequence[Path]) -> AsyncGenerator[frozenset[Path]]:
        """Yield batches of changed absolute paths under ``roots``, links resolved; empty ones are beats.

        The first beat comes as soon as the watches stand, and another whenever they had to be renewed, so
        that a consumer misses nothing that happened before. Roots may be missing, go, and come back; one that
        is a symbolic link may be turned around. Hidden directories are not watched, but for ``.secrets``.

        Raises:
            SourceError: The system's limit on inotify watches or instances is reached; names the sysctl.
        """
        refused: set[str] = set()
        with self._heartbeats.part("watch files") as show_life:
            while True:
                show_life(_PROMISE_S)
                watched = await asyncio.to_thread(_survey, tuple(roots), frozenset(refused))
                try:
                    async with aclosing(self._until_stale(watched, show_life)) as batches:
                        async for batch in batches:
                            refused.clear()
                            yield batch
                except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
                    # A directory went after the survey, or may be listed but not watched, as SELinux has it.
                    refused.add(error.filename)
                except (OSError, RuntimeError) as error:
                    _raise_unless_undecodable(error)

    async def _until_stale(
        self, watched: _Watched, show_life: Callable[[float], None]
    ) -> AsyncGenerator[frozenset[Path]]:
        """Yield batches and beats until the directories are not those that are watched any more."""
        clock = asyncio.get_running_loop().time
        with ExitStack() as stack:
            bell = stack.enter_context(Doorbell(watched.directories))
            gathering = stack.enter_context(_Gathering(watched.directories))
            beat_at = clock()
            stale_at: float | None = None
            calm = True
            while watched.identities == _identities(watched.roots):
                if clock() >= beat_at:
                    yield frozenset()
                    beat_at, calm = clock() + resync_interval(watched.files, floor_s=self.beat_s), True
                tick_s = _TICK_S if calm and stale_at is None else _QUIET_S
                rang = await bell.rings(within_s=max(0.0, min(tick_s, beat_at - clock())))
                show_life(_PROMISE_S)
                if rang:
                    self.noticed_at = bell.first_rung_at
                    calm &= await bell.settled(quiet_s=self._settle_s, at_most_s=self._longest_s)
                    batch, whole = await gathering.batch()
                    if batch:
                        yield batch
                    lost = bell.overflowed or not batch or not whole
                    if stale_at is None and (lost or any(map(_is_new_directory, batch))):
                        stale_at = clock()
                elif not calm:
                    beat_at = clock()
                if stale_at is not None and (not rang or clock() - stale_at > _LONGEST_STALE_S):
                    return


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched:
    """The directories to watch, and which directories the roots were when that was found out."""

    roots: tuple[Path, ...]
    identities: tuple[_Identity, ...]
    directories: tuple[str, ...]
    files: int
    """How many files there are in the directories."""


def _survey(roots: tuple[Path, ...], refused: Container[str]) -> _Watched:
    identities = _identities(roots)
    directories: list[str] = []
    files = 0
    for root in outermost(root.resolve() for root in roots):
        for directory, below, names in os.walk(root):
            below[:] = [name for name in below if _is_watched(name)]
            files += len(names)
            if directory not in refused and os.access(directory, os.R_OK):
                directories.append(directory)
    return _Watched(roots=roots, identities=identities, directories=tuple(directories), files=files)


def _identities(roots: tuple[Path, ...]) -> tuple[_Identity, ...]:
    """Return which directory is at each root: inotify does not tell when a directory above is moved."""
    return tuple(_identity(root) for root in roots)


def _identity(root: Path) -> _Identity:
    try:
        found = root.stat()
    except OSError:
        return None
    return Path(os.path.realpath(root)), found.st_dev, found.st_ino


class _Gathering:
    """Has watchfiles gather what happens in directories from now on; to be closed.

    It learns of everything in a thread of its own, and does not say how far that has come. So a batch ends
    with a cookie, as in Watchman: a change to a file of our own that is watched too. inotify keeps the order,
    so that what happened before the cookie has been told once the cookie is. The file is an anonymous one in
    memory.
    """

    def __init__(self, directories: Sequence[str]) -> None:
        self._file = os.memfd_create("pdwatch")
        self._cookie = f"/proc/self/fd/{self._file}"
        try:
            self._notify = RustNotify(
                [self._cookie, *directories],
                debug=False,
                force_polling=False,
                poll_delay_ms=0,
                recursive=False,
                ignore_permission_denied=False,
            )
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        """Return itself, to be closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop gathering."""
        self._notify.close()
        os.close(self._file)

    async def batch(self) -> tuple[frozenset[Path], bool]:
        """Return what has been gathered since the last batch, and whether that is all that happened."""
        os.utime(self._file)
        paths: set[str] = set()
        for lag_s in _LAGS_S:
            await asyncio.sleep(lag_s)
            gathered = self._notify.watch(debounce_ms=0, step_ms=0, timeout_ms=1, stop_event=None)
            if isinstance(gathered, set):
                paths.update(path for _, path in gathered)
            if self._cookie in paths:
                break
        whole = self._cookie in paths
        return frozenset(Path(path) for path in paths - {self._cookie}), whole


def _is_new_directory(path: Path) -> bool:
    # Events about a directory itself come only when it was made, moved, deleted, or its mode changed.
    return _is_watched(path.name) and path.is_dir() and not path.is_symlink()


def _is_watched(name: str) -> bool:
    # watchfiles takes no path that is not UTF-8.
    return (not name.startswith(".") or name == SECRETS_DIRECTORY) and is_utf8(name)


def _raise_unless_undecodable(error: Exception) -> None:
    """Raise what watchfiles met in pdwatch's words.

    It gives up on a file whose name is not UTF-8, wherever it lies; then the watches have to be renewed.
    """
    message = str(error)
    if "Unable to decode path" in message:
        return
    if "file watch limit reached" in message:
        raise watches_exhausted() from error
    if "Too many open files" in message:
        raise instances_exhausted() from error
    raise SourceError(f"watching files failed: {message}") from error
