from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.scaffold import editor_files, name_fault, scaffold
from pdwatch.core.schema import workflow_schema
from pdwatch.core.sources import Matcher
from pdwatch.core.workflow import parse_workflow

KEBAB = "must be kebab-case: a lower-case letter, then a-z, 0-9 and single hyphens"


@pytest.mark.parametrize("name", ["hello", "github-digest", "a", "v2-of-it", "a" * 63])
def test_what_workflow_yaml_takes_for_a_name_has_no_fault(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param("Hello World", f'"Hello World" {KEBAB}; did you mean hello-world?', id="words"),
        pytest.param("githubDigest", f"githubDigest {KEBAB}; did you mean github-digest?", id="camel case"),
        pytest.param("snake_case", f"snake_case {KEBAB}; did you mean snake-case?", id="snake case"),
        pytest.param("2nd-try", f"2nd-try {KEBAB}; did you mean nd-try?", id="a digit first"),
        pytest.param("café--au lait", f'"café--au lait" {KEBAB}; did you mean cafe-au-lait?', id="accents"),
        pytest.param("../up", f"../up {KEBAB}; did you mean up?", id="a path"),
        pytest.param("42", f"42 {KEBAB}", id="nothing left to suggest"),
        pytest.param(
            "b" * 64, f"has 64 characters; 63 is the limit; did you mean {'b' * 63}?", id="too long"
        ),
    ],
)
def test_what_can_be_no_name_comes_with_what_it_may_have_been_meant_to_be(name: str, fault: str) -> None:
    assert name_fault(name) == fault


@given(st.text())
def test_a_suggestion_is_always_a_name_itself(text: str) -> None:
    _, meant, rest = (name_fault(text) or "").rpartition("; did you mean ")
    assert not meant or name_fault(rest.removesuffix("?")) is None


@given(st.text("abcXYZ019-_ é", max_size=70))
def test_a_name_has_a_fault_exactly_when_workflow_yaml_finds_one(name: str) -> None:
    document = json.dumps(
        {"name": name, "version": "1.0", "triggers": [{"type": "manual"}], "nodes": {"a": {"path": "a.ts"}}}
    )
    parsed = parse_workflow(document.encode(), files={"a.ts"})
    assert (name_fault(name) is None) == (parsed.spec is not None)


def test_the_name_takes_the_place_of_its_placeholder_everywhere() -> None:
    files = scaffold({"a": b"name: __NAME__\n", "b/c": b"# __NAME__: __NAME__"}, name="hello", types=b"")
    assert (files["a"], files["b/c"]) == (b"name: hello\n", b"# hello: hello")


def test_what_the_editor_needs_is_the_engines_types_and_the_schema_and_is_never_shipped() -> None:
    files = editor_files(b"export {};\n")
    assert files[".pipedreamer/mod.ts"] == b"export {};\n"
    assert json.loads(files[".pipedreamer/workflow.schema.json"]) == workflow_schema()
    assert not any(Matcher.for_spec(None).ships(path) for path in files)
