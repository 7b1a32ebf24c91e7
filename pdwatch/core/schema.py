"""The JSON Schema of workflow.yaml: what editors complete and check, and what pdwatch itself validates by.

:mod:`pdwatch.core.structure` interprets it, so the editor and ``pdwatch validate`` cannot disagree, and each
rule is written once. ``patternErrorMessage``, which the JSON and YAML language servers know, has the words
for a pattern that doesn't match. ``format`` names a rule that no pattern can express: editors pass over it,
and :mod:`pdwatch.core.formats` has it. ``examples`` show what a missing value might be.
"""

from __future__ import annotations

from typing import Any

JsonSchema = dict[str, Any]

MODULE_SUFFIXES = ("ts", "tsx", "mts", "js", "jsx", "mjs")
"""What Deno loads as an ECMAScript module."""
RESOURCE_NAMES = ("cpu", "ephemeral-storage", "memory")
"""The resources that a workflow may ask for."""
MAX_NODES = 1000
_DIGITS = r"([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})"
MAX_RETRIES = 20
"""The wait doubles from 100 ms, and the last one of 20 is already half a day."""


def workflow_schema() -> JsonSchema:
    """Return the schema, in JSON Schema 2020-12; a new object each time."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pipedreamer workflow",
        **_record(
            {
                "name": _text(
                    r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
                    "must be kebab-case: a lower-case letter, then a-z, 0-9 and single hyphens",
                    description="Becomes the name of the Deployment, the Service and the image.",
                    maxLength=63,
                    examples=["github-digest"],
                ),
                "version": _text(
                    r"^[0-9]{1,9}\.[0-9]{1,9}(\.[0-9]{1,9})?$",
                    "must be MAJOR.MINOR or MAJOR.MINOR.PATCH, such as 1.0",
                    number=True,
                    description="Becomes the image's tag, dots as hyphens.",
                    examples=["1.0"],
                ),
                "description": _optional({"type": "string", "description": "What the workflow is for."}),
                "triggers": {
                    "type": "array",
                    "description": "What starts the workflow.",
                    "minItems": 1,
                    "items": _trigger(),
                    "examples": [[{"type": "manual"}]],
                },
                "nodes": {
                    "type": "object",
                    "description": "The steps, by id.",
                    "minProperties": 1,
                    "maxProperties": MAX_NODES,
                    "propertyNames": {
                        "pattern": r"^[a-z][a-z0-9_-]*$",
                        "patternErrorMessage": "must be a lower-case letter, then a-z, 0-9, - and _",
                    },
                    "additionalProperties": _node(),
                    "examples": [{"greet": {"path": "./nodes/greet.ts"}}],
                },
                "edges": _optional(
                    {
                        "type": "array",
                        "description": "Which node needs the output of which; without cycles.",
                        "items": _record({"from": _node_id(), "to": _node_id()}, required=("from", "to")),
                    }
                ),
                "config": _optional(_config()),
                "deployment": _optional(_deployment()),
            },
            required=("name", "version", "triggers", "nodes"),
        ),
    }


def _record(properties: JsonSchema, *, required: tuple[str, ...] = (), **more: Any) -> JsonSchema:
    """Return the schema of a mapping with these keys only, and ``x-…`` keys for whatever the author likes."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        **more,
    }


