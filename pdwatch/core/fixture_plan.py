"""What the Deno side of ``pdwatch test`` is asked; the engine's ``harness/plan.ts`` is the other side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.core.answers import Answer
    from pdwatch.core.fixtures import Case
    from pdwatch.core.model import WorkflowSpec


def harness_plan(cases: Sequence[Case], spec: WorkflowSpec, *, directory: str, mark: str) -> dict[str, Any]:
    """Return the plan as JSON.

    Args:
        cases: What to run, in order.
        spec: The workflow.
        directory: Where it is staged.
        mark: What each line with an outcome begins with.
    """
    nodes = [node.id for node in spec.nodes]
    return {"mark": mark, "directory": directory, "cases": [_planned(case, nodes) for case in cases]}


def _planned(case: Case, nodes: Sequence[str]) -> dict[str, Any]:
    return {
        "nodes": list(nodes) if case.node is None else [case.node],
        "payload": case.payload,
        "config": case.config,
        "secrets": case.secrets,
        "fetch": [_answer(answer) for answer in case.fetch],
        "mocks": case.mocks,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "url": answer.url,
        "method": answer.method,
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": answer.body,
        "error": answer.error,
        "repeat": answer.repeat,
    }
