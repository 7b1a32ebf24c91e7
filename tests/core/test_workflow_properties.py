"""What holds for every workflow.yaml, valid or not."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.compiled import compiled_workflow
from pdwatch.core.model import DeploymentOptions, Edge, Node, Resources, Trigger, WorkflowSpec
from pdwatch.core.schema import workflow_schema
from pdwatch.core.workflow import ParsedWorkflow, parse_workflow

FILES = ("nodes/a.ts", "lib/b.js", "c.mjs")

NODE_IDS = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True)
TEXT = st.text(alphabet="abcé :#'\"-{\n")  # nothing that YAML 1.1 and 1.2 read differently
CONFIG = st.dictionaries(TEXT, TEXT | st.integers() | st.none() | st.lists(st.booleans() | TEXT), max_size=3)
TRIGGERS = st.one_of(
    st.just(Trigger(type="manual")),
    st.sampled_from(["* * * * *", "0 9 * * MON"]).map(lambda text: Trigger(type="cron", schedule=text)),
)
RESOURCES = st.sampled_from(
    [
        Resources(),
        Resources(requests={"memory": "1Gi", "cpu": "1"}, limits={"memory": "1024Mi", "cpu": "1000m"}),
        Resources(requests={"memory": "0", "cpu": "0"}, limits={"memory": "1e9", "cpu": ".5"}),
    ]
)


@st.composite
def specs(draw: st.DrawFn) -> WorkflowSpec:
    nodes = st.builds(
        Node,
        id=NODE_IDS,
        path=st.sampled_from(["./nodes/a.ts", "lib/b.js", "./c.mjs"]),
        config=CONFIG,
        net=st.none() | st.lists(st.sampled_from(["a.com", "b:80", "*.c.org"]), unique=True).map(tuple),
    )
    found = sorted(
        draw(st.lists(nodes, min_size=1, max_size=4, unique_by=lambda node: node.id)), key=lambda n: n.id
    )
    forwards = [Edge(source=a.id, target=b.id) for i, a in enumerate(found) for b in found[i + 1 :]]
    webhooks = draw(st.lists(st.sampled_from(["/", "/hooks/a", "/b%20c"]), unique=True))
    return WorkflowSpec(
        name=draw(st.from_regex(r"[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,9}){0,3}", fullmatch=True)),
        version=draw(st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}(\.[0-9]{1,3})?", fullmatch=True)),
        description=draw(st.none() | TEXT),
        triggers=(
            *draw(st.lists(TRIGGERS, min_size=1)),
            *(Trigger(type="webhook", path=path) for path in webhooks),
        ),
        nodes=tuple(found),
        edges=tuple(draw(st.lists(st.sampled_from(forwards), unique=True)) if forwards else ()),
        timeout_ms=draw(st.integers(min_value=1, max_value=2**31 - 1)),
        retries=draw(st.integers(min_value=0, max_value=20)),
        include=tuple(draw(st.lists(st.sampled_from(["prompts/*.txt", "**/*.md", "..dots/a"])))),
        deployment=DeploymentOptions(
            namespace=draw(st.none() | st.just("team-a")),
            replicas=draw(st.integers(min_value=0, max_value=99)),
            resources=draw(RESOURCES),
        ),
    )


def as_document(spec: WorkflowSpec) -> dict[str, Any]:
    """Return what an author would write for ``spec``."""
    return {
        "name": spec.name,
        "version": spec.version,
        "description": spec.description,
        "triggers": [
            {
                key: value
                for key, value in (("type", t.type), ("schedule", t.schedule), ("path", t.path))
                if value
            }
            for t in spec.triggers
        ],
        "nodes": {
            node.id: {
                "path": node.path,
                "config": node.config,
                "capabilities": None if node.net is None else {"net": list(node.net)},
            }
            for node in spec.nodes
        },
        "edges": [{"from": edge.source, "to": edge.target} for edge in spec.edges],
        "config": {"timeout": f"{spec.timeout_ms}ms", "retries": spec.retries, "include": list(spec.include)},
        "deployment": {
            "namespace": spec.deployment.namespace,
            "replicas": spec.deployment.replicas,
            "resources": {
                "requests": dict(spec.deployment.resources.requests),
                "limits": dict(spec.deployment.resources.limits),
            },
        },
    }


def parsed(text: str) -> ParsedWorkflow:
    return parse_workflow(text.encode(), files=FILES)


@given(specs())
def test_a_valid_workflow_means_what_its_author_wrote(spec: WorkflowSpec) -> None:
    for text in (yaml.safe_dump(as_document(spec), allow_unicode=True), json.dumps(as_document(spec))):
        assert parsed(text) == ParsedWorkflow(name=spec.name, spec=spec, problems=())


@given(st.data(), specs())
def test_the_compiled_json_does_not_depend_on_the_order_of_keys(
    data: st.DataObject, spec: WorkflowSpec
) -> None:
    document = as_document(spec)
    shuffled = dict(data.draw(st.permutations(list(document.items()))))
    shuffled["nodes"] = dict(data.draw(st.permutations(list(document["nodes"].items()))))
    workflow = parsed(json.dumps(shuffled))
    assert workflow.spec is not None
    assert json.dumps(compiled_workflow(workflow.spec)) == json.dumps(compiled_workflow(spec))


PROPERTIES = workflow_schema()["properties"]
SECTIONS = (*PROPERTIES.values(), *PROPERTIES["triggers"]["items"]["oneOf"])
INNER_KEYS = {key for section in SECTIONS for key in section.get("properties", ())}
NODE_KEYS = PROPERTIES["nodes"]["additionalProperties"]["properties"]
KEYS = st.sampled_from(
    sorted({*PROPERTIES, *INNER_KEYS, *NODE_KEYS, "net", "from", "to", "limits", "<<", "a", "x-b"})
)
LEAVES = st.sampled_from(
    ["hello", "1.0", "manual", "cron", "webhook", "0 9 * * *", "/hooks", "./nodes/a.ts", "a", "30s", "1Gi"]
) | st.none() | st.booleans() | st.integers() | st.text(max_size=5)  # fmt: skip
DOCUMENTS = st.recursive(
    LEAVES,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(KEYS, values, max_size=6),
    max_leaves=40,
)


def check_promises(content: bytes) -> None:
    workflow = parse_workflow(content, files=FILES)
    assert (workflow.spec is None) == bool(workflow.problems)
    places = []
    for problem in workflow.problems:
        assert problem.path == "workflow.yaml"
        assert problem.line is not None
        assert problem.column is not None
        assert 1 <= problem.line <= len(content) + 1
        assert problem.message
        assert str(problem).isprintable()
        places.append((problem.line, problem.column))
    assert places == sorted(places)


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_without_raising(content: bytes) -> None:
    check_promises(content)


@given(st.dictionaries(KEYS, DOCUMENTS, max_size=8))
def test_known_keys_with_any_values_are_parsed_without_raising(document: dict[str, Any]) -> None:
    check_promises(json.dumps(document).encode())
    check_promises(yaml.safe_dump(document).encode())


@given(specs(), st.data())
def test_a_valid_file_with_one_damaged_byte_is_parsed_without_raising(
    spec: WorkflowSpec, data: st.DataObject
) -> None:
    content = bytearray(yaml.safe_dump(as_document(spec)).encode())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    check_promises(bytes(content))
