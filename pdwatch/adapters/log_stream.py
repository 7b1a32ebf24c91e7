"""Log lines on stdout: a disk that is full loses some of them, and stops nothing."""

from __future__ import annotations

import errno
import io
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LogStream(io.TextIOBase):
    """Writes each line at once, past the buffers of ``out``, which would keep what can't be written.

    Args:
        out: Where the lines go, which has a file descriptor.
        lost: Called when there is no room for a line, once an outage.
        resumed: Called when there is again.
    """

    def __init__(self, out: TextIO, *, lost: Callable[[OSError], None], resumed: Callable[[], None]) -> None:
        self._out = out
        self._lost = lost
        self._resumed = resumed
        self._failed = False
        self._torn = False
        """Whether a line has been begun for which there was no room then."""

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return self._out.isatty()

    def write(self, line: str) -> int:
        """Write a line, or lose it where there is no room.

        Raises:
            BrokenPipeError: Nobody reads it any more; so it is with a terminal that has been closed.
        """
        try:
            self._write(line.encode(self._out.encoding, errors="backslashreplace"))
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise BrokenPipeError(errno.EPIPE, error.strerror) from error
            if not self._failed:
                self._failed = True
                self._lost(error)
        else:
            if self._failed:
                self._failed = False
                self._resumed()
        return len(line)

    def _write(self, line: bytes) -> None:
        content, written = b"\n" * self._torn + line, 0
        try:
            while written < len(content):
                try:
                    written += os.write(self._out.fileno(), content[written:])
                except BlockingIOError:  # who shares the terminal with us, such as Node.js, has made it so
                    select.select([], [self._out], [])
        finally:
            if written:
                self._torn = written < len(content)
