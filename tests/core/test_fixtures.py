"""Test fixtures: the cases that files hold, and every problem at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.answers import Answer
from pdwatch.core.fixtures import Case, read_fixtures
from pdwatch.core.model import Node, Trigger, WorkflowSpec


def spec_of(*nodes: str) -> WorkflowSpec:
    return WorkflowSpec(
        name="hello",
        version="1.0",
        triggers=(Trigger(type="manual"),),
        nodes=tuple(
            Node(id=node, path=f"./nodes/{node}.ts", config={"limit": 5, "of": {"a": 1}}) for node in nodes
        ),
    )


SPEC = spec_of("fetch", "sum")


def cases_of(name: str, content: Any, spec: WorkflowSpec = SPEC) -> tuple[Case, ...]:
    fixtures = read_fixtures({f"{name}.json": json.dumps(content).encode()}, spec)
    assert fixtures.problems == ()
    return fixtures.cases


def problems_of(name: str, content: str, spec: WorkflowSpec = SPEC) -> list[str]:
    fixtures = read_fixtures({f"{name}.json": content.encode()}, spec)
    prefix = f"tests/fixtures/{name}.json:"
    assert all(str(problem).startswith(prefix) for problem in fixtures.problems)
    return [str(problem).removeprefix(prefix).strip() for problem in fixtures.problems]


def test_a_case_of_a_node_says_what_goes_in_and_what_comes_out() -> None:
    (case,) = cases_of("sum", {"input": [1, 2], "expected": 3})
    assert case == Case(
        id="sum", node="sum", path="tests/fixtures/sum.json", line=1, payload=[1, 2], outputs={"sum": 3}
    )


def test_a_case_of_the_whole_workflow_says_so_by_node() -> None:
    given = {
        "name": "offline",
        "payload": {"n": 1},
        "mocks": {"fetch": [1]},
        "expected": {"fetch": [1]},
        "errors": {"sum": "no"},
    }
    (case,) = cases_of("workflow", given)
    assert case == Case(
        id="workflow: offline",
        node=None,
        path="tests/fixtures/workflow.json",
        line=1,
        payload={"n": 1},
        mocks={"fetch": [1]},
        outputs={"fetch": [1]},
        errors={"sum": "no"},
    )


def test_what_is_expected_may_be_null_and_an_error_a_part_of_its_message() -> None:
    (case,) = cases_of("sum", {"expected": None})
    assert (case.payload, case.outputs, case.errors) == ({}, {"sum": None}, {})
    (case,) = cases_of("sum", {"error": "timed out"})
    assert (case.outputs, case.errors) == ({}, {"sum": "timed out"})


def test_configuration_replaces_that_of_the_node_key_by_key() -> None:
    (case,) = cases_of("sum", {"config": {"of": {"b": 2}}, "expected": 1})
    assert case.config == {"sum": {"limit": 5, "of": {"b": 2}}}


def test_a_secret_that_is_text_is_its_value() -> None:
    (case,) = cases_of("sum", {"secrets": {"a": "x", "b": {"token": "y"}}, "expected": 1})
    assert case.secrets == {"a": {"value": "x"}, "b": {"token": "y"}}


def test_a_list_holds_cases_by_name_each_with_its_line() -> None:
    content = b'[\n{"name": "one", "expected": 1},\n{"name": "two", "expected": 2}\n]'
    cases = read_fixtures({"sum.json": content}, SPEC).cases
    assert [(case.id, case.line) for case in cases] == [("sum: one", 2), ("sum: two", 3)]


@pytest.mark.parametrize(
    ("name", "nodes", "node"),
    [
        pytest.param("sum", ("sum",), "sum", id="a node"),
        pytest.param("sum.large", ("sum",), "sum", id="another file of a node"),
        pytest.param("workflow", ("sum",), None, id="the whole"),
        pytest.param("workflow.large", ("sum",), None, id="another file of the whole"),
        pytest.param("workflow.node", ("sum",), None, id="one that is called node"),
        pytest.param("workflow", ("workflow",), None, id="the whole, beside a node of that name"),
        pytest.param("workflow.node", ("workflow",), "workflow", id="a node of that name"),
        pytest.param("workflow.node.large", ("workflow",), "workflow", id="another file of it"),
    ],
)
def test_the_files_name_says_what_is_tested(name: str, nodes: tuple[str, ...], node: str | None) -> None:
    expected: Any = 1 if node else {nodes[0]: 1}
    (case,) = cases_of(name, {"expected": expected}, spec_of(*nodes))
    assert (case.node, case.id) == (node, name)


def test_nodes_that_no_file_is_named_after_are_untested() -> None:
    files = {"sum.json": b'{"expected": 1}', "workflow.json": b'{"expected": {}}'}
    assert read_fixtures(files, SPEC).untested == ("fetch",)
    assert read_fixtures({}, SPEC).untested == ("fetch", "sum")


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        pytest.param({"url": "https://x.org/a"}, Answer(url="https://x.org/a"), id="a URL"),
        pytest.param(
            {"service": "github", "path": "/user", "method": "POST", "status": 503, "body": "busy"},
            Answer(url="https://api.github.com/user", method="POST", status=503, body="busy"),
            id="a service and a path",
        ),
        pytest.param(
            {"service": "github"}, Answer(url="https://api.github.com/*"), id="any path of a service"
        ),
        pytest.param(
            {"url": "https://x.org/", "json": [1]},
            Answer(url="https://x.org/", body="[1]", headers={"content-type": "application/json"}),
            id="JSON has its content type",
        ),
        pytest.param(
            {"url": "https://x.org/", "json": 1, "headers": {"Content-Type": "text/x"}},
            Answer(url="https://x.org/", body="1", headers={"content-type": "text/x"}),
            id="unless it has another",
        ),
        pytest.param(
            {"url": "https://x.org/", "error": "refused", "optional": True, "repeat": True},
            Answer(url="https://x.org/", error="refused", optional=True, repeat=True),
            id="an error",
        ),
    ],
)
def test_what_an_answer_means(answer: dict[str, Any], meaning: Answer) -> None:
    (case,) = cases_of("sum", {"fetch": [answer], "expected": 1})
    assert case.fetch == (meaning,)


MISSING = "is missing; write what the node returns, or as error a part of the message that it fails with"


@pytest.mark.parametrize(
    ("name", "content", "problems"),
    [
        pytest.param(
            "smu",
            '{"expected": 1}',
            ["there is no node smu; did you mean sum?"],
            id="a node that is not there",
        ),
        pytest.param(
            "sum",
            '{"expectd": 1}',
            ["1:2: expectd: is not a known key; did you mean expected?"],
            id="a misspelt key",
        ),
        pytest.param(
            "sum",
            '{"expected": 1, "error": "no"}',
            ["1:17: a node that fails returns nothing; keep error or expected"],
            id="both a result and an error",
        ),
        pytest.param("sum", '{"input": 1}', [f"1:1: expected: {MISSING}"], id="nothing to expect"),
        pytest.param("sum", '{"error": ""}', ['1:11: error: "" is empty'], id="an empty error"),
        pytest.param("sum", "7", ["1:1: must be a mapping, not a whole number"], id="no object"),
        pytest.param(
            "sum",
            '[{"expected": 1}, {"name": "a", "expected": 1}, {"name": "a", "expected": 2}]',
            [
                "1:2: [0].name: is missing; each case of a list has one",
                "1:58: [2].name: a is the name of another case already",
            ],
            id="names in a list",
        ),
        pytest.param(
            "workflow",
            '{"mocks": {"fetsh": 1}, "expected": {"sum": 1}}',
            ["1:12: mocks: there is no node fetsh; did you mean fetch?"],
            id="a mock of a node that is not there",
        ),
        pytest.param(
            "sum",
            '{"expected": 1, "fetch": [{"status": 200}]}',
            ["1:27: fetch[0]: needs url, or service and path"],
            id="an answer to nothing",
        ),
        pytest.param(
            "sum",
            '{"expected": 1, "fetch": [{"url": "https://x.org", "json": 1, "body": ""}]}',
            ["1:63: fetch[0]: only one of json, body, error can be given"],
            id="an answer of two contents",
        ),
        pytest.param(
            "sum",
            '{"expected": 1, "fetch": [{"url": "https://x.org", "status": 204, "body": "x"}]}',
            ["1:67: fetch[0]: an answer of status 204 has no content"],
            id="content where there can be none",
        ),
        pytest.param(
            "sum",
            '{"expected": 1, "fetch": [{"url": "x.org", "method": "post"}]}',
            [
                "1:35: fetch[0].url: x.org must be a full URL, such as https://api.github.com/user",
                "1:54: fetch[0].method: post must be a method in capital letters, such as POST",
            ],
            id="what no request can be",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(name: str, content: str, problems: list[str]) -> None:
    assert problems_of(name, content) == problems


def test_keys_with_x_and_the_schema_of_an_editor_are_the_authors_own() -> None:
    assert cases_of("sum", {"$schema": "./x.json", "x-why": [1], "expected": 1})


def test_cases_that_are_in_order_are_kept_beside_others() -> None:
    content = b'[{"name": "good", "expected": 1}, {"name": "bad"}]'
    fixtures = read_fixtures({"sum.json": content}, SPEC)
    assert [case.id for case in fixtures.cases] == ["sum: good"]
    assert len(fixtures.problems) == 1


@given(st.binary() | st.text('{}[],:"1 \n').map(str.encode))
def test_no_content_raises(content: bytes) -> None:
    fixtures = read_fixtures({"sum.json": content, "workflow.json": content}, SPEC)
    assert fixtures.untested == ("fetch",)


def test_the_samples_of_the_guide_are_in_order() -> None:
    guide = (Path(__file__).parents[2] / "docs/testing-workflows.md").read_text()
    samples = re.findall(r"^```json\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert len(samples) >= 4
    for sample in samples:
        name = "workflow" if '"payload"' in sample else "greet"
        assert problems_of(name, sample, spec_of("greet", "render")) == []
