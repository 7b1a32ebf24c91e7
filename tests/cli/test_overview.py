"""The table of ``pdwatch status`` without a name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pdwatch.cli.overview import lines
from pdwatch.core.daemon_state import Answer, Standing, WorkflowState

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def told(name: str = "hello", **fields: Any) -> dict[str, Any]:
    given = {"standing": Standing.READY, "answer": Answer.YES, "namespace": "dev", **fields}
    given = {"directory": f"/w/{name}", "since": NOW, "target": "kubernetes", **given}
    return dict(WorkflowState(name=name, **given).document())


def table(*documents: dict[str, Any], colour: bool = False) -> list[str]:
    return list(lines(documents, now=NOW, colour=colour))


def test_each_workflow_has_a_row_by_name_and_the_reason_below_if_it_does_not_run() -> None:
    broken = {
        "standing": Standing.FAILING,
        "answer": Answer.NO,
        "why": "greet.ts:1:1:\n  it does not compile",
    }
    shown = table(
        told("slow", standing=Standing.BUILDING, answer=Answer.BUILDING, since=NOW - timedelta(seconds=3)),
        told("hello", image="hello:1"),
        told("hello", image="hello:1", url="http://127.0.0.1:18080", target="local"),
        told("broken", **broken, namespace="", target=None),
    )
    assert shown == [
        "NAME    NAMESPACE  TARGET      STATE     RUNNING   AGE  WHERE",
        "broken  -          -           failing   no        0s   -",
        "  greet.ts:1:1: it does not compile",
        "hello   dev        kubernetes  ready     yes       0s   hello:1",
        "hello   dev        local       ready     yes       0s   http://127.0.0.1:18080",
        "slow    dev        kubernetes  building  building  3s   -",
    ]


def test_no_workflows_are_told_in_words() -> None:
    assert table() == ["no workflows"]


@pytest.mark.parametrize(
    ("answer", "escape"),
    [(Answer.YES, "\x1b[32m"), (Answer.NO, "\x1b[31m"), (Answer.ROLLING_OUT, "\x1b[33m")],
)
def test_the_answer_has_a_colour_and_the_columns_keep_their_place(answer: Answer, escape: str) -> None:
    plain, coloured = table(told(answer=answer)), table(told(answer=answer), colour=True)
    assert escape in coloured[1]
    assert coloured[1].count("\x1b[0m") == 1
    assert plain[0] == coloured[0]
