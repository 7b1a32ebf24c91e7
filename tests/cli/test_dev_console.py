"""What ``pdwatch dev`` shows on a terminal, event by event."""

from __future__ import annotations

from dataclasses import replace

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


BANNER = [
    "hello 1.2",
    "  1. a",
    "  2. b, c",
    "  3. d",
    "  http://127.0.0.1:1/run",
    "  http://127.0.0.1:1/hooks/push",
    "  cron 0 6 * * * (UTC)",
]
URL = "http://127.0.0.1:1"


def console(spec: WorkflowSpec | None = SPEC, *, check: bool = True, colour: bool = False) -> DevConsole:
    return DevConsole(lambda: spec, url=URL, check=check, colour=colour)


def shown(console: DevConsole, event: Event, **fields: object) -> str:
    return console(None, "info", {"event": str(event), "level": "info", "workflow": "hello", **fields})


def test_at_the_start_it_shows_the_graph_what_starts_a_run_and_what_it_does_until_then() -> None:
    both = console()
    assert shown(both, Event.DAEMON_STARTED).splitlines() == [*BANNER, "checking types…"]
    with pytest.raises(structlog.DropEvent):
        shown(both, Event.ENDPOINT_OPENED, url=URL)


def test_without_a_check_there_is_nothing_to_wait_for() -> None:
    assert shown(console(check=False), Event.DAEMON_STARTED).splitlines() == BANNER


def test_of_a_workflow_that_is_not_valid_at_the_start_it_is_shown_once_it_answers() -> None:
    specs = [SPEC, None]
    both = DevConsole(specs.pop, url=URL, check=True, colour=False)
    with pytest.raises(structlog.DropEvent):
        shown(both, Event.DAEMON_STARTED)
    assert shown(both, Event.ENDPOINT_OPENED, url=URL).splitlines() == BANNER


def test_one_that_is_edited_before_it_answers_is_shown_again() -> None:
    specs = [replace(SPEC, version="1.3"), SPEC]
    both = DevConsole(specs.pop, url=URL, check=True, colour=False)
    shown(both, Event.DAEMON_STARTED)
    assert shown(both, Event.ENDPOINT_OPENED, url=URL).splitlines() == ["hello 1.3", *BANNER[1:]]


def test_of_a_workflow_that_has_become_invalid_since_only_the_address_is_shown() -> None:
    assert shown(console(None), Event.ENDPOINT_OPENED, url=URL) == URL


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
    assert "\x1b[" in shown(console(colour=True), Event.ROLLOUT_COMPLETE)
    assert "\x1b[" not in shown(console(), Event.ROLLOUT_COMPLETE)
