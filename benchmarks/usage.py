"""What a process holds and uses, from /proc (proc(5))."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

_KIB_PER_MB = 1e6 / 1024
_QUIET_WITHIN_S = 120
_QUIET_FOR_S = 2
_QUIET_CPU_S = 0.02


def memory_mb(pid: int, *, peak: bool = False) -> float:
    """Return the resident memory in megabytes, or with ``peak`` the most that it ever was."""
    field = "VmHWM" if peak else "VmRSS"
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(field))) / _KIB_PER_MB


def cpu_s(pid: int) -> float:
    """Return the seconds of processor time used so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int) -> int:
    """Return the number of open file descriptors."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # the names alone


async def quiet(pid: int) -> None:
    """Wait until a process uses next to no processor time; give up after two minutes."""
    calm, before = 0, cpu_s(pid)
    for _ in range(_QUIET_WITHIN_S):
        await asyncio.sleep(1)
        now = cpu_s(pid)
        calm = calm + 1 if now - before <= _QUIET_CPU_S else 0
        before = now
        if calm == _QUIET_FOR_S:
            return
