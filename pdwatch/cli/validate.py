"""``pdwatch validate``: workflow.yaml and the files that it names."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.console import Progress, print_json, style
from pdwatch.cli.options import OUTPUT
from pdwatch.cli.paths import DirectoryType
from pdwatch.cli.problems import report_problems
from pdwatch.cli.targets import workflows_below
from pdwatch.core.schema import workflow_schema
from pdwatch.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.core.model import SourceSnapshot
    from pdwatch.ports import SourceReader


def _print_schema(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click's
    if wanted:
        print_json(workflow_schema())
        context.exit()


@click.command(name="validate")
@click.argument("directories", nargs=-1, metavar="[DIR]...", type=DirectoryType())
@click.option("--check", is_flag=True, help="Have Deno check the types of the nodes, too.")
@OUTPUT
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of workflow.yaml, for editors, and exit.",
)
def command(directories: tuple[Path, ...], *, check: bool, output: str) -> None:
    """Check the workflows at and below each DIR (default: this directory).

    Every problem is reported at once, on stderr, with the line that it is about. Needs no Docker and no
    cluster.

    With --check, `deno check` looks at the nodes of each workflow that is valid, and at all that they import,
    as `pdwatch dev` does before a save takes over. It finds errors of syntax and of types, and may download
    what is imported.

    With --output json, stdout gets a list with one object for each workflow: directory, name, valid,
    source_digest (if valid) and problems, each with path, line, column, where and message. line and column
    count from 1, and are null for a problem with a file as a whole.

    \b
    Exit codes:
      0  all valid
      1  something is not valid
      2  a flag is wrong
      3  there is no deno on this machine for --check
      4  a DIR is no directory, or there is no workflow.yaml at or below it

    \b
    Examples:
      pdwatch validate ~/workflows --check
      pdwatch validate -o json | jq -r '.[].problems[].message'
      pdwatch validate --schema > workflow.schema.json
    """  # noqa: D301  # click's mark is the character, not the letters
    sys.exit(asyncio.run(_validate(directories or (Path(),), check=check, output=output)))


async def _validate(directories: Sequence[Path], *, check: bool, output: str) -> ExitCode:
    # Loaded on use: `--help` and `--schema` need no file system.
    from pdwatch.adapters.engine import engine_recipe  # noqa: PLC0415
    from pdwatch.adapters.files import FileSource  # noqa: PLC0415

    source = FileSource(recipe=engine_recipe())
    roots = await _workflows(source, directories)
    snapshots = [await source.scan(root) for root in roots]
    if check:
        snapshots = await _type_checked(snapshots)
    if output == "json":
        print_json([_as_json(snapshot) for snapshot in snapshots])
    else:
        _print(snapshots)
    return ExitCode.OK if all(_is_valid(snapshot) for snapshot in snapshots) else ExitCode.FAILED


async def _workflows(source: SourceReader, directories: Sequence[Path]) -> list[Path]:
    return sorted({root for directory in directories for root in await workflows_below(source, directory)})


async def _type_checked(snapshots: Sequence[SourceSnapshot]) -> list[SourceSnapshot]:
    """Return the snapshots with what Deno finds in those that are valid."""
    from pdwatch.adapters.local.deno import find_deno  # noqa: PLC0415  # as above
    from pdwatch.adapters.local.full_check import type_problems  # noqa: PLC0415

    deno = find_deno()
    checked = []
    with Progress() as progress:
        for snapshot in snapshots:
            progress.update(f"checking the types of {snapshot.name}")
            problems = await type_problems(snapshot, deno=deno) if _is_valid(snapshot) else ()
            checked.append(replace(snapshot, spec=None, problems=problems) if problems else snapshot)
    return checked


def _is_valid(snapshot: SourceSnapshot) -> bool:
    return snapshot.spec is not None


def _as_json(snapshot: SourceSnapshot) -> dict[str, Any]:
    valid = _is_valid(snapshot)
    return {
        "directory": str(snapshot.root),
        "name": snapshot.name,
        "valid": valid,
        **({"source_digest": snapshot.digest} if valid else {}),
        "problems": [
            {
                "path": problem.path,
                "line": problem.line,
                "column": problem.column,
                "where": problem.where,
                "message": problem.message,
            }
            for problem in snapshot.problems
        ],
    }


def _print(snapshots: Sequence[SourceSnapshot]) -> None:
    for snapshot in snapshots:
        root = _as_typed(snapshot.root)
        report_problems(root, snapshot.problems)
        if _is_valid(snapshot):
            ok = style("ok", sys.stderr, fg="green", bold=True)
            click.echo(f"{ok} {snapshot.name} ({click.format_filename(root)})", err=True)
    problems = sum(len(snapshot.problems) for snapshot in snapshots)
    faulty = sum(not _is_valid(snapshot) for snapshot in snapshots)
    summary = f"{_counted(len(snapshots), 'workflow')} checked, {_counted(problems, 'problem')}"
    click.echo(f"{summary} in {faulty} of them" if faulty and len(snapshots) > 1 else summary, err=True)


def _counted(count: int, thing: str) -> str:
    return f"{count or 'no'} {thing}{'' if count == 1 else 's'}"


def _as_typed(root: Path) -> Path:
    """Return a resolved path relative to this directory if it lies in it, since that is shorter."""
    here = Path.cwd().resolve()
    return root.relative_to(here) if root.is_relative_to(here) else root
