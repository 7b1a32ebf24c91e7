"""The graph: the table shared with the engine, and what holds for every graph."""

from __future__ import annotations

import json
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.graph import Cycle, GraphProblem, SelfLoop, UnknownNode, compile_graph
from pdwatch.core.model import Edge

SHARED = json.loads((Path(__file__).parents[1] / "shared" / "graph-cases.json").read_text())["cases"]


def as_shared(problem: GraphProblem) -> dict[str, Any]:
    match problem:
        case UnknownNode(edge=edge, end=end, node=node):
            return {"kind": "unknown-node", "edge": edge, "end": end, "node": node}
        case SelfLoop(edge=edge, node=node):
            return {"kind": "self-loop", "edge": edge, "node": node}
        case Cycle(path=path):
            return {"kind": "cycle", "path": list(path)}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in SHARED])
def test_the_engine_and_the_validator_see_the_same_graph(case: dict[str, Any]) -> None:
    edges = [Edge(source=edge["from"], target=edge["to"]) for edge in case["edges"]]
    graph = compile_graph(case["nodes"], edges)
    assert [as_shared(problem) for problem in graph.problems] == case.get("problems", [])
    if "stages" in case:
        assert [list(stage) for stage in graph.stages] == case["stages"]


NAMES = st.sampled_from("abcdef")
EDGES = st.lists(st.builds(Edge, source=NAMES, target=NAMES), max_size=12)


@given(EDGES)
def test_every_node_is_staged_after_its_sources_or_a_cycle_is_named(edges: list[Edge]) -> None:
    graph = compile_graph("abcdef", edges)
    stage_of = {node: index for index, stage in enumerate(graph.stages) for node in stage}
    for edge in edges:
        if edge.source != edge.target and edge.target in stage_of:
            assert stage_of[edge.source] < stage_of[edge.target]
    has_cycle = any(isinstance(problem, Cycle) for problem in graph.problems)
    assert has_cycle == (len(stage_of) < len("abcdef"))


@given(EDGES)
def test_a_cycle_is_made_of_edges_and_visits_no_node_twice(edges: list[Edge]) -> None:
    known = {(edge.source, edge.target) for edge in edges}
    for problem in compile_graph("abcdef", edges).problems:
        if isinstance(problem, Cycle):
            assert set(pairwise(problem.path)) <= known
            assert problem.path[0] == problem.path[-1]
            assert len(set(problem.path)) == len(problem.path) - 1


@given(EDGES)
def test_a_cycle_is_the_first_by_name_of_the_shortest_through_its_first_node(edges: list[Edge]) -> None:
    known = {(edge.source, edge.target) for edge in edges}
    for problem in compile_graph("abcdef", edges).problems:
        if isinstance(problem, Cycle):
            start = problem.path[0]
            others = set("abcdef") - {start}
            ways = ((start, *way, start) for count in range(1, 6) for way in permutations(others, count))
            cycles = [way for way in ways if set(pairwise(way)) <= known]
            assert problem.path == min(cycles, key=lambda way: (len(way), way))


@given(st.data(), EDGES)
def test_the_order_of_nodes_and_edges_does_not_matter(data: st.DataObject, edges: list[Edge]) -> None:
    graph = compile_graph("abcdef", edges)
    shuffled = compile_graph(data.draw(st.permutations("abcdef")), data.draw(st.permutations(edges)))
    assert shuffled.stages == graph.stages
    assert cycles_of(shuffled.problems) == cycles_of(graph.problems)


def cycles_of(problems: tuple[GraphProblem, ...]) -> list[GraphProblem]:
    return [problem for problem in problems if isinstance(problem, Cycle)]
