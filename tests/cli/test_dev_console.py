"""What ``pdwatch dev`` shows on a terminal, event by event."""

from __future__ import annotations

import pytest
import structlog

from pdwatch.cli.dev_console import DevConsole
from pdwatch.core.model import Edge, Node, Trigger, WorkflowSpec
from pdwatch.logs import Event

SPEC = WorkflowSpec(
    name="hello",
    version="1.2",
    triggers=(
        Trigger(type="manual"),
        Trigger(type="webhook", path="/hooks/push"),
        Trigger(type="cron", schedule="0 6 * * *"),
    ),
    nodes=tuple(Node(id=name, path=f"./nodes/{name}.ts") for name in ("a", "b", "c", "d")),
    edges=tuple(Edge(source=source, target=target) for source, target in ("ab", "ac", "bd", "cd")),
)
FAILED = {"message": "/w/nodes/a.ts:1:2: TS1 [ERROR]: No.", "output": "x\n  ~"}


def console(spec: WorkflowSpec | None = SPEC) -> DevConsole:
    return DevConsole(lambda: spec, colour=False)


def shown(console: DevConsole, event: Event, **fields: object) -> str:
    return console(None, "info", {"event": str(event), "level": "info", "workflow": "hello", **fields})


def test_at_the_start_it_shows_the_graph_and_what_starts_a_run() -> None:
    assert shown(console(), Event.ENDPOINT_OPENED, url="http://127.0.0.1:1").splitlines() == [
        "hello 1.2",
        "  1. a",
        "  2. b, c",
        "  3. d",
        "  http://127.0.0.1:1/run",
        "  http://127.0.0.1:1/hooks/push",
        "  cron 0 6 * * * (UTC)",
    ]


def test_of_a_workflow_that_has_become_invalid_since_only_the_address_is_shown() -> None:
    assert shown(console(None), Event.ENDPOINT_OPENED, url="http://127.0.0.1:1") == "http://127.0.0.1:1"


def test_an_edit_that_is_undone_is_shown_as_what_runs_as_before() -> None:
    message = "hello runs (as before)"
    assert shown(console(), Event.WORKFLOW_CURRENT, message=message) == "✓ hello runs (as before)"


def test_a_save_that_fails_is_shown_with_what_deno_said_and_what_serves_meanwhile() -> None:
    both = console()
    said = ["✗ /w/nodes/a.ts:1:2: TS1 [ERROR]: No.", "  x", "    ~"]
    assert shown(both, Event.BUILD_FAILED, **FAILED).splitlines() == said
    assert shown(both, Event.ROLLOUT_COMPLETE, since_save_ms=139.2) == "✓ hello runs in 139 ms"
    assert shown(both, Event.BUILD_FAILED, **FAILED).splitlines() == [
        *said,
        "  what ran before goes on serving",
    ]


@pytest.mark.parametrize(
    ("event", "fields", "text"),
    [
        pytest.param(
            Event.WORKFLOW_INVALID,
            {
                "path": "/w/workflow.yaml",
                "line": 3,
                "column": 1,
                "where": "edges[0].to",
                "message": "is no node",
            },
            "✗ /w/workflow.yaml:3:1: edges[0].to: is no node",
            id="a problem",
        ),
        pytest.param(
            Event.WORKFLOW_INVALID,
            {"path": "/w/workflow.yaml", "message": "is empty"},
            "✗ /w/workflow.yaml: is empty",
            id="a problem of a whole file",
        ),
        pytest.param(
            Event.ROLLOUT_STALLED,
            {"message": "exit code 1", "output": "no"},
            "✗ hello crashes: exit code 1\n  no",
            id="a crash",
        ),
        pytest.param(
            Event.ENGINE_OUTPUT,
            {"level": "warning", "node": "a", "message": "took", "detail": "3 ms"},
            "  warning [a] took 3 ms",
            id="a node's line",
        ),
        pytest.param(
            Event.RECONCILE_FAILED,
            {"level": "error", "message": "no space", "remedy": "make room"},
            "reconcile.failed no space\n  → make room",
            id="anything else",
        ),
    ],
)
def test_an_event_is_shown_as(event: Event, fields: dict[str, object], text: str) -> None:
    assert shown(console(), event, **fields) == text


def test_the_steps_to_an_outcome_are_not_shown() -> None:
    with pytest.raises(structlog.DropEvent):
        shown(console(), Event.BUILD_STARTED)


def test_colours_are_for_terminals_that_want_them() -> None:
    coloured = DevConsole(lambda: SPEC, colour=True)
    assert "\x1b[" in shown(coloured, Event.ROLLOUT_COMPLETE)
    assert "\x1b[" not in shown(console(), Event.ROLLOUT_COMPLETE)
