"""Problems of a workflow directory as compilers show errors: place, message, the line, and a caret."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING

import click

from pdwatch.cli.console import style
from pdwatch.core.yaml_text import MAX_BYTES, lines_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pdwatch.core.model import Problem

_SHOWN_BEFORE = 60
_SHOWN = 100
"""So many characters of a long line are shown, and so many of them before the column at most."""


def report_problems(root: Path, problems: Sequence[Problem]) -> None:
    """Print ``problems`` on stderr, each with the line of the file below ``root`` that it is about.

    A file that can't be read any more, or is shorter by now, leaves its problems without a line.
    """
    sources = {path: _source(root / path) for path in {problem.path for problem in problems if problem.line}}
    for problem in problems:
        for text in _rendered(root, problem, sources.get(problem.path, [])):
            click.echo(text, err=True)


def _source(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES)
    except OSError:
        return []
    return lines_of(content.decode("utf-8-sig", errors="replace"))


def _rendered(root: Path, problem: Problem, lines: Sequence[str]) -> list[str]:
    file = click.format_filename(root / problem.path)
    place = ":".join(str(part) for part in (file, problem.line, problem.column) if part is not None)
    message = f"{problem.where}: {problem.message}" if problem.where else problem.message
    header = f"{style(f'{place}:', sys.stderr, bold=True)} {message}"
    if problem.line is None or problem.column is None or problem.line > len(lines):
        return [header]
    text, indent = _excerpt(lines[problem.line - 1], problem.column)
    number = style(f"{problem.line:5} |", sys.stderr, fg="blue")
    no_number = style(f"{'':5} |", sys.stderr, fg="blue")
    caret = style("^", sys.stderr, fg="red", bold=True)
    return [header, f"{number} {text}", f"{no_number} {' ' * indent}{caret}"]


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """Return what to show of ``line``, safe for a terminal, and by how many cells to indent the caret."""
    visible = "".join(character if character.isprintable() else _stand_in(character) for character in line)
    start = 0 if len(visible) <= _SHOWN else max(0, column - 1 - _SHOWN_BEFORE)
    end = start + _SHOWN
    before = "…" if start else ""
    after = "…" if end < len(visible) else ""
    shown = f"{before}{visible[start:end]}{after}"
    return shown, _cells(f"{before}{visible[start : column - 1]}")


def _stand_in(character: str) -> str:
    return " " if character == "\t" else "\ufffd"


def _cells(text: str) -> int:
    """Return how many cells of a terminal ``text`` takes (Unicode's UAX #11 and combining marks)."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    combining = sum(unicodedata.combining(character) > 0 for character in text)
    return len(text) + wide - combining
