"""A valid workflow.yaml's tree as a :class:`WorkflowSpec`; what is absent takes the model's defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdwatch.core.formats import milliseconds
from pdwatch.core.model import DeploymentOptions, Edge, Node, Resources, Trigger, WorkflowSpec
from pdwatch.core.quantity import parse_quantity
from pdwatch.core.schema import RESOURCE_NAMES
from pdwatch.core.yaml_tree import YamlValue, child, plain, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def workflow_spec(root: YamlValue) -> WorkflowSpec:
    """Return what the tree of a workflow.yaml without problems says."""
    content = plain(root)
    config = content.get("config") or {}
    limits = {"timeout_ms": milliseconds(config["timeout"])} if config.get("timeout") else {}
    return WorkflowSpec(
        name=content["name"],
        version=text_of(child(root, "version")) or "",
        description=content.get("description"),
        triggers=tuple(_trigger(trigger) for trigger in content["triggers"]),
        nodes=tuple(_node(name, node) for name, node in sorted(content["nodes"].items())),
        edges=tuple(Edge(source=edge["from"], target=edge["to"]) for edge in content.get("edges") or ()),
        **limits,
        retries=config.get("retries") or 0,
        include=tuple(config.get("include") or ()),
        deployment=_deployment(content.get("deployment") or {}, resources=_resources(root)),
    )


def _trigger(trigger: Mapping[str, Any]) -> Trigger:
    return Trigger(type=trigger["type"], schedule=trigger.get("schedule"), path=trigger.get("path"))


def _node(name: str, node: Mapping[str, Any]) -> Node:
    net = (node.get("capabilities") or {}).get("net")
    hosts = (net,) if isinstance(net, str) else net
    return Node(
        id=name,
        path=node["path"],
        config=node.get("config") or {},
        net=None if hosts is None else tuple(dict.fromkeys(hosts)),
    )


def _deployment(deployment: Mapping[str, Any], *, resources: Resources) -> DeploymentOptions:
    replicas = deployment.get("replicas")
    scale = {} if replicas is None else {"replicas": replicas}
    return DeploymentOptions(namespace=deployment.get("namespace"), resources=resources, **scale)


def _resources(root: YamlValue) -> Resources:
    """Merge what is given into the defaults.

    A default request gives way to a smaller limit, as a missing request takes the limit in Kubernetes.
    """
    defaults = Resources()
    limits = {**defaults.limits, **_amounts(root, "limits")}
    requests = {
        name: min(request, limits[name], key=parse_quantity) for name, request in defaults.requests.items()
    }
    return Resources(requests={**requests, **_amounts(root, "requests")}, limits=limits)


def _amounts(root: YamlValue, kind: str) -> dict[str, str]:
    texts = {name: text_of(child(root, "deployment", "resources", kind, name)) for name in RESOURCE_NAMES}
    return {name: text for name, text in texts.items() if text is not None}
