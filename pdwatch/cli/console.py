"""What commands print: errors with their remedy, JSON, and progress that only a terminal shows."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TextIO

import click

from pdwatch.errors import BuildFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdwatch.errors import PdwatchError

_UNKNOWN_WIDTH = 80
"""The columns of a terminal that does not tell."""


def coloured(stream: TextIO) -> bool:
    """Tell whether ``stream`` should get colour: a terminal, and neither NO_COLOR nor TERM=dumb is set."""
    return _understands_escapes(stream) and not os.environ.get("NO_COLOR")


def _understands_escapes(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def style(text: str, stream: TextIO, **styles: Any) -> str:
    """Return ``text`` in click's ``styles`` where ``stream`` shows colour, else as it is."""
    return click.style(text, **styles) if coloured(stream) else text


@contextmanager
def stopped_by_ctrl_c() -> Iterator[None]:
    """Take Ctrl-C for the way to end what the block follows: with exit code 0."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(0)


def first_of(failures: BaseExceptionGroup[Any]) -> BaseException:
    """Return the first of the failures of a group of tasks, however deep the group was."""
    first = failures.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


def report_error(error: PdwatchError) -> None:
    """Print an expected error on stderr: what is wrong, what a failed step had printed, and what to do."""
    click.echo(f"{style('error:', sys.stderr, fg='red', bold=True)} {error.message}", err=True)
    for line in error.output if isinstance(error, BuildFailedError) else ():
        click.echo(f"  {style('|', sys.stderr, dim=True)} {line}", err=True)
    if error.remedy:
        click.echo(f"  {style('→', sys.stderr, fg='cyan')} {error.remedy}", err=True)


def print_json(value: object) -> None:
    """Print ``value`` as JSON on stdout: indented on a terminal, one line when piped."""
    indent = 2 if sys.stdout.isatty() else None
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False))


class Progress:
    """One line on a terminal's stderr that says what goes on; silent elsewhere, and where TERM=dumb is set.

    Use as a context manager, so that the line is gone when the work ends.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = _understands_escapes(self._stream)

    def update(self, text: str) -> None:
        """Replace the line by ``text`` (its first line, cut to the terminal's width)."""
        if self._shown:
            width = os.get_terminal_size(self._stream.fileno()).columns or _UNKNOWN_WIDTH
            first = text.splitlines()[0] if text else ""
            self._stream.write(f"\r\x1b[2K{first[: width - 1]}")
            self._stream.flush()

    def __enter__(self) -> Self:
        """Start with an empty line."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the line."""
        if self._shown:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
