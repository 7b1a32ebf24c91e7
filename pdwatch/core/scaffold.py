"""A new workflow: what it may be called, and its files."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING

from pdwatch.core.schema import workflow_schema
from pdwatch.core.structure import check
from pdwatch.core.yaml_tree import Position, YamlScalar

if TYPE_CHECKING:
    from collections.abc import Mapping

EDITOR_DIRECTORY = ".pipedreamer"
"""Holds what editors need. Hidden, so that it is neither watched nor shipped, and no upgrade of pdwatch
changes a workflow's digest through it."""
TYPES = f"{EDITOR_DIRECTORY}/mod.ts"
SCHEMA = f"{EDITOR_DIRECTORY}/workflow.schema.json"

_PLACEHOLDER = b"__NAME__"


def name_fault(name: str) -> str | None:
    """Return why no workflow can be called so, by workflow.yaml's own schema, or None."""
    schema = workflow_schema()["properties"]["name"]
    given = YamlScalar(position=Position(line=1, column=1), kind="string", text=name)
    problem = next(check(given, schema, formats={}), None)
    if problem is None:
        return None
    better = _kebab_case(name)[: schema["maxLength"]].rstrip("-")
    return f"{problem.message}; did you mean {better}?" if better else problem.message


def scaffold(templates: Mapping[str, bytes], *, name: str, types: bytes) -> Mapping[str, bytes]:
    """Return the files of a new workflow by POSIX path below its directory.

    Args:
        templates: Files by path; ``__NAME__`` in them stands for the workflow's name.
        name: The workflow's name, which :func:`name_fault` finds none with.
        types: The engine's ``mod.ts``.
    """
    named = {path: content.replace(_PLACEHOLDER, name.encode()) for path, content in templates.items()}
    return {**named, **editor_files(types)}


def editor_files(types: bytes) -> Mapping[str, bytes]:
    """Return the files of ``.pipedreamer/``: the engine's types, and the schema of workflow.yaml."""
    schema = json.dumps(workflow_schema(), indent=2, ensure_ascii=False)
    return {TYPES: types, SCHEMA: f"{schema}\n".encode()}


def _kebab_case(text: str) -> str:
    """Return ``text`` as a name, without what can't be in one; empty when nothing is left."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", ascii_only).lower()
    return re.sub(r"[^a-z0-9]+", "-", words).lstrip("-0123456789").rstrip("-")
