"""Runs the cases of test fixtures in Deno: a stage of the workflow, and the engine's harness on top."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING

from pdwatch.adapters.engine import HARNESS, harness_files
from pdwatch.adapters.local.children import start_child
from pdwatch.adapters.local.deno import read_permission
from pdwatch.adapters.local.staging import linked_trees, stage, stage_area
from pdwatch.core.build_context import ENGINE_DIRECTORY
from pdwatch.core.fixture_plan import harness_plan
from pdwatch.core.verdict import Outcome, read_outcome

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from pathlib import Path

    from pdwatch.core.fixtures import Case
    from pdwatch.core.model import SourceSnapshot

_LONGEST_LINE = 1 << 28
"""An outcome is one line with all that the nodes returned."""
_LAST_LINES = 5


async def outcomes(
    snapshot: SourceSnapshot, cases: Sequence[Case], *, deno: Path
) -> AsyncGenerator[Outcome, None]:
    """Run the cases one after another, and yield what comes of each as soon as it is known.

    Nodes have the rights that they have in a pod, but no network. Deno may download what they import. Close
    the iterator (:func:`contextlib.aclosing`): that ends Deno and removes the stage.

    Args:
        snapshot: A valid one.
        cases: Of its fixtures.
        deno: The program.

    Raises:
        InvalidWorkflowError: The configuration can't be read, or a file lies where pdwatch puts its own.
        NotWrittenError: The stage can't be written.
        SourceChangedError: A file has changed since the snapshot.
        SourceError: A file can't be read.
        UnreadablePathError: Deno can't be allowed to read where the stage, or third-party code, lies.
    """
    assert snapshot.spec is not None, "only a valid workflow is tested"
    mark = f"outcome {secrets.token_hex(8)}"
    with stage_area() as area:
        app, plan, complaints = area / "app", area / "plan.json", area / "stderr"
        await asyncio.to_thread(stage, snapshot, app, engine=harness_files())
        plan.write_text(json.dumps(harness_plan(cases, snapshot.spec, directory=str(app), mark=mark)))
        with plan.open("rb") as stdin, complaints.open("wb") as stderr:
            process = await start_child(
                _command(deno, app, linked_trees(snapshot)),
                directory=app,
                stdin=stdin,
                stderr=stderr,
                longest_line=_LONGEST_LINE,
            )
        try:
            count = 0
            async for outcome in _read(process, mark):
                count += 1
                yield outcome
            status = await process.wait()
            for _ in cases[count:]:
                yield Outcome(fault=_ending(status, complaints))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def _command(deno: Path, app: Path, trees: Sequence[Path]) -> list[str]:
    """Return the command: the rights of :func:`pdwatch.core.dockerfile.entrypoint`, less the network."""
    return [
        *(str(deno), "run", "--no-prompt", "--no-lock"),
        *(read_permission((app, *trees)), "--allow-write=/tmp"),
        *("--config", str(app / "deno.json"), str(app / ENGINE_DIRECTORY / HARNESS / "main.ts")),
    ]


async def _read(process: Process, mark: str) -> AsyncIterator[Outcome]:
    """Yield the outcomes; what else is on standard output, nodes wrote past the console."""
    assert process.stdout is not None, "it is a pipe"
    prefix = f"{mark} ".encode()
    while line := await process.stdout.readline():
        if line.startswith(prefix):
            yield read_outcome(json.loads(line.removeprefix(prefix)))


def _ending(status: int, complaints: Path) -> str:
    last = complaints.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
    return "\n".join([f"deno ended with status {status} before this case was done", *last])
