"""JSON as a tree that knows where everything stands, in the words of :mod:`pdwatch.core.yaml_tree`.

YAML's parser won't do: it takes what JSON forbids, and refuses half of a surrogate pair, which is how JSON
spells an emoji in ASCII.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, NoReturn

from pdwatch.core.yaml_document import YamlDocument
from pdwatch.core.yaml_text import MAX_BYTES, UnreadableError, refuse
from pdwatch.core.yaml_tree import (
    Position,
    YamlEntry,
    YamlMapping,
    YamlScalar,
    YamlSequence,
    YamlValue,
    kind_of,
    shown,
)

if TYPE_CHECKING:
    from pdwatch.core.model import Problem

MAX_DEPTH = 100

_SPACE = re.compile(r"[ \t\n\r]*")
_LITERAL = re.compile(r"[-+.\w]+")
_DECODER = json.JSONDecoder()
_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
_START = Position(line=1, column=1)


def read_json(content: bytes) -> YamlDocument:
    """Read a JSON text (RFC 8259). Never raises, whatever the bytes are.

    A duplicate key leaves the tree usable; the first one counts.
    """
    try:
        reader = _Reader(_checked(content))
        root = reader.document()
    except UnreadableError as error:
        return YamlDocument(root=None, problems=(error.problem,))
    return YamlDocument(root=root, problems=tuple(reader.problems))


def _checked(content: bytes) -> str:
    """Return the text, if it is JSON."""
    if len(content) > MAX_BYTES:
        refuse(_START, f"is larger than {MAX_BYTES >> 20} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        refuse(_START, "is not UTF-8; save the file as UTF-8")
    try:
        json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        message = error.msg[0].lower() + error.msg[1:]
        refuse(Position(line=error.lineno, column=error.colno), f"is not JSON: {message}")
    except RecursionError:
        refuse(_START, _TOO_DEEP)
    return text


def _no_constant(name: str) -> NoReturn:
    """Refuse what Python's parser takes beyond JSON."""
    refuse(_START, f"is not JSON: it has no number {name}")


class _Reader:
    """Builds the tree of a text that is known to be JSON."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.problems: list[Problem] = []

    def document(self) -> YamlValue:
        return self._value(depth=0)

    def _value(self, *, depth: int) -> YamlValue:
        position = self._position(self._next())
        if depth > MAX_DEPTH:
            refuse(position, _TOO_DEEP)
        match self._text[self._at]:
            case "{":
                return self._mapping(position, depth)
            case "[":
                return self._sequence(position, depth)
            case '"':
                return YamlScalar(position=position, kind="string", text=self._string())
            case _:
                literal = _LITERAL.match(self._text, self._at)
                assert literal is not None, "the text is JSON"
                self._at = literal.end()
                return YamlScalar(position=position, kind=kind_of(literal[0]), text=literal[0])

    def _mapping(self, position: Position, depth: int) -> YamlMapping:
        entries: dict[str, YamlEntry] = {}
        while self._more("}"):
            place = self._position(self._at)
            key = self._string()
            self._take(":")
            entry = YamlEntry(key_position=place, value=self._value(depth=depth + 1))
            if key in entries:
                line = entries[key].key_position.line
                self.problems.append(
                    place.problem(f"{shown(key)} is already on line {line}; remove one of them")
                )
            entries.setdefault(key, entry)
        return YamlMapping(position=position, entries=entries)

    def _sequence(self, position: Position, depth: int) -> YamlSequence:
        items: list[YamlValue] = []
        while self._more("]"):
            items.append(self._value(depth=depth + 1))
        return YamlSequence(position=position, items=tuple(items))

    def _more(self, closing: str) -> bool:
        """Go to the next item of what the reader is in, past ``{``, ``[`` or ``,``; False at its end."""
        if self._text[self._next()] == closing:
            self._at += 1
            return False
        if self._text[self._at] in "{[,":
            self._at += 1
            if self._text[self._next()] == closing:
                self._at += 1
                return False
        return True

    def _take(self, character: str) -> None:
        assert self._text[self._next()] == character, "the text is JSON"
        self._at += 1

    def _string(self) -> str:
        text, self._at = _DECODER.raw_decode(self._text, self._at)
        return str(text)

    def _next(self) -> int:
        space = _SPACE.match(self._text, self._at)
        assert space is not None, "no space is a match too"
        self._at = space.end()
        return self._at

    def _position(self, index: int) -> Position:
        line = bisect_right(self._lines, index)
        return Position(line=line, column=index - self._lines[line - 1] + 1)
