"""The JSON that the engine reads."""

from __future__ import annotations

from pdwatch.core.compiled import compiled_workflow
from pdwatch.core.model import Edge, Node, Trigger, WorkflowSpec


def test_the_engine_gets_everything_that_it_runs_by() -> None:
    spec = WorkflowSpec(
        name="hello",
        version="1.10",
        triggers=(
            Trigger(type="manual"),
            Trigger(type="cron", schedule="0 9 * * *"),
            Trigger(type="webhook", path="/x"),
        ),
        nodes=(
            Node(id="a", path="./nodes/a.ts", config={"n": 1}, net=("a.com",)),
            Node(id="b", path="./b.ts"),
        ),
        edges=(Edge(source="a", target="b"),),
        timeout_ms=1500,
        retries=2,
    )
    assert compiled_workflow(spec) == {
        "name": "hello",
        "version": "1.10",
        "description": None,
        "triggers": [
            {"type": "manual"},
            {"type": "cron", "schedule": "0 9 * * *"},
            {"type": "webhook", "path": "/x"},
        ],
        "nodes": {
            "a": {"path": "./nodes/a.ts", "config": {"n": 1}, "capabilities": {"net": ["a.com"]}},
            "b": {"path": "./b.ts", "config": {}, "capabilities": None},
        },
        "edges": [{"from": "a", "to": "b"}],
        "config": {"timeoutMs": 1500, "retries": 2},
    }


def test_a_node_without_network_differs_from_one_that_declares_nothing() -> None:
    spec = WorkflowSpec(
        name="x",
        version="1.0",
        triggers=(Trigger(type="manual"),),
        nodes=(Node(id="a", path="a.ts", net=()),),
    )
    assert compiled_workflow(spec)["nodes"]["a"]["capabilities"] == {"net": []}
