"""The JSON Schema of test fixtures, which :mod:`pdwatch.core.structure` interprets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdwatch.core.schema import JsonSchema

_ANY: JsonSchema = {}
_OBJECT: JsonSchema = {"type": "object"}
_TEXT: JsonSchema = {"type": "string"}
_FLAG: JsonSchema = {"type": "boolean"}
_TEXTS_BY_KEY: JsonSchema = {"type": "object", "additionalProperties": _TEXT}


def node_case_schema() -> JsonSchema:
    """Return the schema of one case of a node; a new object each time."""
    return _record(
        {"input": _ANY, "config": _OBJECT, "expected": _ANY, "error": _not_empty("timed out"), **_common()}
    )


def workflow_case_schema() -> JsonSchema:
    """Return the schema of one case of a whole workflow; a new object each time."""
    by_node = {"type": "object", "additionalProperties": _ANY}
    errors = {"type": "object", "minProperties": 1, "additionalProperties": _not_empty("timed out")}
    return _record({"payload": _ANY, "mocks": by_node, "expected": by_node, "errors": errors, **_common()})


def _common() -> JsonSchema:
    return {
        "$schema": _TEXT,
        "name": _not_empty("no names"),
        "secrets": {
            "type": "object",
            "additionalProperties": {"type": ["object", "string"], "additionalProperties": _TEXT},
        },
        "fetch": {"type": "array", "items": _answer()},
    }


def _answer() -> JsonSchema:
    return _record(
        {
            "url": {
                "type": "string",
                "pattern": "^https?://[^/?#]+.*$",
                "patternErrorMessage": "must be a full URL, such as https://api.github.com/user",
            },
            "service": {
                "type": "string",
                "pattern": r"^[\w.*-]+$",
                "patternErrorMessage": "must be a service as ctx.fetch takes it, such as github",
            },
            "path": {
                "type": "string",
                "pattern": "^[/*].*$",
                "patternErrorMessage": 'must begin with "/"; a full URL goes into url',
            },
            "method": {
                "type": "string",
                "pattern": "^[A-Z]+$",
                "patternErrorMessage": "must be a method in capital letters, such as POST",
            },
            "status": {"type": "integer", "minimum": 200, "maximum": 599},
            "headers": _TEXTS_BY_KEY,
            "body": _TEXT,
            "json": _ANY,
            "error": _not_empty("connection refused"),
            "optional": _FLAG,
            "repeat": _FLAG,
        }
    )


def _not_empty(example: str) -> JsonSchema:
    return {
        "type": "string",
        "pattern": r"^[\s\S]+$",
        "patternErrorMessage": "is empty",
        "examples": [example],
    }


def _record(properties: JsonSchema) -> JsonSchema:
    return {
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": _ANY},
        "additionalProperties": False,
    }
