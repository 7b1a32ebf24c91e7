"""One daemon a directory, without writing anything: BSD locks on the directories themselves.

A daemon holds an exclusive lock on each of its roots and a shared one on every directory above (intention
locks, as databases use for tables and rows), so that two daemons exclude each other on nested roots too,
whichever started first. The kernel drops the locks with the process, ``kill -9`` included. systemd-tmpfiles
passes over directories that are locked, shared or not, so it does not clean up around a workflow under
``/tmp`` meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pdwatch.errors import AlreadyWatchedError, NotFoundError, PdwatchError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST_COMMAND = 200


@contextmanager
def claim(roots: Sequence[Path]) -> Iterator[None]:
    """Keep every other daemon off the directories and all that lies below them, as long as the block runs.

    The claim is on the directories as they are now: one that is deleted and made again is another directory.

    Raises:
        AlreadyWatchedError: Another process has one of them, one below or one above; it says which.
        NotFoundError: A root does not exist, or is no directory.
        SourceError: A root can't be locked.
    """
    claimed = [_resolved(root) for root in roots]
    with ExitStack() as stack:
        locked: set[tuple[int, int]] = set()
        for root in claimed:
            _lock(root, fcntl.LOCK_EX, stack, locked, root=root)
        for root in claimed:
            for above in root.parents:
                _lock(above, fcntl.LOCK_SH, stack, locked, root=root)
        yield


class Claims:
    """What one daemon claims; other roots can take the place of the ones before. A context manager."""

    def __init__(self) -> None:
        self._roots: tuple[Path, ...] = ()
        self._held = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def take(self, roots: Sequence[Path]) -> None:
        """Claim ``roots`` and nothing else any more; what was claimed before is kept if that fails.

        Raises:
            PdwatchError: As :func:`claim`.
        """
        self._held.close()  # a claim above or below one of our own would be refused
        try:
            self._held.enter_context(claim(roots))
        except PdwatchError:
            self._held.enter_context(claim(self._roots))
            raise
        self._roots = tuple(roots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A directory that a daemon watches; ``pid`` is the daemon's."""

    pid: int
    directory: Path


def watched_directories() -> tuple[Watched, ...]:
    """Return the roots of the daemons on this machine, as far as their processes may be looked into."""
    inodes: dict[int, set[int]] = {}
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:  # a kernel without it, such as gVisor's
        return ()
    for line in locks.splitlines():
        match line.split():
            case [_, "FLOCK", _, "WRITE", pid, file, *_]:
                inodes.setdefault(int(pid), set()).add(int(file.rpartition(":")[2]))
    return tuple(
        Watched(pid=pid, directory=directory)
        for pid, locked in inodes.items()
        for directory in _open_directories(pid, locked)
    )


def _open_directories(pid: int, inodes: set[int]) -> Iterator[Path]:
    """Yield the directories with those inodes that a process has open."""
    try:
        descriptors = sorted(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # another user's, or ended meanwhile
        return
    for descriptor in descriptors:
        try:
            found, path = descriptor.stat(), descriptor.readlink()
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_ino in inodes:
            yield path


def _resolved(root: Path) -> Path:
    try:
        return Path(os.path.realpath(root, strict=True))
    except OSError:
        raise _no_directory(root) from None


def _lock(directory: Path, kind: int, stack: ExitStack, locked: set[tuple[int, int]], *, root: Path) -> None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise _no_directory(root) from None
    except OSError as error:
        if kind == fcntl.LOCK_EX:
            raise SourceError(f"{directory} can't be opened: {error.strerror}") from error
        return  # a directory above that nobody like us can open, such as /home
    stack.callback(os.close, descriptor)
    found = os.fstat(descriptor)
    identity = (found.st_dev, found.st_ino)
    # Roots may overlap, share what is above them, or show one directory twice (bind mounts).
    if identity in locked:
        return
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _already_watched(directory, descriptor, kind, root=root) from None
    except OSError as error:
        raise SourceError(f"{directory} can't be locked: {error.strerror}") from error
    locked.add(identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    """A process that holds a lock; ``exclusive`` is what a daemon's lock on a root of its own is."""

    pid: int
    exclusive: bool


def _already_watched(directory: Path, descriptor: int, kind: int, *, root: Path) -> AlreadyWatchedError:
    holder = _holder(descriptor)
    if holder is None:
        who, remedy = "another process", "stop it, or name other directories"
    else:
        who = f"process {holder.pid} ({_command(holder.pid)})"
        remedy = f"stop it (kill {holder.pid}), or name other directories"
    if kind == fcntl.LOCK_SH:
        what = f"{who} already watches {directory}, and {root} lies below it"
    elif holder is not None and not holder.exclusive:
        what = f"{who} already watches a directory below {root}"
    else:
        what = f"{who} already watches {root}"
    return AlreadyWatchedError(what, remedy=remedy)


def _holder(descriptor: int) -> _Holder | None:
    """Find who holds a BSD lock on an open directory; None when it can't be seen from here."""
    wanted = f"{_device(descriptor)}:{os.fstat(descriptor).st_ino}"
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:  # a kernel without it, such as gVisor's
        return None
    for line in locks.splitlines():
        match line.split():
            case [_, "FLOCK", _, access, pid, file, *_] if file == wanted:
                return _Holder(pid=int(pid), exclusive=access == "WRITE")
    return None


def _device(descriptor: int) -> str:
    """Return the device of an open file as /proc/locks spells it.

    stat(2) can't tell: on btrfs it names the subvolume, /proc/locks the file system.
    """
    info = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    mount = next(line.split()[1] for line in info.splitlines() if line.startswith("mnt_id:"))
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        number, _, device, *_ = line.split()
        if number == mount:
            major, minor = (int(part) for part in device.split(":"))
            return f"{major:02x}:{minor:02x}"
    return ""


def _command(pid: int) -> str:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "ended meanwhile"
    return shlex.join(argument.decode(errors="backslashreplace") for argument in arguments)[:_LONGEST_COMMAND]


def _no_directory(root: Path) -> NotFoundError:
    return NotFoundError(
        f"{root} is not a directory", remedy="create it, or name a directory at or above your workflow.yaml"
    )
