"""How long commands take to start, beside a bare Python that does nothing."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.results import Recorder
from benchmarks.workflows import write_workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.ground import Ground
    from benchmarks.options import Options
    from benchmarks.results import Series

PYTHON = "floor: python -c pass"
_HELP_MS = 150.0


async def measure(ground: Ground, options: Options) -> Iterable[Series]:
    """Run each command ``options.starts`` times, in turn; the first turn does not count."""
    root = ground.scratch / "commands"
    root.mkdir()
    workflow = write_workflow(root, f"{ground.prefix}-commands")
    pdwatch = (sys.executable, "-m", "pdwatch")
    async with ground.namespaces("commands") as (namespace,), ground.daemon(root, namespace) as daemon:
        await daemon.until("rollout.complete", workflow=workflow.name)
        commands = {
            PYTHON: (sys.executable, "-c", "pass"),
            "pdwatch --help": (*pdwatch, "--help"),
            "pdwatch validate": (*pdwatch, "validate", str(workflow.root)),
            "pdwatch status": (*pdwatch, "status"),
            "pdwatch status NAME": (*pdwatch, "status", workflow.name, "--namespace", namespace),
        }
        for number in range(options.starts + 1):
            ground.tell(f"commands: {number} of {options.starts}")
            times = {name: await _time(command, ground.environment) for name, command in commands.items()}
            if number == 0:
                recorder = Recorder("commands")
                continue
            for name, took in times.items():
                most = _HELP_MS if name == "pdwatch --help" else None
                recorder.add(name, took, floor=None if name == PYTHON else PYTHON, most=most)
    return recorder.series()


async def _time(command: tuple[str, ...], environment: Mapping[str, str]) -> float:
    """Return the milliseconds from the start of a program to its end; raise what it complains of."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    took = (time.perf_counter() - began) * 1000
    if process.returncode and errors:  # `pdwatch status` ends with 1, and no error, while it is not yet sure
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors.decode()}")
    return took
