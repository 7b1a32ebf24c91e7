"""What ``pdwatch test`` prints."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.console import style
from pdwatch.cli.problems import report_problems
from pdwatch.core.fixtures import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.core.fixtures import Case
    from pdwatch.core.model import Problem, SourceSnapshot
    from pdwatch.core.verdict import Verdict

_INDENT = " " * 7


@dataclass(slots=True, kw_only=True)
class TestedWorkflow:
    """A workflow with its cases; ``verdicts`` grows while they run.

    ``problems`` are the workflow's if it is not valid, else its fixtures'; ``untested`` nodes have none.
    """

    snapshot: SourceSnapshot
    problems: Sequence[Problem]
    untested: tuple[str, ...] = ()
    cases: tuple[Case, ...] = ()
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problems and all(verdict.passed for verdict in self.verdicts)


def print_workflow(workflow: TestedWorkflow) -> None:
    """Print which workflow comes next, its problems (on stderr), and what has no test."""
    root = workflow.snapshot.root
    here = Path.cwd().resolve()
    shown = root.relative_to(here) if root.is_relative_to(here) else root
    click.echo(f"{style(workflow.snapshot.name, sys.stdout, bold=True)} ({click.format_filename(shown)})")
    report_problems(shown, workflow.problems)
    for node in workflow.untested:
        click.echo(style(f"  --   {node} has no fixture; write {FIXTURES}/{node}.json", sys.stdout, dim=True))


def print_verdict(verdict: Verdict) -> None:
    """Print how a case ended, and of one that failed why, and what its nodes logged."""
    case = verdict.case
    time = style(f"({verdict.duration_ms} ms)", sys.stdout, dim=True)
    if verdict.passed:
        click.echo(f"  {style('ok', sys.stdout, fg='green', bold=True)}   {case.id} {time}")
        return
    place = style(f"{case.path}:{case.line}", sys.stdout, dim=True)
    click.echo(f"  {style('FAIL', sys.stdout, fg='red', bold=True)} {case.id} {time} {place}")
    for failure in verdict.failures:
        for line in failure.message.split("\n"):
            click.echo(f"{_INDENT}{line}")
        for line in failure.diff:
            click.echo(f"{_INDENT}  {_coloured(line)}")
    if verdict.log:
        click.echo(f"{_INDENT}log:")
        for line in verdict.log:
            click.echo(f"{_INDENT}  {style(line, sys.stdout, dim=True)}")


def print_summary(workflows: Sequence[TestedWorkflow]) -> None:
    """Print how many passed."""
    counts = _counts(workflows)
    problems = sum(len(workflow.problems) for workflow in workflows)
    parts = [f"{counts['passed']} passed", f"{counts['failed']} failed"]
    if problems:
        parts.append(f"{problems} problem{'' if problems == 1 else 's'}")
    good = all(workflow.passed for workflow in workflows)
    click.echo(
        style(f"\n{', '.join(parts)} ({counts['duration_ms']} ms)", sys.stdout, fg="green" if good else "red")
    )


def as_json(workflows: Sequence[TestedWorkflow]) -> dict[str, Any]:
    """Return the document that docs/output.md describes."""
    return {**_counts(workflows), "workflows": [_workflow_as_json(workflow) for workflow in workflows]}


def _counts(workflows: Sequence[TestedWorkflow]) -> dict[str, int]:
    verdicts = [verdict for workflow in workflows for verdict in workflow.verdicts]
    passed = sum(verdict.passed for verdict in verdicts)
    duration_ms = sum(verdict.duration_ms for verdict in verdicts)
    return {"passed": passed, "failed": len(verdicts) - passed, "duration_ms": duration_ms}


def _workflow_as_json(workflow: TestedWorkflow) -> dict[str, Any]:
    return {
        "directory": str(workflow.snapshot.root),
        "name": workflow.snapshot.name,
        "problems": [
            {
                "path": problem.path,
                "line": problem.line,
                "column": problem.column,
                "where": problem.where,
                "message": problem.message,
            }
            for problem in workflow.problems
        ],
        "untested": list(workflow.untested),
        "cases": [_verdict_as_json(verdict) for verdict in workflow.verdicts],
    }


def _verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    case = verdict.case
    return {
        "name": case.id,
        "node": case.node,
        "path": case.path,
        "line": case.line,
        "passed": verdict.passed,
        "duration_ms": verdict.duration_ms,
        "failures": [
            {"message": failure.message, "diff": list(failure.diff)} for failure in verdict.failures
        ],
        "log": list(verdict.log),
    }


def _coloured(line: str) -> str:
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return style(line, sys.stdout, fg=colour) if colour else line
