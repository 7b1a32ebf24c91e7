"""``pdwatch init``: a new workflow that runs as it is."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pdwatch.cli.console import print_json
from pdwatch.cli.options import OUTPUT
from pdwatch.core.deno_config import DENO_CONFIGS
from pdwatch.core.scaffold import EDITOR_DIRECTORY, TYPES, name_fault

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEXT = (
    ("pdwatch validate", "check workflow.yaml and the files that it names"),
    ("pdwatch test", "run the nodes on the inputs in tests/fixtures/"),
    ("pdwatch dev", "run it on this machine, again on every save"),
    ("pdwatch deploy", "run it in the cluster; `pdwatch run` does so on every save"),
)
_DENO_JSON = f'{{"imports": {{"pipedreamer": "./{TYPES}"}}}}'


def _workflow_name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and (fault := name_fault(value)):
        raise click.BadParameter(fault)
    return value


@click.command(name="init")
@click.argument("name", required=False, callback=_workflow_name)
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where it goes.  [default: ./NAME; with --refresh, this directory]",
)
@click.option("--refresh", is_flag=True, help="Renew .pipedreamer/ of a workflow that is there; no NAME.")
@OUTPUT
def command(name: str | None, directory: Path | None, *, refresh: bool, output: str) -> None:
    """Create the workflow NAME in a directory of its own.

    It validates, tests, builds and deploys as it is: two nodes, test fixtures, and a deno.json, so that an
    editor with Deno's language server knows the types behind `import type { Context } from "pipedreamer"`.
    These lie in .pipedreamer/, together with the JSON Schema of workflow.yaml; it belongs into git, but never
    into an image. After an upgrade of pdwatch, --refresh renews it, and adds it to a workflow without one.

    The directory appears at once with all its files, or not at all. An empty one is taken.

    With --output json stdout gets one object: name (null with --refresh), directory, and files, the paths
    below it that were written.

    \b
    Exit codes:
      0  done
      1  the directory or a file can't be written
      2  a flag is wrong, or NAME can't be a workflow's
      4  there is no workflow.yaml to --refresh for
      5  held: the directory is there already, and not empty

    \b
    Examples:
      pdwatch init github-digest
      pdwatch init hello --directory ~/workflows/hello
      pdwatch init --refresh
    """  # noqa: D301  # click's mark is the character, not the letters
    # Loaded on use: `--help` and wrong flags need no file system.
    from pdwatch.adapters.scaffold import create_workflow, refresh_editor_files  # noqa: PLC0415

    if refresh == (name is not None):
        raise click.UsageError("Give a NAME for a new workflow, or --refresh for one that is there.")
    if name is not None:
        target = directory or Path(name)
        if os.path.realpath(target) == os.path.realpath("."):
            raise click.UsageError(
                f"A new directory would take the place of this one; run it in {Path.cwd().parent}."
            )
        written = create_workflow(target, name)
    else:
        target = directory or Path()
        written = refresh_editor_files(target)
    if output == "json":
        print_json({"name": name, "directory": os.path.realpath(target), "files": list(written)})
    elif name is not None:
        _print_created(target, written)
    else:
        _print_refreshed(target, written)


def _print_created(directory: Path, written: Sequence[str]) -> None:
    click.echo(f"created {click.format_filename(directory)} with {len(written)} files\n\nNext:")
    click.echo(f"  cd {shlex.quote(click.format_filename(directory))}")
    for line, purpose in _NEXT:
        click.echo(f"  {line:18}{purpose}")


def _print_refreshed(directory: Path, written: Sequence[str]) -> None:
    click.echo("\n".join(f"wrote {path}" for path in written) or f"{EDITOR_DIRECTORY}/ is up to date")
    if not any(TYPES in _text(directory / name) for name in DENO_CONFIGS):
        click.echo(f"for the editor, deno.json needs this: {_DENO_JSON}")


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
