"""The JSON Schema: that it is one, and that it tells editors what the validator enforces."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.core.formats import formats
from pdwatch.core.schema import JsonSchema, workflow_schema
from pdwatch.core.structure import check
from pdwatch.core.workflow import parse_workflow
from pdwatch.core.yaml_document import read_document

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = formats({"nodes/greet.ts"})
KEYWORDS = {
    *("$schema", "title", "description", "default", "examples", "type", "enum", "const", "oneOf", "format"),
    *("properties", "required", "additionalProperties", "patternProperties", "propertyNames"),
    *("items", "minItems", "minProperties", "maxProperties", "minimum", "maximum", "maxLength"),
    *("pattern", "patternErrorMessage"),
}
"""JSON Schema 2020-12's, and the language servers' patternErrorMessage."""


def schemas(schema: JsonSchema, path: str = "#") -> Iterator[tuple[str, JsonSchema]]:
    """Yield the schema and all in it, with their paths."""
    yield path, schema
    for keyword in ("properties", "patternProperties"):
        for name, inner in schema.get(keyword, {}).items():
            yield from schemas(inner, f"{path}/{keyword}/{name}")
    for keyword in ("items", "propertyNames", "additionalProperties"):
        if isinstance(inner := schema.get(keyword), dict):
            yield from schemas(inner, f"{path}/{keyword}")
    for index, inner in enumerate(schema.get("oneOf", ())):
        yield from schemas(inner, f"{path}/oneOf/{index}")


ALL = dict(schemas(workflow_schema()))


@pytest.mark.parametrize("path", ALL)
def test_a_schema_uses_only_keywords_that_exist_and_belong_together(path: str) -> None:
    schema = ALL[path]
    assert set(schema) <= KEYWORDS
    assert ("pattern" in schema) == ("patternErrorMessage" in schema)
    assert ("minimum" in schema) == ("maximum" in schema)
    assert set(schema.get("required", ())) <= set(schema.get("properties", ()))
    if "pattern" in schema:
        assert re.compile(schema["pattern"]).pattern.startswith("^")
        assert schema["pattern"].endswith("$")


@pytest.mark.parametrize("path", [path for path, schema in ALL.items() if "examples" in schema])
def test_an_example_is_valid(path: str) -> None:
    for example in ALL[path]["examples"]:
        root = read_document(json.dumps(example).encode()).root
        assert root is not None
        assert list(check(root, ALL[path], formats=FORMATS)) == []


def test_every_format_is_known_and_none_is_left_over() -> None:
    assert {schema["format"] for schema in ALL.values() if "format" in schema} == set(FORMATS)


def test_the_examples_of_the_required_keys_make_a_valid_workflow() -> None:
    properties: dict[str, Any] = workflow_schema()["properties"]
    required = {name: properties[name]["examples"][0] for name in workflow_schema()["required"]}
    assert parse_workflow(json.dumps(required).encode(), files=["nodes/greet.ts"]).problems == ()


def test_the_schema_is_json_and_new_each_time() -> None:
    schema = workflow_schema()
    assert json.loads(json.dumps(schema)) == schema
    schema["properties"].clear()
    assert workflow_schema()["properties"]
