"""Bytes to text that YAML can be, and the parser's complaints in words that say what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from pdwatch.core.yaml_tree import Position

if TYPE_CHECKING:
    import yaml

    from pdwatch.core.model import Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""What YAML 1.2 (§5.1, c-printable) doesn't allow, and a byte order mark after the beginning."""


class UnreadableError(Exception):
    """There is no document to go on with; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def refuse(position: Position, message: str) -> NoReturn:
    """Give up on the document.

    Raises:
        UnreadableError: Always.
    """
    raise UnreadableError(position.problem(message))


def decoded(content: bytes) -> str:
    """Return the text of a YAML file, without a byte order mark.

    Raises:
        UnreadableError: It is too large, not UTF-8, or holds a character that YAML doesn't allow.
    """
    if len(content) > MAX_BYTES:
        start = Position(line=1, column=1)
        refuse(start, f"is larger than {MAX_BYTES >> 20} MiB; keep what the nodes read in other files")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The error counts from behind a byte order mark, so the text before it is cut from there as well.
        body = content.removeprefix(b"\xef\xbb\xbf")
        place = _end_of(body[: error.start].decode())
        refuse(place, f"is not UTF-8 (byte 0x{body[error.start]:02x}); save the file as UTF-8")
    if match := _UNPRINTABLE.search(text):
        place = _end_of(text[: match.start()])
        refuse(place, f"the character U+{ord(match[0]):04X} is not allowed in YAML; remove it")
    return text


def lines_of(text: str) -> list[str]:
    """Split as libyaml counts lines: where YAML 1.1 sees a line break (§4.2)."""
    return _LINE_BREAK.split(text)


def _end_of(text: str) -> Position:
    lines = lines_of(text)
    return Position(line=len(lines), column=len(lines[-1]) + 1)


_ADVICE = (
    ("mapping values are not allowed", 'a ":" is out of place; check the indentation, or quote the text'),
    ("block sequence entries are not allowed", 'a list can\'t begin here; put "-" on a line of its own'),
    ("did not find expected key", "`key: value` was expected here; check the indentation"),
    ("did not find expected '-' indicator", "`- item` was expected here; check the indentation"),
    ("found unexpected end of stream", "the quoted text that begins here is not closed"),
    ("did not find expected ',' or ']'", 'the list that begins here is not closed; "," or "]" is missing'),
    (
        "did not find expected ',' or '}'",
        'the mapping that begins here is not closed; "," or "}" is missing',
    ),
    ("did not find expected node content", "a value was expected here; check the brackets"),
    ("undefined tag handle", 'text that begins with "!" must be quoted'),
    # libyaml 0.2.6 has a limit of its own (1,000), which its look-ahead may meet before we see a value.
    ("exceeded maximum nesting depth", TOO_DEEP),
    ("incompatible YAML document", "this YAML version is not known; remove the %YAML line"),
)
"""What libyaml says → what we say."""


def syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    """Return libyaml's syntax error as a problem in our words, at the place that needs a change."""
    mark = error.problem_mark
    assert mark is not None, "libyaml marks every syntax error"
    character = text[mark.index : mark.index + 1]
    position = Position(line=mark.line + 1, column=mark.column + 1) if character else _end_of(text.rstrip())
    theirs = error.problem or ""
    if character == "\t":
        return position.problem("YAML can't be indented with a tab; use spaces")
    if "cannot start any token" in theirs:
        return position.problem(f'text can\'t begin with "{character}"; quote it')
    ours = next((ours for phrase, ours in _ADVICE if phrase in theirs), f"is not valid YAML: {theirs}")
    opening = error.context_mark
    if opening is not None and "begins here" in ours:
        position = Position(line=opening.line + 1, column=opening.column + 1)
    return position.problem(ours)
