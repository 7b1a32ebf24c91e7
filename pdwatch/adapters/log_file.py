"""The daemon's own log file: bounded in size, one writer a file, and never a reason to stop.

Beside ``pdwatch.log`` lie those that were put aside, ``pdwatch.log.1`` being the newest, and the lock of its
writer. A second daemon writes to ``pdwatch-2.log`` (docs/adr/0019-log-file.md).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pdwatch.paths import home

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAME = "pdwatch.log"


def default_log_file(environ: Mapping[str, str]) -> Path:
    """Return where the log is that nobody named: systemd's state directory, else the user's (XDG)."""
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    configured = environ.get("XDG_STATE_HOME", "")  # a relative one is to be ignored (XDG base directories)
    user = Path(configured) if configured.startswith("/") else home() / ".local/state"
    return (Path(given) if given else user / "pdwatch") / NAME


def log_files(path: Path) -> Sequence[Path]:
    """Return where each daemon's current log is that has written to ``path`` or its like; may be missing."""
    first, _, last = path.name.rpartition(".")
    stem, suffix = (first, f".{last}") if first else (last, "")
    like = re.compile(rf"{re.escape(stem)}(-\d+)?{re.escape(suffix)}(\.\d+)?")
    try:
        found = {match[1] or "" for each in path.parent.iterdir() if (match := like.fullmatch(each.name))}
    except FileNotFoundError:
        return ()
    return [
        path.with_name(f"{stem}{number}{suffix}") for number in sorted(found, key=lambda it: (len(it), it))
    ]


def put_aside(path: Path) -> Sequence[Path]:
    """Return the files that took ``path``'s name before the current one, newest first."""
    numbered = re.compile(rf"{re.escape(path.name)}\.(\d+)")
    found = [
        (int(match[1]), each) for each in path.parent.iterdir() if (match := numbered.fullmatch(each.name))
    ]
    return [each for _, each in sorted(found)]


class LogFile:
    """Appends lines; whatever the system has against it is told, and tried again with the next line.

    Args:
        path: Where to write; while another process does, it is the next free of ``NAME-2.log``, ….
        max_bytes: How long the file may grow before it is put aside.
        backups: How many files that were put aside are kept.
        lost: Called when the file can't be written, once an outage.
        resumed: Called when it can be again.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        backups: int,
        lost: Callable[[OSError], None],
        resumed: Callable[[], None],
    ) -> None:
        self.path = path
        """The file that is written, once it is."""
        self._wanted = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._lost = lost
        self._resumed = resumed
        self._out: int | None = None
        self._lock: int | None = None
        self._failed = False

    def write(self, line: str) -> None:
        """Append a line, which is in the file as a whole or not at all."""
        try:
            self._append(f"{line}\n".encode(errors="replace"))
        except OSError as error:
            self._close_file()
            if not self._failed:
                self._failed = True
                self._lost(error)
        else:
            if self._failed:
                self._failed = False
                self._resumed()

    def close(self) -> None:
        """Leave the file to others."""
        self._close_file()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _append(self, content: bytes) -> None:
        if self._lock is None:
            self._take()
        out = self._out if self._out is not None and os.fstat(self._out).st_nlink else self._open()
        size = os.fstat(out).st_size
        if size and size + len(content) > self._max_bytes:
            self._rotate()
            out, size = self._open(), 0
        if os.write(out, content) < len(content):
            os.ftruncate(out, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _take(self) -> None:
        """Find a name that no other process writes to, and lock it."""
        self._wanted.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in count(1):
            path = self._wanted if number == 1 else self._wanted.with_stem(f"{self._wanted.stem}-{number}")
            lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            except OSError:
                os.close(lock)
                raise
            else:
                self.path, self._lock = path, lock
                return

    def _open(self) -> int:
        self._close_file()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._out = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return self._out

    def _close_file(self) -> None:
        if self._out is not None:
            os.close(self._out)
            self._out = None

    def _rotate(self) -> None:
        self._close_file()
        for old in reversed(put_aside(self.path)):
            number = int(old.suffix[1:])
            if number >= self._backups:
                old.unlink()
            else:
                old.rename(old.with_suffix(f".{number + 1}"))
        if self._backups:
            self.path.rename(self.path.with_name(f"{self.path.name}.1"))
        else:
            self.path.unlink()
