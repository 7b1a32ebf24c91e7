"""Man pages and completion scripts, made of what the commands say of themselves.

``python -m pdwatch.cli.reference [ROOT]`` writes them into a checkout (default: this directory), where a test
compares them with the commands; the wheel installs them. The pages use the man(7) macros.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pdwatch.cli.completion import SHELLS, completion_script
from pdwatch.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAN = "docs/man"
_AS_IT_IS = "\b\n"
"""How click marks a paragraph whose lines are not to be filled."""
_SECTIONS = {"Exit codes": "EXIT STATUS"}
"""The title of a paragraph that is a section of its own → what man pages call the section, if not just so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    path: tuple[str, ...]
    context: click.Context

    @property
    def page(self) -> str:
        return "-".join(self.path)


def reference() -> Mapping[str, str]:
    """Return every generated file of a checkout, by its path there."""
    commands = list(_commands(cli, ("pdwatch",), parent=None))
    pages = {f"{_MAN}/{each.page}.1": "\n".join([*_lines(each, commands), ""]) for each in commands}
    scripts = {f"completions/pdwatch.{shell}": completion_script(shell) for shell in SHELLS}
    return {**pages, **scripts}


def _commands(
    command: click.Command, path: tuple[str, ...], *, parent: click.Context | None
) -> Iterator[_Command]:
    context = click.Context(command, info_name=path[-1], parent=parent, **command.context_settings)
    yield _Command(path=path, context=context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, (*path, name), parent=context)


def _lines(each: _Command, commands: list[_Command]) -> Iterator[str]:
    command, context = each.context.command, each.context
    yield rf".\" Written by `python -m {__spec__.name}`: change the command instead."
    yield f'.TH {_plain(each.page.upper())} 1 "" pdwatch "User Commands"'
    yield ".SH NAME"
    yield rf"{_plain(each.page)} \- {_text(command.get_short_help_str(limit=200).rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {_plain(' '.join(each.path))}"
    yield _text(" ".join(command.collect_usage_pieces(context)))
    paragraphs = re.split(r"\n{2,}", inspect.cleandoc(command.help or ""))
    yield from _description([text for text in paragraphs if not text.startswith(_AS_IT_IS)])
    yield from _options(context)
    yield from _below(each, commands)
    for text in paragraphs:
        if text.startswith(_AS_IT_IS):
            yield from _section(text.removeprefix(_AS_IT_IS))
    if command.epilog:
        yield ".SH NOTES"
        yield _text(command.epilog)
    yield ".SH SEE ALSO"
    related = [other for other in commands if other.path[:-1] == each.path or other.path == each.path[:-1]]
    yield ",\n".join(f".BR {_plain(other.page)} (1)" for other in related).replace("(1),", '"(1),"')


def _description(paragraphs: list[str]) -> Iterator[str]:
    yield ".SH DESCRIPTION"
    for index, paragraph in enumerate(paragraphs):
        if index:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _section(paragraph: str) -> Iterator[str]:
    title, *lines = paragraph.splitlines()
    section = title.rstrip(":")
    yield f".SH {_SECTIONS.get(section, section.upper())}"
    yield ".nf"
    yield from (_text(line.removeprefix("  ")) for line in lines)
    yield ".fi"


def _options(context: click.Context) -> Iterator[str]:
    options = [each for each in context.command.get_params(context) if isinstance(each, click.Option)]
    records = [record for each in options if (record := each.get_help_record(context))]
    yield ".SH OPTIONS"
    for flags, purpose in records:
        yield from (".TP", rf"\fB{_plain(flags)}\fR", _text(purpose))


def _below(each: _Command, commands: list[_Command]) -> Iterator[str]:
    below = [other for other in commands if other.path[:-1] == each.path]
    if below:
        yield ".SH COMMANDS"
    for other in below:
        purpose = other.context.command.get_short_help_str(limit=200)
        yield from (".TP", f".BR {_plain(other.page)} (1)", _text(purpose))


def _text(text: str) -> str:
    """Return a line of text for roff, with what stands in backquotes in bold."""
    marked = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", _plain(text))
    return rf"\&{marked}" if marked.startswith((".", "'")) else marked


def _plain(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-")


def main(root: Path) -> None:
    """Write all generated files below ``root``, and remove the pages of commands that are gone."""
    wanted = reference()
    for path, content in wanted.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    for page in (root / _MAN).glob("*.1"):
        if f"{_MAN}/{page.name}" not in wanted:
            page.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
