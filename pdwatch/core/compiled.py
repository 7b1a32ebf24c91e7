"""workflow.yaml as the JSON that the engine reads: the image has no YAML library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdwatch.core.model import Node, Trigger, WorkflowSpec


def compiled_workflow(spec: WorkflowSpec) -> dict[str, Any]:
    """Return the engine's view of ``spec``; equal specs give equal JSON, keys in the same order.

    The shape, in TypeScript's words::

        name: string; version: string; description: string | null;
        triggers: ({type: "manual"} | {type: "cron", schedule: string} | {type: "webhook", path: string})[];
        nodes: Record<id, {path: string, config: object, capabilities: {net: string[]} | null}>;
        edges: {from: id, to: id}[];
        config: {timeoutMs: number, retries: number}
    """
    return {
        "name": spec.name,
        "version": spec.version,
        "description": spec.description,
        "triggers": [_trigger(trigger) for trigger in spec.triggers],
        "nodes": {node.id: _node(node) for node in spec.nodes},
        "edges": [{"from": edge.source, "to": edge.target} for edge in spec.edges],
        "config": {"timeoutMs": spec.timeout_ms, "retries": spec.retries},
    }


def _trigger(trigger: Trigger) -> dict[str, str]:
    fields = {"type": trigger.type, "schedule": trigger.schedule, "path": trigger.path}
    return {name: value for name, value in fields.items() if value is not None}


def _node(node: Node) -> dict[str, Any]:
    return {
        "path": node.path,
        "config": dict(node.config),
        "capabilities": None if node.net is None else {"net": list(node.net)},
    }
