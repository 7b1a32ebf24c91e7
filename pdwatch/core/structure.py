"""Checks a YAML tree against a JSON Schema, and says what to do in plain words.

Interprets the keywords that :mod:`pdwatch.core.schema` uses, as JSON Schema 2020-12 defines them, with one
deviation: ``pattern`` also applies to the text of a number, since ``version: 1.10`` is text to its author.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from pdwatch.core.suggestion import did_you_mean, nearest
from pdwatch.core.yaml_tree import YamlMapping, YamlScalar, YamlSequence, YamlValue, child, plain, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pdwatch.core.model import Problem
    from pdwatch.core.schema import JsonSchema

Formats: TypeAlias = "Mapping[str, Callable[[str], str | None]]"
"""A ``format``'s name → a function that returns what is wrong with a text, or None."""

_TYPE_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a decimal number",
    "boolean": "true or false",
    "null": "nothing",
}


def check(value: YamlValue, schema: JsonSchema, *, formats: Formats, where: str = "") -> Iterator[Problem]:
    """Yield everything in ``value`` that is not as ``schema`` says."""
    if "oneOf" in schema:
        yield from _check_variants(value, schema["oneOf"], formats, where)
    elif not _has_type(value, schema):
        yield value.position.problem(_type_fault(value, schema, where), where=where)
    elif isinstance(value, YamlMapping):
        yield from _check_mapping(value, schema, formats, where)
    elif isinstance(value, YamlSequence):
        yield from _check_sequence(value, schema, formats, where)
    elif fault := _scalar_fault(value, schema, formats):
        yield value.position.problem(fault, where=where)


def _types(schema: JsonSchema) -> list[str]:
    types = schema.get("type", list(_TYPE_WORDS))
    return types if isinstance(types, list) else [types]


def _type_of(value: YamlValue) -> str:
    match value:
        case YamlMapping():
            return "object"
        case YamlSequence():
            return "array"
        case YamlScalar(kind=kind):
            return kind


def _has_type(value: YamlValue, schema: JsonSchema) -> bool:
    types, found = _types(schema), _type_of(value)
    return found in types or (found == "integer" and "number" in types)


def _type_fault(value: YamlValue, schema: JsonSchema, where: str) -> str:
    found = _type_of(value)
    if found == "null":
        return f"has no value{_example(schema, where)}"
    if isinstance(value, YamlScalar) and (fault := _pattern_fault(value.text, schema)):
        return fault
    wanted = " or ".join(_TYPE_WORDS[name] for name in _types(schema) if name != "null")
    quote = "; put it in quotes" if isinstance(value, YamlScalar) and "string" in _types(schema) else ""
    return f"must be {wanted}, not {_TYPE_WORDS[found]}{quote}"


def _example(schema: JsonSchema, where: str) -> str:
    """Return ``; for example key: value`` (a line that YAML takes as it is), or nothing."""
    for example in schema.get("examples", ()):
        return f"; for example {where.rpartition('.')[2]}: {json.dumps(example)}"
    return ""


def _check_variants(
    value: YamlValue, variants: list[JsonSchema], formats: Formats, where: str
) -> Iterator[Problem]:
    """Check against the variant whose constant ``type`` the value has, so that its problems make sense."""
    by_type = {variant["properties"]["type"]["const"]: variant for variant in variants}
    kind = child(value, "type")
    variant = by_type.get(kind.text) if isinstance(kind, YamlScalar) else None
    yield from check(value, variant or _any_of(by_type), formats=formats, where=where)


def _any_of(by_type: dict[str, JsonSchema]) -> JsonSchema:
    """Return a schema that demands a known ``type`` and lets pass whatever some variant knows."""
    properties: JsonSchema = {name: {} for variant in by_type.values() for name in variant["properties"]}
    properties["type"] = {"type": "string", "enum": list(by_type), "examples": list(by_type)}
    return next(iter(by_type.values())) | {"properties": properties}


def _check_mapping(
    mapping: YamlMapping, schema: JsonSchema, formats: Formats, where: str
) -> Iterator[Problem]:
    properties: JsonSchema = schema.get("properties", {})
    missing = [name for name in schema.get("required", ()) if name not in mapping.entries]
    if fault := _count_fault(len(mapping.entries), schema, "Properties", where):
        yield mapping.position.problem(fault, where=where)
        return
    for key, entry in mapping.entries.items():
        place = _below(where, key)
        if (of_key := _schema_of(key, schema)) is not None:
            if fault := _pattern_fault(key, schema.get("propertyNames", {})):
                yield entry.key_position.problem(fault, where=place)
            yield from check(entry.value, of_key, formats=formats, where=place)
        else:
            match = nearest(key, missing) or nearest(key, properties)
            missing = [name for name in missing if name != match]
            advice = f"did you mean {match}?" if match else f"known are {', '.join(sorted(properties))}, x-…"
            yield entry.key_position.problem(f"is not a known key; {advice}", where=place)
    for name in missing:
        place = _below(where, name)
        example = _example(properties[name], place)
        yield mapping.position.problem(f"is missing{example}", where=place)


def _check_sequence(
    sequence: YamlSequence, schema: JsonSchema, formats: Formats, where: str
) -> Iterator[Problem]:
    if fault := _count_fault(len(sequence.items), schema, "Items", where):
        yield sequence.position.problem(fault, where=where)
    for index, item in enumerate(sequence.items):
        yield from check(item, schema.get("items", {}), formats=formats, where=f"{where}[{index}]")


def _schema_of(key: str, schema: JsonSchema) -> Any:
    """Return the schema of a key's value; None when the key is not allowed."""
    if key in schema.get("properties", {}):
        return schema["properties"][key]
    for pattern, of_key in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            return of_key
    other = schema.get("additionalProperties", {})
    return None if other is False else other


def _below(where: str, key: str) -> str:
    return f"{where}.{shown(key)}" if where else shown(key)


def _count_fault(count: int, schema: JsonSchema, of: str, where: str) -> str | None:
    if count < schema.get(f"min{of}", 0):
        return f"is empty, but needs at least one{_example(schema, where)}"
    most = schema.get(f"max{of}", count)
    return f"has {count} entries; {most} is the limit" if count > most else None


def _scalar_fault(scalar: YamlScalar, schema: JsonSchema, formats: Formats) -> str | None:
    if scalar.kind == "null":
        return None
    in_format = formats[schema["format"]] if "format" in schema else lambda _: None
    return (
        _pattern_fault(scalar.text, schema)
        or _enum_fault(scalar.text, schema)
        or _limit_fault(scalar, schema)
        or in_format(scalar.text)
    )


def _pattern_fault(text: str, schema: JsonSchema) -> str | None:
    # fullmatch, since Python's $ also matches before a last line break, and JSON Schema's does not.
    if "pattern" in schema and not re.fullmatch(schema["pattern"], text):
        return f"{shown(text)} {schema['patternErrorMessage']}"
    return None


def _enum_fault(text: str, schema: JsonSchema) -> str | None:
    if text in schema.get("enum", (text,)):
        return None
    *others, last = schema["enum"]
    return f"{shown(text)} must be {', '.join(others)} or {last}{did_you_mean(text, schema['enum'])}"


def _limit_fault(scalar: YamlScalar, schema: JsonSchema) -> str | None:
    if len(scalar.text) > schema.get("maxLength", len(scalar.text)):
        return f"has {len(scalar.text)} characters; {schema['maxLength']} is the limit"
    if "minimum" in schema and not schema["minimum"] <= plain(scalar) <= schema["maximum"]:
        return f"{shown(scalar.text)} must be from {schema['minimum']} to {schema['maximum']}"
    return None
