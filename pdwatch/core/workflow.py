"""workflow.yaml: from bytes to a :class:`WorkflowSpec`, or to every problem at once.

:mod:`pdwatch.core.schema` says what each value must look like; the rules between values are here. Decisions
beyond the description of the format:

- A key without a value counts as absent where the key is optional. ``edges`` is optional.
- ``x-…`` keys are allowed in every mapping of known keys. Under ``nodes`` every key is a node.
- A node's path may go through ``..`` as long as it stays inside the directory.
- A cron schedule is what ``Deno.cron`` takes; see :mod:`pdwatch.core.cron`.
- A host may begin with ``*.`` and end with a port, as in Deno's ``--allow-net``.
- Requests and limits are merged with the defaults resource by resource; see :mod:`pdwatch.core.spec`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from pdwatch.core.formats import formats
from pdwatch.core.graph import Cycle, GraphProblem, SelfLoop, UnknownNode, compile_graph
from pdwatch.core.model import Edge, Resources
from pdwatch.core.quantity import parse_quantity
from pdwatch.core.schema import RESOURCE_NAMES, workflow_schema
from pdwatch.core.spec import workflow_spec
from pdwatch.core.structure import check
from pdwatch.core.suggestion import did_you_mean
from pdwatch.core.yaml_document import EMPTY, read_document
from pdwatch.core.yaml_tree import YamlMapping, YamlScalar, YamlSequence, YamlValue, child, shown, text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pdwatch.core.model import Problem, WorkflowSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedWorkflow:
    """What workflow.yaml says.

    ``name`` is the workflow's name as far as it can be read, even when it is not valid. ``spec`` is None
    exactly when there are ``problems``, which are sorted by line and column.
    """

    name: str | None
    spec: WorkflowSpec | None
    problems: tuple[Problem, ...]


def parse_workflow(content: bytes, *, files: Collection[str]) -> ParsedWorkflow:
    """Parse and validate the bytes of a workflow.yaml. Never raises, whatever they are.

    Args:
        content: The file.
        files: The regular files in the workflow's directory, as POSIX paths relative to it.
    """
    document = read_document(content)
    root = document.root
    if root is None:
        problems = tuple(_advised(problem) for problem in document.problems)
        return ParsedWorkflow(name=_name_in(content), spec=None, problems=problems)
    found = [
        *document.problems,
        *check(root, workflow_schema(), formats=formats(files)),
        *_graph_problems(root),
        *_repeated_webhooks(root),
        *_excessive_requests(root),
    ]
    return ParsedWorkflow(
        name=text_of(child(root, "name")) or None,
        spec=None if found else workflow_spec(root),
        problems=tuple(sorted(found, key=lambda problem: (problem.line, problem.column, str(problem)))),
    )


def _advised(problem: Problem) -> Problem:
    if problem.message != EMPTY:
        return problem
    return replace(problem, message=f"{EMPTY}; a workflow has a name, a version, triggers and nodes")


def _name_in(content: bytes) -> str | None:
    """Find the name in what is no YAML: a line broken elsewhere does not change who the workflow is."""
    match = re.search(rb"^name:[ \t]*[\"']?([a-z][a-z0-9-]*)", content, re.MULTILINE)
    return match[1].decode() if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlacedEdge:
    """An edge whose ends are both texts, with its place in the file."""

    where: str
    value: YamlMapping
    ends: dict[str, YamlScalar]

    @property
    def edge(self) -> Edge:
        return Edge(source=self.ends["from"].text, target=self.ends["to"].text)


def _graph_problems(root: YamlValue) -> Iterator[Problem]:
    nodes = child(root, "nodes")
    if isinstance(nodes, YamlMapping):
        edges = list(_placed_edges(root))
        for problem in compile_graph(nodes.entries, [placed.edge for placed in edges]).problems:
            yield _placed(problem, edges, nodes.entries)


def _placed_edges(root: YamlValue) -> Iterator[_PlacedEdge]:
    edges = child(root, "edges")
    for index, value in enumerate(edges.items if isinstance(edges, YamlSequence) else ()):
        ends = {end: scalar for end in ("from", "to") if isinstance(scalar := child(value, end), YamlScalar)}
        if isinstance(value, YamlMapping) and len(ends) == len(("from", "to")):
            yield _PlacedEdge(where=f"edges[{index}]", value=value, ends=ends)


def _placed(problem: GraphProblem, edges: list[_PlacedEdge], nodes: Collection[str]) -> Problem:
    match problem:
        case UnknownNode(edge=index, end=end, node=node):
            message = f"there is no node {shown(node)}{did_you_mean(node, nodes)}"
            return edges[index].ends[end].position.problem(message, where=f"{edges[index].where}.{end}")
        case SelfLoop(edge=index, node=node):
            message = f"{shown(node)} can't depend on itself; remove this edge"
            return edges[index].value.position.problem(message, where=edges[index].where)
        case Cycle(path=path):
            steps = set(pairwise(path))
            last = [placed for placed in edges if (placed.edge.source, placed.edge.target) in steps][-1]
            message = f"{' → '.join(map(shown, path))} is a cycle; remove one of its edges"
            return last.value.position.problem(message, where=last.where)


def _repeated_webhooks(root: YamlValue) -> Iterator[Problem]:
    triggers = child(root, "triggers")
    first: dict[str, int] = {}
    for index, trigger in enumerate(triggers.items if isinstance(triggers, YamlSequence) else ()):
        path = child(trigger, "path")
        if text_of(child(trigger, "type")) != "webhook" or not isinstance(path, YamlScalar):
            continue
        if path.text in first:
            message = (
                f"{shown(path.text)} is already the path of triggers[{first[path.text]}]; choose another"
            )
            yield path.position.problem(message, where=f"triggers[{index}].path")
        first.setdefault(path.text, index)


def _excessive_requests(root: YamlValue) -> Iterator[Problem]:
    resources = child(root, "deployment", "resources")
    for name in RESOURCE_NAMES:
        request = child(resources, "requests", name)
        given = text_of(child(resources, "limits", name))
        limit = given or Resources().limits.get(name)
        if not isinstance(request, YamlScalar) or limit is None or not _exceeds(request.text, limit):
            continue
        default = "" if given else f", the default; set limits.{name} too"
        message = f"{request.text} is more than the limit of {limit}{default}"
        yield request.position.problem(message, where=f"deployment.resources.requests.{name}")


def _exceeds(request: str, limit: str) -> bool:
    try:
        return parse_quantity(request) > parse_quantity(limit)
    except ValueError:
        return False  # The schema's check reports what is no quantity.
