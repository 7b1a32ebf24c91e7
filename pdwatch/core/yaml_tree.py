"""A YAML document as a tree that knows where everything stands, and its values as JSON knows them.

Scalars are read by YAML 1.2's core schema, plus ``1_000``, ``0b1`` and octal ``017``: what Deno's std/yaml
and Go's yaml.v3, which have read these files so far, agree on. So ``yes``, ``on`` and ``12:30`` are text, not
the booleans and base-60 numbers of YAML 1.1; dates are text too, since JSON has none.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pdwatch.core.model import Problem
from pdwatch.core.sources import WORKFLOW_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["null", "boolean", "integer", "number", "string"]
"""What a scalar is, in JSON Schema's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in the file; lines and columns count from 1, columns in characters."""

    line: int
    column: int

    def problem(self, message: str, *, where: str = "") -> Problem:
        """Return the problem at this place of workflow.yaml; ``message`` goes on from ``where``."""
        return Problem(path=WORKFLOW_FILE, line=self.line, column=self.column, where=where, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlScalar:
    """A value without parts; ``text`` is as written, without quotes: ``1.10`` stays ``1.10``."""

    position: Position
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlSequence:
    """A list."""

    position: Position
    items: tuple[YamlValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlEntry:
    """A value of a mapping, and where its key is."""

    key_position: Position
    value: YamlValue


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlMapping:
    """A mapping in the file's order, with keys as text and merge keys (``<<``) resolved."""

    position: Position
    entries: Mapping[str, YamlEntry]


YamlValue: TypeAlias = YamlScalar | YamlSequence | YamlMapping


def child(value: YamlValue | None, *path: str) -> YamlValue | None:
    """Return what stands under the keys of ``path``; None where there is no such thing."""
    for key in path:
        entry = value.entries.get(key) if isinstance(value, YamlMapping) else None
        value = entry.value if entry else None
    return value


def text_of(value: YamlValue | None) -> str | None:
    """Return a scalar's text; None when there is no scalar, or one without a value."""
    return value.text if isinstance(value, YamlScalar) and value.kind != "null" else None


def plain(value: YamlValue) -> Any:
    """Return ``value`` as JSON knows it: dicts, lists, text, numbers, booleans and None."""
    match value:
        case YamlMapping(entries=entries):
            return {key: plain(entry.value) for key, entry in entries.items()}
        case YamlSequence(items=items):
            return [plain(item) for item in items]
        case YamlScalar():
            return _plain_scalar(value)


def _plain_scalar(scalar: YamlScalar) -> str | float | bool | None:
    digits = scalar.text.replace("_", "")
    match scalar.kind:
        case "null":
            return None
        case "boolean":
            return digits.lower() == "true"
        case "integer":
            return int(digits, 8 if _LEADING_ZERO.match(digits) else 0)
        case "number":
            return float(_DOT_WORD.sub(r"\1", digits))
        case "string":
            return scalar.text


_LEADING_ZERO = re.compile(r"[-+]?0[0-7]")
_DOT_WORD = re.compile(r"\.(inf|nan)", re.IGNORECASE)

# An integer of hundreds of digits is left to "number", where it turns out too large for JSON.
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("null", re.compile(r"|~|null|Null|NULL")),
    ("boolean", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("integer", re.compile(r"[-+]?(?:0|[1-9](?:_?[0-9]){0,299})")),
    ("integer", re.compile(r"[-+]?0(?:b(?:_?[01]){1,300}|o?(?:_?[0-7]){1,300}|x(?:_?[0-9a-fA-F]){1,250})")),
    ("number", re.compile(r"[-+]?(?:\.[0-9]+|[0-9](?:_?[0-9])*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")),
    ("number", re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")),
)


def kind_of(text: str) -> Kind:
    """Return what a scalar without quotes and tag is."""
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(text)), "string")


_LONGEST_SHOWN = 80
_PLAIN_WORD = re.compile(r"[\w./:@+*~!#%&=<>…-]+")


def shown(text: str) -> str:
    """Return a scalar's text as a message shows it: quoted unless it is one plain word, cut when long."""
    if len(text) > _LONGEST_SHOWN:
        text = f"{text[:_LONGEST_SHOWN]}…"
    return text if _PLAIN_WORD.fullmatch(text) else json.dumps(text, ensure_ascii=not text.isprintable())
