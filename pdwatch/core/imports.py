"""What a TypeScript or JavaScript module imports, read from its text as far as that is fixed there.

This is no parser of the language. It knows comments, strings, templates and regular expressions well enough
not to take an ``import`` in one of them for one, and the few forms that an import has (ECMA-262, "ModuleItem"
and "ImportCall"). Imports of types alone are left out: Deno erases them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_Kind: TypeAlias = 'Literal["word", "string", "sign"]'

_BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?(?:\*/|\Z))+", re.DOTALL)
_STRING = re.compile(r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""", re.DOTALL)
_TEMPLATE_PART = re.compile(r"((?:[^`\\$]|\\.|\$(?!\{))*)(`|\$\{|\Z)", re.DOTALL)
_WORD = re.compile(r"[\w$]+")
_REGULAR_EXPRESSION = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/\w*")
_BEFORE_EXPRESSION = frozenset(
    {"return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "await", "yield"}
)
"""Words after which a slash begins a regular expression; after others it divides."""
_CLAUSE_SIGNS = frozenset("{,*")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str


def import_specifiers(source: str) -> frozenset[str]:
    """Return the specifiers of a module's imports, re-exports and dynamic imports of a fixed specifier."""
    tokens = list(_tokens(source))
    found = (_specifier(tokens, place) for place in range(len(tokens)))
    return frozenset(specifier for specifier in found if specifier is not None)


def _specifier(tokens: Sequence[_Token], place: int) -> str | None:
    """Return what the import or export that begins at ``place`` names; None when none does."""
    token = tokens[place]
    if token.kind != "word" or token.text not in {"import", "export"}:
        return None
    if place and tokens[place - 1].text in {".", "?."}:
        return None
    following = tokens[place + 1 : place + 4]
    if token.text == "import" and following:
        first = following[0]
        if first.kind == "string":
            return first.text
        if first == _Token("sign", "("):
            fixed = len(following) > 2 and following[1].kind == "string" and following[2].text in {")", ","}  # noqa: PLR2004
            return following[1].text if fixed else None
    return _from(tokens, place + 1)


def _from(tokens: Sequence[_Token], place: int) -> str | None:
    """Return the specifier at the end of the clause that begins at ``place``; None when it is no clause."""
    begin = [token.text for token in tokens[place : place + 2]]
    if begin[:1] == ["type"] and begin[1:] not in (["from"], [","]):
        return None
    for index in range(place, len(tokens) - 1):
        token, following = tokens[index], tokens[index + 1]
        if token == _Token("word", "from") and following.kind == "string":
            return following.text
        closed = token == _Token("sign", "}")
        if closed and following != _Token("word", "from"):
            return None
        if token.kind == "sign" and not closed and token.text not in _CLAUSE_SIGNS:
            return None
        if token.kind == "word" and token.text in {"import", "export"}:
            return None
    return None


def _tokens(source: str) -> Iterator[_Token]:
    """Yield the words, signs and strings; a template without substitutions is a string.

    ``braces`` holds one entry for each brace that is open: whether it is the ``${`` of a template.
    """
    place = 0
    braces: list[bool] = []
    last: _Token | None = None
    while place < len(source):
        if blank := _BLANK.match(source, place):
            place = blank.end()
            continue
        token, place = _next(source, place, braces, divides=_divides(last))
        if token is not None:
            last = token
            yield token


def _next(source: str, place: int, braces: list[bool], *, divides: bool) -> tuple[_Token | None, int]:
    character = source[place]
    if character == "`" or (character == "}" and braces and braces[-1]):
        return _template(source, place, braces)
    if string := _STRING.match(source, place):
        return _Token("string", string[0][1:-1]), string.end()
    if word := _WORD.match(source, place):
        return _Token("word", word[0]), word.end()
    if character == "/" and not divides and (expression := _REGULAR_EXPRESSION.match(source, place)):
        return _Token("sign", ")"), expression.end()
    if character == "{":
        braces.append(False)
    elif character == "}" and braces:
        braces.pop()
    return _Token("sign", character), place + 1


def _template(source: str, place: int, braces: list[bool]) -> tuple[_Token | None, int]:
    """Read a template from its backtick, or from the end of a substitution, to the next of either."""
    begins = source[place] == "`"
    if not begins:
        braces.pop()
    part = _TEMPLATE_PART.match(source, place + 1)
    if part is None:  # a backslash at the very end
        return None, len(source)
    if part[2] == "${":
        braces.append(True)
        return _Token("sign", "`"), part.end()
    return (_Token("string", part[1]) if begins and part[2] else _Token("sign", ")")), part.end()


def _divides(last: _Token | None) -> bool:
    """Return whether a slash after ``last`` divides what ended there."""
    if last is None:
        return False
    if last.kind == "word":
        return last.text not in _BEFORE_EXPRESSION
    return last.kind == "string" or last.text in {")", "]"}
