"""Processes in namespaces of their own: started, recorded and ended, and never mistaken for others.

All of a testbed lives below one process, the first of a PID and a mount namespace (see ``bootstrap.sh``).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.testbed.errors import PrerequisiteMissingError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HERE = Path(__file__).parent
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """A process for good: the kernel gives a process ID again, but not with the same start time."""

    pid: int
    start_time: int
    """Clock ticks since the machine started."""

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Identify a running process; None when there is none, or only a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, *rest = stat.rpartition(")")[2].split()  # the name before it may hold anything
        return None if state in "ZX" else cls(pid=pid, start_time=int(rest[18]))

    @property
    def alive(self) -> bool:
        """Tell whether it still runs."""
        return ProcessId.of(self.pid) == self

    def children(self) -> list[ProcessId]:
        """Return the processes that it started, as far as they run."""
        pids = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [child for child in map(ProcessId.of, map(int, pids)) if child]

    def kill(self, *, timeout: float = 10) -> None:
        """End it, and return when it has ended; nothing happens when it has already.

        For the first process of a PID namespace that is when the last process in there has ended.

        Raises:
            TestbedError: It did not end in time (seconds).
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # Looked at with the descriptor in hand, so that what is killed is what was looked at.
            if not self.alive:
                return
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            if not select.select([descriptor], [], [], timeout)[0]:
                raise TestbedError(
                    f"Process {self.pid} does not end.", remedy="Does it hang in the kernel? See dmesg."
                )
        finally:
            os.close(descriptor)


def create_namespaces(
    *, debian: Path, kubernetes: Path, state: Path, log: Path, record: Callable[[ProcessId], None]
) -> ProcessId:
    """Start the first process of new namespaces, with a root directory of Debian's packages and Kubernetes.

    Args:
        debian: Root directory of Debian's packages.
        kubernetes: Root directory of Kubernetes' programs.
        state: The state directory, seen at the same path within.
        log: Where ``bootstrap.sh`` may complain.
        record: Called with the process before it does anything; if this does not return, it ends.

    Raises:
        PrerequisiteMissingError: The kernel, or the container that we are in, does not allow it.
    """
    (state / "root").mkdir()
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    arguments = [_HERE / "bootstrap.sh", debian, kubernetes, state, _HERE / "pod_runtime.sh"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*unshare, "--", "sh", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout as output, process.stdin as answer:
        first = ProcessId.of(int(output.readline() or "0"))
        if first:
            record(first)
            print("recorded", file=answer, flush=True)
            if output.readline():
                return first
    raise PrerequisiteMissingError(
        "This machine does not let root make namespaces, or mount an overlay file system in them.",
        log=log,
        remedy="In a container, run it privileged (`docker run --privileged`).",
    )


def command_within(first: ProcessId, command: Sequence[str], *, cwd: str) -> list[str]:
    """Return the command that runs another within the namespaces and root directory of ``first``."""
    enter = ["nsenter", f"--target={first.pid}", "--mount", "--pid", "--root"]
    clean = ["env", "--ignore-environment", f"--chdir={cwd}", f"PATH={_PATH}", "HOME=/root"]
    return [*enter, "--", *clean, *command]


def boot_id() -> str:
    """Return the kernel's name for the time since the machine started: start times count within it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
