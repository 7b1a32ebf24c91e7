"""Bringing a testbed up, looking at it, and taking it down so that nothing of it stays."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.testbed import artifacts, components, instance, probes
from tests.testbed.cache import locked
from tests.testbed.errors import PrerequisiteMissingError, TestbedError
from tests.testbed.instance import Instance, Remains
from tests.testbed.startup import Startup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.testbed.layout import Layout

_LINKS_GONE_WITHIN = 10.0  # seconds; the kernel takes network namespaces apart in the background
_RECOVERS_WITHIN = 30.0  # seconds
_LOOK_EVERY = 0.02  # seconds
_ENDED = "has ended"


def up(layout: Layout, progress: Callable[[str], None]) -> bool:
    """Bring the testbed up; return False when it was up and well already.

    Remains of one that died are taken away first. When a step fails, every process is ended, and the logs
    stay until the next ``up`` or ``down``.

    Raises:
        PrerequisiteMissingError: This machine can't hold a testbed.
        TestbedError: A step failed.
    """
    _require_root()
    with locked(layout.lock):
        found = instance.load(layout)
        if isinstance(found, Instance) and _recovers(layout, found):
            return False
        if found:
            progress("Taking away what an earlier testbed has left")
            _take_down(layout, found)
        _require_vacant(layout.state)
        parts = artifacts.prepare(layout.cache, progress)
        try:
            Startup(layout, parts, progress).run()
        except BaseException:
            _end_processes(instance.load(layout))
            raise
    return True


def down(layout: Layout) -> bool:
    """Take the testbed down; return False when there is none.

    Raises:
        PrerequisiteMissingError: Only root can.
        TestbedError: Something of it does not go.
    """
    _require_root()
    with locked(layout.lock):
        found = instance.load(layout)
        if found:
            _take_down(layout, found)
        layout.lock.unlink()
    return found is not None


def running(layout: Layout) -> Instance:
    """Return the testbed that has been brought up.

    Raises:
        TestbedError: There is none, or it was another version's.
    """
    found = instance.load(layout)
    if not isinstance(found, Instance):
        raise TestbedError(
            f"There is no testbed in {layout.state}.", remedy="Bring it up with `python -m tests.testbed up`."
        )
    return found


def complaints(layout: Layout, of: Instance) -> Mapping[str, str]:
    """Return what is wrong with a testbed, by component; empty when all is well."""
    if not of.running:
        return {"testbed": _ENDED}
    found = {}
    for component in [*components.foundations(layout, of), *components.kubernetes(layout, of)]:
        process = of.components.get(component.name)
        if process is None or not process.alive:
            found[component.name] = _ENDED
        elif reason := probes.complaint(component.probe):
            found[component.name] = reason
    return found


def _recovers(layout: Layout, of: Instance) -> bool:
    """Tell whether a testbed is well, or becomes so while all its processes live: the machine may be busy."""
    deadline = time.monotonic() + _RECOVERS_WITHIN
    while reasons := complaints(layout, of):
        if _ENDED in reasons.values() or time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY)
    return True


def cgroup_mounts(mountinfo: str) -> list[Path]:
    """Return where the cgroup hierarchies are mounted, from the text of ``/proc/self/mountinfo``."""
    rows = (line.split() for line in mountinfo.splitlines())
    return [Path(row[4]) for row in rows if row[row.index("-") + 1] in {"cgroup", "cgroup2"}]


def _require_root() -> None:
    if os.geteuid() != 0:
        raise PrerequisiteMissingError(
            "Only root can make the namespaces and mounts of a testbed.",
            remedy="Use sudo, or PDWATCH_TESTBED=external with a cluster of yours in KUBECONFIG.",
        )


def _require_vacant(state: Path) -> None:
    """Keep a mistyped PDWATCH_TESTBED_STATE from costing somebody their files."""
    if state.exists():
        try:
            state.rmdir()
        except OSError as error:
            raise TestbedError(
                f"{state} exists and is no testbed's.",
                remedy="Set PDWATCH_TESTBED_STATE to another path, or remove what is there.",
            ) from error


def _end_processes(of: Remains | None) -> None:
    if of and of.first and of.running:
        of.first.kill()


def _take_down(layout: Layout, of: Remains) -> None:
    links = of.links
    _end_processes(of)
    _await_links_gone(links)
    _remove_cgroups(cgroup_mounts(Path("/proc/self/mountinfo").read_text()), layout.name)
    _remove_directory(layout)


def _await_links_gone(links: Iterable[str]) -> None:
    deadline = time.monotonic() + _LINKS_GONE_WITHIN
    while left := [link for link in links if Path("/sys/class/net", link).exists()]:
        if time.monotonic() > deadline:
            raise TestbedError(
                f"Links to pods do not go: {', '.join(left)}.", remedy="`ip link delete` them."
            )
        time.sleep(_LOOK_EVERY)


def _remove_directory(layout: Layout) -> None:
    """Remove the record last, so that one who is killed here has left something to be taken down."""
    for path in layout.state.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != layout.record:
            path.unlink()
    shutil.rmtree(layout.state)


def _remove_cgroups(mounts: Iterable[Path], name: str) -> None:
    for mount in mounts:
        for directory, _, _ in os.walk(mount / name, topdown=False):
            Path(directory).rmdir()
