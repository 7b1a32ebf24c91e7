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

# None of these fails once it has read more than one character: what a pattern has read is never read again in
# vain, and the time for a source is proportional to its length.
_BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?(?:\*/|\Z))+", re.DOTALL)
_TEMPLATE_PART = re.compile(r"((?:[^`\\$]|\\.|\$(?!\{))*)(`|\$\{|\\?\Z)", re.DOTALL)
_WORD = re.compile(r"[\w$]+")
_BODIES = {
    '"': re.compile(r'(?:[^"\\\n]|\\.)*', re.DOTALL),
    "'": re.compile(r"(?:[^'\\\n]|\\.)*", re.DOTALL),
    "/": re.compile(r"(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\]?)*"),
}
"""What a string or regular expression holds, by the sign that opens and closes it."""
_BEFORE_EXPRESSION = frozenset(
    {"return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "await", "yield"}
)
"""Words after which a slash begins a regular expression; after others it divides."""
_BEFORE_CONDITION = frozenset({"if", "while", "for", "with"})
"""Words whose parentheses a statement follows, which may begin with a regular expression."""
_CLAUSE_SIGNS = frozenset("{,*")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str


_LITERAL = _Token("sign", "literal")
"""A regular expression, or the end of a template with substitutions."""


def import_specifiers(source: str) -> frozenset[str]:
    """Return the specifiers of a module's imports, re-exports and dynamic imports of a fixed specifier."""
    tokens = list(_Lexer(source))
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


class _Lexer:
    """Divides a source into words, signs and strings; a template without substitutions is a string."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._place = 0
        self._braces: list[bool] = []
        """For each brace that is open: whether it is the ``${`` of a template."""
        self._parentheses: list[bool] = []
        """For each parenthesis that is open: whether a statement follows it."""
        self._unclosed = dict.fromkeys(_BODIES, 0)
        """Up to where a sign that opens a string or regular expression is known to be closed by none."""
        self._last = ("", "")
        """The words and signs before this place."""
        self._divides = False
        """Whether a slash here divides what has just ended."""

    def __iter__(self) -> Iterator[_Token]:
        while self._place < len(self._source):
            if blank := _BLANK.match(self._source, self._place):
                self._place = blank.end()
                continue
            token = self._next()
            self._divides = self._ends_expression(token)
            self._last = (self._last[-1], token.text if token.kind != "string" else "")
            yield token

    def _next(self) -> _Token:
        character = self._source[self._place]
        if character == "`" or (character == "}" and self._braces and self._braces[-1]):
            return self._template(begins=character == "`")
        if character in _BODIES and not (character == "/" and self._divides):
            body = self._body(character)
            if body is not None:
                return _LITERAL if character == "/" else _Token("string", body)
        if word := _WORD.match(self._source, self._place):
            self._place = word.end()
            return _Token("word", word[0])
        length = 2 if self._source.startswith(("++", "--"), self._place) else 1
        self._place += length
        return _Token("sign", character * length)

    def _body(self, sign: str) -> str | None:
        """Read what a sign opens, to the same sign; None, and nothing is read, when that does not come.

        A string that is not closed has but escaped quotes of its kind after it on its line, and none of these
        opens a string that is closed. A slash that no other follows divides, though it did not seem to.
        """
        if self._place < self._unclosed[sign]:
            return None
        body = _BODIES[sign].match(self._source, self._place + 1)
        assert body is not None, "it matches nothing at least"
        if not self._source.startswith(sign, body.end()):
            self._unclosed[sign] = body.end()
            return None
        self._place = body.end() + 1
        return body[0]

    def _template(self, *, begins: bool) -> _Token:
        """Read a template from its backtick, or from the end of a substitution, to the next of either."""
        if not begins:
            self._braces.pop()
        part = _TEMPLATE_PART.match(self._source, self._place + 1)
        assert part is not None, "it ends with the source at the latest"
        self._place = part.end()
        if part[2] == "${":
            self._braces.append(True)
            return _Token("sign", "`")
        return _Token("string", part[1]) if begins and part[2] == "`" else _LITERAL

    def _ends_expression(self, token: _Token) -> bool:
        """Return whether a slash after ``token`` divides; keep count of braces and parentheses."""
        before, last = self._last
        match token.text if token.kind == "sign" else token.kind:
            case "word":
                return token.text not in _BEFORE_EXPRESSION or last == "."
            case "(":
                condition = last in _BEFORE_CONDITION and before != "."
                self._parentheses.append(condition or (before, last) == ("for", "await"))
            case ")":
                return not (self._parentheses and self._parentheses.pop())
            case "{":
                self._braces.append(False)
            case "}":
                del self._braces[-1:]
            case "++" | "--":
                return self._divides
            case "!":  # TypeScript's, after what it vouches for, or the one that denies what follows
                return self._divides and not self._source[self._place - 2].isspace()
        return token.kind == "string" or token == _LITERAL or token.text == "]"
