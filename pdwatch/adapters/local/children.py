"""Child processes that never outlive pdwatch, whatever ends it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from typing import IO, TYPE_CHECKING

from pdwatch.adapters.local.deno import deno_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_PR_SET_PDEATHSIG = 1
"""prctl(2)."""
_libc = ctypes.CDLL(None)


async def start_child(
    command: Sequence[str],
    *,
    directory: Path,
    stdin: int | IO[bytes] = asyncio.subprocess.DEVNULL,
    stderr: int | IO[bytes],
    longest_line: int = 1 << 20,
) -> asyncio.subprocess.Process:
    """Start Deno, with its standard output piped, to be killed by the kernel once pdwatch is gone.

    No signal of the terminal reaches it: Ctrl-C is pdwatch's to hear.

    Args:
        command: The program and its arguments.
        directory: Where it works.
        stdin: Its standard input, as asyncio takes it.
        stderr: Its standard error.
        longest_line: How many bytes of its standard output can be read as one line.

    Raises:
        OSError: It can't be started.
    """
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=directory,
        env=deno_environment(),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        limit=longest_line,
        start_new_session=True,
        preexec_fn=_ending_with(os.getpid()),  # it calls into the kernel and nowhere else
    )


def _ending_with(parent: int) -> Callable[[], None]:
    def ask_the_kernel() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before the kernel was asked
            os._exit(1)

    return ask_the_kernel
