"""Composes workflow.yaml into a tree, within limits that no hostile file gets past.

The tree is built from PyYAML's events rather than its nodes: events cost no recursion, so a deep file meets
the limit here and not the interpreter's, and no tag ever constructs anything. Aliases share what they name;
sizes are counted as if every alias were written out, which stops a "billion laughs" before anything expands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from pdwatch.core.yaml_text import MAX_DEPTH, TOO_DEEP, UnreadableError, decoded, refuse, syntax_problem
from pdwatch.core.yaml_tree import (
    Position,
    YamlEntry,
    YamlMapping,
    YamlScalar,
    YamlSequence,
    YamlValue,
    kind_of,
    plain,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdwatch.core.model import Problem

MAX_VALUES = 10_000
"""Keys and values, with aliases written out."""

_CORE_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlDocument:
    """What could be read: ``root`` is None when there is no tree at all, and then ``problems`` says why."""

    root: YamlValue | None
    problems: tuple[Problem, ...]


def read_document(content: bytes) -> YamlDocument:
    """Read a file of one YAML document.

    A problem that leaves the tree usable (a duplicate key, an odd tag) comes together with the tree, so that
    what else is wrong can be reported too. Never raises, whatever the bytes are.
    """
    try:
        text = decoded(content)
        composer = _Composer(text)
        root = composer.document()
    except UnreadableError as error:
        return YamlDocument(root=None, problems=(error.problem,))
    except yaml.MarkedYAMLError as error:
        return YamlDocument(root=None, problems=(syntax_problem(error, text),))
    return YamlDocument(root=root, problems=tuple(composer.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Composed:
    """A value, how many values are in it, and how deep they go, aliases written out."""

    value: YamlValue
    size: int = 1
    depth: int = 0


EMPTY = "is empty"
"""What is wrong with a file that holds no document; the caller may know better what belongs in it."""


class _Composer:
    """Builds the tree from the events of one document; ``problems`` leave the tree usable."""

    def __init__(self, text: str) -> None:
        # libyaml's parser takes linear time and rejects malformed escapes; PyYAML's own does neither.
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._anchors: dict[str, _Composed | None] = {}
        self.problems: list[Problem] = []

    def document(self) -> YamlValue:
        """Return the root of the only document."""
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            refuse(Position(line=1, column=1), EMPTY)
        root = self._value(next(self._events), depth=0).value
        next(self._events)
        following = next(self._events)
        if isinstance(following, yaml.DocumentStartEvent):
            refuse(_position(following), "a second document begins here; keep one in each file")
        return root

    def _value(self, event: yaml.Event, *, depth: int) -> _Composed:
        if depth > MAX_DEPTH:
            refuse(_position(event), TOO_DEEP)
        if isinstance(event, yaml.AliasEvent):
            return self._referent(event, depth)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            composed = _Composed(value=self._scalar(event))
        elif isinstance(event, yaml.SequenceStartEvent):
            composed = self._sequence(_position(event), depth)
        else:
            composed = self._mapping(_position(event), depth)
        self._check_tag(event, composed.value)
        if event.anchor is not None:
            self._anchors[event.anchor] = composed
        return composed

    def _referent(self, event: yaml.AliasEvent, depth: int) -> _Composed:
        assert event.anchor is not None, "an alias has a name"
        name = shown(event.anchor)
        if event.anchor not in self._anchors:
            refuse(_position(event), f"*{name} repeats nothing; no value before it is marked &{name}")
        composed = self._anchors[event.anchor]
        if composed is None:
            refuse(_position(event), f"*{name} stands inside the value that it repeats, without end")
        if depth + composed.depth > MAX_DEPTH:
            refuse(_position(event), f"{TOO_DEEP}, with *{name} written out")
        return composed

    def _scalar(self, event: yaml.ScalarEvent) -> YamlScalar:
        is_plain = event.implicit[0] and event.tag is None
        kind = kind_of(event.value) if is_plain else "string"
        scalar = YamlScalar(position=_position(event), kind=kind, text=event.value)
        if kind == "number" and not math.isfinite(plain(scalar)):
            self._report(scalar.position, f"{shown(event.value)} is no number in JSON; quote it")
        return scalar

    def _sequence(self, position: Position, depth: int) -> _Composed:
        items: list[YamlValue] = []
        size, height = 1, 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item = self._value(event, depth=depth + 1)
            items.append(item.value)
            size, height = _bounded(size + item.size, event), max(height, item.depth + 1)
        return _Composed(value=YamlSequence(position=position, items=tuple(items)), size=size, depth=height)

    def _mapping(self, position: Position, depth: int) -> _Composed:
        entries: dict[str, YamlEntry] = {}
        merged: list[YamlMapping] = []
        size, height = 1, 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event, depth=depth + 1)
            value = self._value(next(self._events), depth=depth + 1)
            size = _bounded(size + key.size + value.size, event)
            height = max(height, key.depth + 1, value.depth + 1)
            entry = YamlEntry(key_position=_position(event), value=value.value)
            if _is_merge_key(event):
                merged += self._merged(entry)
            else:
                self._add(entries, key.value, entry)
        for mapping in merged:
            for name, entry in mapping.entries.items():
                entries.setdefault(name, entry)
        return _Composed(value=YamlMapping(position=position, entries=entries), size=size, depth=height)

    def _add(self, entries: dict[str, YamlEntry], key: YamlValue, entry: YamlEntry) -> None:
        if not isinstance(key, YamlScalar):
            self._report(entry.key_position, "a key must be text; quote text that begins with { or [")
        elif key.text in entries:
            line = entries[key.text].key_position.line
            self._report(
                entry.key_position, f"{shown(key.text)} is already on line {line}; remove one of them"
            )
        else:
            entries[key.text] = entry

    def _merged(self, entry: YamlEntry) -> list[YamlMapping]:
        """Return the mappings that ``<<`` names, the first one winning (yaml.org/type/merge.html)."""
        named = entry.value.items if isinstance(entry.value, YamlSequence) else (entry.value,)
        mappings = [item for item in named if isinstance(item, YamlMapping)]
        if len(mappings) < len(named):
            self._report(entry.key_position, "<< needs a mapping or a list of mappings, such as *defaults")
        return mappings

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, value: YamlValue) -> None:
        core = {YamlScalar: "str", YamlSequence: "seq", YamlMapping: "map"}[type(value)]
        if event.tag not in (None, "!", f"{_CORE_TAG}{core}"):
            tag = shown(event.tag.replace(_CORE_TAG, "!!"))
            self._report(value.position, f"the tag {tag} has no meaning here; remove it")

    def _report(self, position: Position, message: str) -> None:
        self.problems.append(position.problem(message))


def _position(event: yaml.Event) -> Position:
    mark = event.start_mark
    assert mark is not None, "libyaml marks every event"
    return Position(line=mark.line + 1, column=mark.column + 1)


def _is_merge_key(event: yaml.Event) -> bool:
    if not isinstance(event, yaml.ScalarEvent):
        return False
    is_plain = event.implicit[0] and event.tag is None
    return is_plain and event.value == "<<"


def _bounded(size: int, event: yaml.Event) -> int:
    if size > MAX_VALUES:
        refuse(_position(event), f"has more than {MAX_VALUES} values, with aliases written out")
    return size
