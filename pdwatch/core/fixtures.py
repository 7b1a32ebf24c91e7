"""Test fixtures: from the files below ``tests/fixtures/`` to cases, or to every problem at once.

docs/testing-workflows.md describes the format. Decisions:

- ``NODE.json`` and ``NODE.CASE.json`` hold cases of a node, ``workflow.json`` and ``workflow.CASE.json`` of
  the workflow as a whole. Where a node is called ``workflow``, its own are ``workflow.node.json`` and
  ``workflow.node.CASE.json``.
- A file holds one case, or a list of cases that each have a ``name``.
- ``config`` comes on top of the node's, key by key.
- An answer of ``fetch`` is given once, unless it says ``repeat``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pdwatch.core.answers import Answer, answer_problems, answers
from pdwatch.core.fixture_schema import node_case_schema, workflow_case_schema
from pdwatch.core.json_document import read_json
from pdwatch.core.model import Problem
from pdwatch.core.structure import check
from pdwatch.core.suggestion import did_you_mean, nearest
from pdwatch.core.yaml_tree import YamlMapping, YamlSequence, YamlValue, child, plain, shown, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdwatch.core.model import WorkflowSpec

FIXTURES = "tests/fixtures"
"""Below the workflow's directory."""
WHOLE = "workflow"
"""What fixtures of a workflow as a whole are called by."""
_OF_NODE = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test of a node, or of a workflow as a whole.

    ``node`` is None for a whole workflow. ``path`` is the file's, below the workflow's directory, and
    ``line`` where the case begins in it. ``config`` is the nodes' that differs from workflow.yaml.
    ``outputs`` and ``errors`` are what is expected, by node id: a value that the output equals, and a part
    of the message. Nodes of a whole workflow that have no expected output are not looked at.
    """

    id: str
    node: str | None
    path: str
    line: int
    payload: Any = field(default_factory=dict)
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fetch: tuple[Answer, ...] = ()
    mocks: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixtures:
    """What a workflow's fixtures say: ``cases`` sorted by id, whatever else there is wrong.

    ``problems`` are sorted by file and line; ``untested`` are the nodes that no file is named after.
    """

    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    untested: tuple[str, ...]


def read_fixtures(files: Mapping[str, bytes], spec: WorkflowSpec) -> Fixtures:
    """Read the fixtures of a workflow. Never raises, whatever they hold.

    Args:
        files: Contents by name below ``tests/fixtures``; only ``*.json``.
        spec: The workflow.
    """
    nodes = [node.id for node in spec.nodes]
    cases: list[Case] = []
    problems: list[Problem] = []
    tested: set[str] = set()
    for name, content in sorted(files.items()):
        path = f"{FIXTURES}/{name}"
        subject, label = _subject(name.removesuffix(".json"), nodes)
        if subject not in {*nodes, None}:
            suggestion = did_you_mean(str(subject), [*nodes, WHOLE])
            problems.append(Problem(path=path, message=f"there is no node {shown(str(subject))}{suggestion}"))
            continue
        tested.update([subject] if subject else ())
        file = _File(path=path, node=subject, label=label, spec=spec)
        found, wrong = file.read(content)
        cases += found
        problems += wrong
    return Fixtures(
        cases=tuple(cases),
        problems=tuple(sorted(problems, key=lambda each: (each.path, each.line or 0, each.column or 0))),
        untested=tuple(node for node in nodes if node not in tested),
    )


def _subject(stem: str, nodes: Sequence[str]) -> tuple[str | None, str]:
    """Return the node that a file is about, None for the whole workflow, and what its cases are called."""
    first, *rest = stem.split(".")
    if first != WHOLE:
        return first, stem
    if WHOLE in nodes and rest[:1] == [_OF_NODE]:
        return WHOLE, stem
    return None, stem


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    path: str
    node: str | None
    label: str
    spec: WorkflowSpec

    def read(self, content: bytes) -> tuple[list[Case], list[Problem]]:
        """Return the cases that are in order, and the problems of the others."""
        document = read_json(content)
        problems = list(document.problems)
        roots, is_list = _case_roots(document.root)
        if is_list and not roots:
            problems.append(Problem(path=self.path, line=1, column=1, message="is empty; write a case"))
        cases: list[Case] = []
        for index, root in enumerate(roots):
            where = f"[{index}]" if is_list else ""
            wrong = [*self._problems(root, where, named=is_list)]
            problems += wrong
            if not wrong:
                assert isinstance(root, YamlMapping)
                cases.append(self._case(root, named=is_list))
        problems += _repeated_names(roots) if is_list else ()
        return cases, [replace(problem, path=self.path) for problem in problems]

    def _problems(self, root: YamlValue, where: str, *, named: bool) -> Iterator[Problem]:
        schema = workflow_case_schema() if self.node is None else node_case_schema()
        yield from check(root, schema, formats={}, where=where)
        if not isinstance(root, YamlMapping):
            return
        if named and "name" not in root.entries:
            yield root.position.problem(
                "is missing; each case of a list has one", where=_below(where, "name")
            )
        yield from self._expectation_problems(root, where)
        yield from self._unknown_nodes(root, where)
        yield from answer_problems(child(root, "fetch"), _below(where, "fetch"))

    def _expectation_problems(self, root: YamlMapping, where: str) -> Iterator[Problem]:
        error = "errors" if self.node is None else "error"
        what = "what nodes return, by id" if self.node is None else "what the node returns"
        # A misspelt key is told about already.
        if all(nearest(key, ("expected", error)) is None for key in root.entries):
            message = f"is missing; write {what}, or as {error} a part of the message that it fails with"
            yield root.position.problem(message, where=_below(where, "expected"))
        if self.node is not None and "expected" in root.entries and error in root.entries:
            place = root.entries[error].key_position
            yield place.problem("a node that fails returns nothing; keep error or expected", where=where)

    def _unknown_nodes(self, root: YamlMapping, where: str) -> Iterator[Problem]:
        if self.node is not None:
            return
        nodes = [node.id for node in self.spec.nodes]
        for key in ("mocks", "expected", "errors"):
            value = child(root, key)
            for name, entry in value.entries.items() if isinstance(value, YamlMapping) else ():
                if name not in nodes:
                    message = f"there is no node {shown(name)}{did_you_mean(name, nodes)}"
                    yield entry.key_position.problem(message, where=_below(where, key))

    def _case(self, root: YamlMapping, *, named: bool) -> Case:
        content = plain(root)
        name = f": {content['name']}" if named or "name" in content else ""
        node = self.node
        return Case(
            id=f"{self.label}{name}",
            node=node,
            path=self.path,
            line=root.position.line,
            payload=content.get("payload" if node is None else "input", {}),
            config={} if node is None or "config" not in content else self._config(node, content["config"]),
            secrets={
                service: {"value": secret} if isinstance(secret, str) else secret
                for service, secret in content.get("secrets", {}).items()
            },
            fetch=answers(content.get("fetch", ())),
            mocks=content.get("mocks", {}),
            outputs=_by_node(content, "expected", node),
            errors=content.get("errors", {}) if node is None else _by_node(content, "error", node),
        )

    def _config(self, node: str, config: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        own = next(each.config for each in self.spec.nodes if each.id == node)
        return {node: {**own, **config}}


def _by_node(content: Mapping[str, Any], key: str, node: str | None) -> Mapping[str, Any]:
    if key not in content:
        return {}
    return content[key] if node is None else {node: content[key]}


def _case_roots(root: YamlValue | None) -> tuple[Sequence[YamlValue], bool]:
    if isinstance(root, YamlSequence):
        return root.items, True
    return (() if root is None else (root,)), False


def _repeated_names(roots: Sequence[YamlValue]) -> Iterator[Problem]:
    values = [child(root, "name") for root in roots]
    seen: Counter[str | None] = Counter()
    for index, value in enumerate(values):
        name = text_of(value)
        seen[name] += 1
        if value is not None and name is not None and seen[name] > 1:
            yield value.position.problem(
                f"{shown(name)} is the name of another case already", where=f"[{index}].name"
            )


def _below(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
