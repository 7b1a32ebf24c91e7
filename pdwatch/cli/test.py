"""``pdwatch test``: nodes and workflows against their fixtures, in Deno."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pdwatch.cli.case_report import TestedWorkflow, as_json, print_summary, print_verdict, print_workflow
from pdwatch.cli.console import print_json
from pdwatch.cli.options import OUTPUT
from pdwatch.core.fixtures import FIXTURES, read_fixtures
from pdwatch.core.junit import junit_xml
from pdwatch.core.verdict import judge
from pdwatch.errors import ExitCode, NotFoundError, NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.core.fixtures import Case


@click.command(name="test")
@click.argument("targets", nargs=-1, metavar="[DIR[/NODE]]...", type=click.Path(path_type=Path))
@click.option("-k", "--filter", "wanted", metavar="TEXT", help="Run only cases whose name has TEXT in it.")
@click.option(
    "--junit",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the results to FILE as JUnit XML, too.",
)
@OUTPUT
def command(targets: tuple[Path, ...], wanted: str | None, junit: Path | None, output: str) -> None:
    """Run the test fixtures of the workflows at and below each DIR (default: this directory).

    tests/fixtures/NODE.json has what a node gets and what it should return; tests/fixtures/workflow.json the
    same of the workflow as a whole. With /NODE only the cases of that node are run, with /workflow only those
    of the whole workflow.

    Nodes run in Deno on this machine, with the time limit and retries of workflow.yaml and the rights that
    they have in a pod, but without network: `fetch` gets the answers that the fixture has. Of local secrets
    they see none. Needs no Docker and no cluster.

    With --output json, stdout gets one object: passed, failed, duration_ms and workflows, each with its
    problems, untested nodes and cases.

    \b
    Exit codes:
      0  all passed
      1  something failed, or a fixture or a workflow is not valid
      2  a flag is wrong
      3  there is no deno on this machine
      4  there is no such DIR or NODE, or no case to run

    \b
    Examples:
      pdwatch test
      pdwatch test ~/workflows/hello/greet
      pdwatch test examples -k "no names" --junit results.xml
    """  # noqa: D301  # click's mark is the character, not the letters
    sys.exit(asyncio.run(_test(targets or (Path(),), wanted, junit, output)))


async def _test(targets: Sequence[Path], wanted: str | None, junit: Path | None, output: str) -> ExitCode:
    if junit is not None:
        _require_writable(junit)
    workflows = await _load(targets, wanted)
    for workflow in workflows:
        if output == "text":
            print_workflow(workflow)
        await _run(workflow, text=output == "text")
    if output == "text":
        print_summary(workflows)
    else:
        print_json(as_json(workflows))
    if junit is not None:
        _write_junit(junit, workflows)
    return ExitCode.OK if all(workflow.passed for workflow in workflows) else ExitCode.FAILED


async def _load(targets: Sequence[Path], wanted: str | None) -> list[TestedWorkflow]:
    # Loaded on use: `--help` needs no file system.
    from pdwatch.adapters.engine import engine_recipe  # noqa: PLC0415
    from pdwatch.adapters.files import FileSource  # noqa: PLC0415
    from pdwatch.adapters.fixtures import fixture_files  # noqa: PLC0415
    from pdwatch.cli.targets import selection  # noqa: PLC0415

    source = FileSource(recipe=engine_recipe())
    workflows: list[TestedWorkflow] = []
    any_file = False
    for root, subjects in (await selection(source, targets)).items():
        snapshot = await source.scan(root)
        if snapshot.spec is None:
            workflows.append(TestedWorkflow(snapshot=snapshot, problems=snapshot.problems))
            continue
        selected = subjects.within(snapshot)
        files = await asyncio.to_thread(fixture_files, root)
        if subjects.names is not None:
            files = {name: content for name, content in files.items() if name.split(".")[0] in selected}
        fixtures = read_fixtures(files, snapshot.spec)
        any_file = any_file or bool(files)
        workflows.append(
            TestedWorkflow(
                snapshot=snapshot,
                problems=fixtures.problems,
                untested=tuple(node for node in fixtures.untested if node in selected),
                cases=tuple(case for case in fixtures.cases if _matches(case, snapshot.name, wanted)),
            )
        )
    _check_any_case(workflows, wanted, any_file=any_file)
    return workflows


def _matches(case: Case, workflow: str, wanted: str | None) -> bool:
    return wanted is None or wanted.casefold() in f"{workflow}/{case.id}".casefold()


def _check_any_case(workflows: Sequence[TestedWorkflow], wanted: str | None, *, any_file: bool) -> None:
    if any(workflow.cases or workflow.problems for workflow in workflows):
        return
    if any_file:
        raise NotFoundError(
            f"no case has {wanted!r} in its name", remedy="without -k all are run, and shown by name"
        )
    node = next((node for workflow in workflows for node in workflow.untested), "NODE")
    raise NotFoundError(
        f"there are no fixtures in {click.format_filename(workflows[0].snapshot.root / FIXTURES)}",
        remedy=f'begin with {FIXTURES}/{node}.json: {{"input": {{}}, "expected": "what {node} returns"}}',
    )


async def _run(workflow: TestedWorkflow, *, text: bool) -> None:
    from pdwatch.adapters.local.deno import find_deno  # noqa: PLC0415  # loaded on use
    from pdwatch.adapters.local.harness import outcomes  # noqa: PLC0415

    if not workflow.cases:
        return
    async with aclosing(outcomes(workflow.snapshot, workflow.cases, deno=find_deno())) as found:
        cases = iter(workflow.cases)
        async for outcome in found:
            verdict = judge(next(cases), outcome)
            workflow.verdicts.append(verdict)
            if text:
                print_verdict(verdict)


def _require_writable(path: Path) -> None:
    """Return when the results can be written there; whoever waits minutes for them is not to lose them."""
    new = not os.path.lexists(path)
    try:
        path.open("ab").close()
        if new:
            path.unlink()
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> NotWrittenError:
    return NotWrittenError(
        f"{click.format_filename(path)} can't be written: {error.strerror}",
        remedy="name a file in a directory that is there and has room",
    )


def _write_junit(path: Path, workflows: Sequence[TestedWorkflow]) -> None:
    document = junit_xml([(each.snapshot.name, each.verdicts, each.problems) for each in workflows])
    try:
        path.write_bytes(document)
    except OSError as error:
        raise _not_written(path, error) from error
