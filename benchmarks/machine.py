"""What a run was measured on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pdwatch import __version__
from tests.testbed.layout import Layout

if TYPE_CHECKING:
    from benchmarks.ground import Ground

REPOSITORY = Path(__file__).parents[1]
_GIB = 2**30


async def describe(ground: Ground) -> dict[str, str]:
    """Return words about the machine and the software, by what they are about."""
    kubernetes = await ground.kube.get("/version")
    docker = await ground.docker.version()
    commit = _output("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty")
    return {
        "time": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "pdwatch": f"{__version__}, commit {commit}",
        "CPU": f"{os.cpu_count()} cores, {_processor()}",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / _GIB:.1f} GiB",
        "kernel": platform.release(),
        "Docker": f"{docker['Version']}",
        "Kubernetes": kubernetes["gitVersion"],
        "runsc": _output(_runsc(), "--version").partition("\n")[0],
        "Python": platform.python_version(),
    }


def load() -> str:
    """Return the load averages over 1, 5 and 15 minutes."""
    return " ".join(f"{average:.2f}" for average in os.getloadavg())


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _runsc() -> str:
    """Return the testbed's runsc, among the packages that it has unpacked last, or that of PATH."""
    unpacked = Layout.from_environment(os.environ).cache.glob("debian-*/usr/bin/runsc")
    newest = max(unpacked, key=lambda path: path.stat().st_ctime, default=None)
    return str(newest or "runsc")


def _output(*command: str) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return ended.stdout.strip()