def _optional(schema: JsonSchema) -> JsonSchema:
    """Return a schema that takes a key without a value for an absent key."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*types, "null"]}


def _text(pattern: str, otherwise: str, *, number: bool = False, **more: Any) -> JsonSchema:
    """Return the schema of text, or with ``number`` of a number whose text counts."""
    return {
        "type": ["string", "number"] if number else "string",
        "pattern": pattern,
        "patternErrorMessage": otherwise,
        **more,
    }


def _trigger() -> JsonSchema:
    schedule = {
        "type": "string",
        "format": "cron",
        "description": "Minute, hour, day of month, month, day of week (1 is Sunday, 7 Saturday), in UTC.",
        "examples": ["0 9 * * MON-FRI"],
    }
    path = _text(
        r"^/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*$",
        "must be the path of a URL: it begins with / and has no spaces, ? or #",
        format="webhook-path",
        description="Where requests start the workflow; /run, /health and /ready are the engine's.",
        examples=["/hooks/github"],
    )
    return {
        "oneOf": [
            _record({"type": {"const": "manual"}}, required=("type",)),
            _record({"type": {"const": "cron"}, "schedule": schedule}, required=("type", "schedule")),
            _record({"type": {"const": "webhook"}, "path": path}, required=("type", "path")),
        ]
    }


def _node() -> JsonSchema:
    label = "[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?"
    host = _text(
        rf"^(\*\.)?{label}(\.{label})*(:[0-9]{{1,5}})?$",
        "must be a host such as api.github.com, *.github.com or db:5432, without https:// and path",
        format="host",
    )
    return _record(
        {
            "path": _text(
                rf"^(?!/).+\.({'|'.join(MODULE_SUFFIXES)})$",
                "must be a .ts or .js module below the workflow's directory",
                format="node-path",
                description="The module whose default export is the node's function.",
                examples=["./nodes/greet.ts"],
            ),
            "config": _optional({"type": "object", "description": "Becomes ctx.config."}),
            "capabilities": _optional(
                _record(
                    {
                        "net": _optional(
                            {
                                **host,
                                "type": ["string", "array"],
                                "items": host,
                                "description": "Hosts that the node talks to; *. stands for any subdomain.",
                                "examples": ["api.github.com"],
                            }
                        )
                    }
                )
            ),
        },
        required=("path",),
        examples=[{"path": "./nodes/greet.ts"}],
    )


def _node_id() -> JsonSchema:
    return {"type": "string", "description": "A node's id.", "examples": ["greet"]}


def _config() -> JsonSchema:
    return _record(
        {
            "timeout": _optional(
                _text(
                    r"^[0-9]{1,10}(ms|s|m)$",
                    "must be a whole number and a unit, ms, s or m, such as 30s",
                    format="timeout",
                    description="A node's time limit.",
                    default="30s",
                )
            ),
            "retries": _optional(
                {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": MAX_RETRIES,
                    "description": "How often a failed node is tried again, after 100, 200, 400 … ms.",
                    "default": 0,
                }
            ),
            "include": _optional(
                {
                    "type": "array",
                    "description": "More files to watch and ship, as globs.",
                    "items": _text(
                        r"^(?!/)(?!(.*/)?\.\.(/|$)).+$",
                        "must be a glob below the workflow's directory, such as prompts/*.txt",
                    ),
                }
            ),
        }
    )


def _deployment() -> JsonSchema:
    memory = _text(
        rf"^{_DIGITS}([kMGTPE]i?|Ki|[eE][+-]?[0-9]{{1,2}})?$",
        "must be an amount of bytes as in Kubernetes, such as 64Mi or 1Gi",
        number=True,
        format="quantity",
        examples=["64Mi"],
    )
    cpu = _text(
        rf"^{_DIGITS}([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{{1,2}})?$",
        "must be a number of CPUs as in Kubernetes, such as 0.5 or 500m",
        number=True,
        format="quantity",
        examples=["500m"],
    )
    of_resource = {"cpu": cpu, "ephemeral-storage": memory, "memory": memory}
    amounts = _optional(_record({name: _optional(of_resource[name]) for name in RESOURCE_NAMES}))
    return _record(
        {
            "namespace": _optional(
                _text(
                    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
                    "must be a namespace's name: lower-case letters, digits and hyphens",
                    maxLength=63,
                    description="Where the workflow is deployed, unless a flag says otherwise.",
                )
            ),
            "replicas": _optional({"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "default": 1}),
            "resources": _optional(
                _record(
                    {"requests": amounts, "limits": amounts},
                    description="Requests default to 64Mi and 100m, limits to 256Mi and 500m.",
                )
            ),
        },
        description="How pdwatch deploys the workflow.",
    )
