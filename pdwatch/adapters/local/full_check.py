"""``deno check``, run on a stage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pdwatch.adapters.engine import engine_files
from pdwatch.adapters.local.children import start_child
from pdwatch.adapters.local.deno import check_command
from pdwatch.adapters.local.stages import Stage
from pdwatch.adapters.local.staging import stage, stage_area
from pdwatch.core.deno_check import diagnostics
from pdwatch.core.model import Problem
from pdwatch.core.sources import WORKFLOW_FILE
from pdwatch.errors import BuildFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pdwatch.core.deno_check import Diagnostic
    from pdwatch.core.model import SourceSnapshot


async def full_check(stage: Stage, *, deno: Path) -> None:
    """Return when ``deno check`` passes the modules of a stage's nodes, and all that they lead to.

    Raises:
        BuildFailedError: It does not; the message has file, line and column.
    """
    found = await _check(stage, deno=deno)
    if found:
        raise check_error(found)


async def type_problems(snapshot: SourceSnapshot, *, deno: Path) -> tuple[Problem, ...]:
    """Return what ``deno check`` finds in a valid workflow, with the configuration that an image would have.

    Deno tells of no more than one syntax error, and of no type errors beside it.

    Raises:
        InvalidWorkflowError: The configuration can't be read, or a file lies where pdwatch puts its own.
        NotWrittenError: The stage can't be written.
        SourceChangedError: A file has changed since the snapshot.
        SourceError: A file can't be read.
        UnreadablePathError: Deno can't be allowed to read where the stage, or third-party code, lies.
    """
    with stage_area() as area:
        staged = Stage(snapshot=snapshot, app=area / "app")
        await asyncio.to_thread(stage, snapshot, staged.app, engine=engine_files())
        return tuple(_problem(each, snapshot) for each in await _check(staged, deno=deno))


def check_error(found: Sequence[Diagnostic]) -> BuildFailedError:
    """Return what a check found as one error: in its message the first, and in its output the others."""
    first, *others = found
    place = {"path": first.path, "line": first.line, "column": first.column}
    return BuildFailedError(
        str(first),
        step="deno check",
        output=[*first.excerpt, *(line for each in others for line in (str(each), *each.excerpt))],
        place=place if first.path is not None else None,
    )


async def _check(stage: Stage, *, deno: Path) -> Sequence[Diagnostic]:
    assert stage.snapshot.spec is not None, "only a valid snapshot is staged"
    command = check_command(stage.snapshot.spec, deno=deno, app=stage.app)
    child = await start_child(command, directory=stage.app, stderr=asyncio.subprocess.STDOUT)
    try:
        output, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if not child.returncode:
        return ()
    return diagnostics(stage.in_workflow(output.decode(errors="replace")), status=child.returncode)


def _problem(found: Diagnostic, snapshot: SourceSnapshot) -> Problem:
    if found.path is None:
        return Problem(path=WORKFLOW_FILE, message=" ".join((found.message, *found.excerpt)))
    return Problem(
        path=found.path.removeprefix(f"{snapshot.root}/"),
        line=found.line,
        column=found.column,
        message=found.message,
    )
