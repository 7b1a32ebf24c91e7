"""The graph of a workflow's nodes: its stages, or what keeps it from having any.

The engine compiles the same graph in TypeScript; ``tests/shared/graph-cases.json`` holds the two together.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pdwatch.core.model import Edge


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownNode:
    """An end of the edge of that index is no node."""

    edge: int
    end: Literal["from", "to"]
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfLoop:
    """The edge of that index leads from a node to itself."""

    edge: int
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Nodes that wait for one another; ``path`` begins and ends with the same one."""

    path: tuple[str, ...]


GraphProblem: TypeAlias = UnknownNode | SelfLoop | Cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """``stages`` hold every node that is on no cycle and needs none, as early as its sources allow.

    Each stage is sorted by name. ``problems`` are unknown ends and self-loops by edge, then cycles.
    """

    stages: tuple[tuple[str, ...], ...]
    problems: tuple[GraphProblem, ...]


def compile_graph(nodes: Collection[str], edges: Sequence[Edge]) -> Graph:
    """Compile a graph; the same nodes and edges in any order give the same stages and cycles.

    An edge with an unknown end and a self-loop count no further: cycles are sought in the rest. For each node
    in sorted order that is on no cycle named so far, the shortest cycle through it is named; among equally
    short ones, the alphabetically first.
    """
    faulty = {
        index: found for index, edge in enumerate(edges) if (found := _edge_problems(index, edge, nodes))
    }
    sound = {(edge.source, edge.target) for index, edge in enumerate(edges) if index not in faulty}
    targets: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in sorted(sound):
        targets[source].append(target)
    stages = tuple(_stages(targets))
    left = sorted(set(nodes).difference(*stages))
    cycles = [Cycle(path=path) for path in _cycles(left, targets)]
    return Graph(stages=stages, problems=(*(found for each in faulty.values() for found in each), *cycles))


def _edge_problems(index: int, edge: Edge, nodes: Collection[str]) -> list[GraphProblem]:
    ends: tuple[tuple[Literal["from", "to"], str], ...] = (("from", edge.source), ("to", edge.target))
    unknown: list[GraphProblem] = [
        UnknownNode(edge=index, end=end, node=node) for end, node in ends if node not in nodes
    ]
    if not unknown and edge.source == edge.target:
        return [SelfLoop(edge=index, node=edge.source)]
    return unknown


def _stages(targets: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Sort by Kahn's algorithm; nodes on a cycle, and those behind one, never come up."""
    waiting = dict.fromkeys(targets, 0)
    for target in (target for each in targets.values() for target in each):
        waiting[target] += 1
    stage = sorted(node for node, sources in waiting.items() if sources == 0)
    while stage:
        yield tuple(stage)
        released = []
        for target in (target for node in stage for target in targets[node]):
            waiting[target] -= 1
            if waiting[target] == 0:
                released.append(target)
        stage = sorted(released)


def _cycles(nodes: Iterable[str], targets: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    named: set[str] = set()
    for node in nodes:
        path = None if node in named else _shortest_cycle(node, targets)
        if path:
            named.update(path)
            yield path


def _shortest_cycle(start: str, targets: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """Search breadth-first for a way from ``start`` back to it, alphabetically first among the shortest."""
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for target in targets[node]:
            if target == start:
                return (*_way(start, node, came_from), start)
            if target not in came_from:
                came_from[target] = node
                queue.append(target)
    return None


def _way(start: str, end: str, came_from: Mapping[str, str]) -> tuple[str, ...]:
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))
