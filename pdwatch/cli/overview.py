"""``pdwatch status`` without a NAME: what running daemons tell of all their workflows."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pdwatch.adapters.http.client import daemon_at
from pdwatch.adapters.http.sockets import places_to_ask
from pdwatch.cli.console import coloured, print_json
from pdwatch.cli.table import age, widths
from pdwatch.core.daemon_state import Answer
from pdwatch.errors import DaemonUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdwatch.adapters.http.client import Daemon, Document

_HEADER = ("NAME", "NAMESPACE", "TARGET", "STATE", "RUNNING", "AGE", "WHERE")
_ANSWER = _HEADER.index("RUNNING")
_COLOURS: dict[str, dict[str, Any]] = {
    Answer.YES: {"fg": "green"},
    Answer.NO: {"fg": "red", "bold": True},
}
_OTHER: dict[str, Any] = {"fg": "yellow"}


async def look(place: str | None, namespace: str | None) -> list[Document]:
    """Ask the daemon at ``place``, or with None every one of this machine.

    Raises:
        DaemonUnavailableError: None answers.
    """
    async with AsyncExitStack() as stack:
        places = places_to_ask(place, os.environ)
        daemons = [await stack.enter_async_context(daemon_at(each)) for each in places]
        return _of(namespace, [document for _, found in await _asked(daemons) for document in found])


async def watch(place: str | None, namespace: str | None, *, output: str) -> None:
    """Print what the daemons tell, again whenever it changes, until one ends.

    Raises:
        DaemonUnavailableError: None answers, or one has ended.
    """
    async with AsyncExitStack() as stack:
        places = places_to_ask(place, os.environ)
        daemons = [await stack.enter_async_context(daemon_at(each)) for each in places]
        daemons = [daemon for daemon, _ in await _asked(daemons)]
        changed = asyncio.Event()
        screen = _Screen(output)
        try:
            async with asyncio.TaskGroup() as group:
                for each in daemons:
                    group.create_task(_follow(each, changed), name=f"follow {each.place}")
                while True:
                    await changed.wait()
                    changed.clear()
                    found = await asyncio.gather(*(each.workflows() for each in daemons))
                    screen.show(_of(namespace, [document for each in found for document in each]))
        except* DaemonUnavailableError as failures:
            ended = failures.exceptions[0]
        raise ended


def lines(documents: Sequence[Document], *, now: datetime, colour: bool) -> Iterator[str]:
    """Yield a table of workflows, sorted by name, each that does not run with the reason below it."""
    if not documents:
        yield "no workflows"
        return
    ordered = sorted(documents, key=_identity)
    rows = [_HEADER, *(_row(document, now) for document in ordered)]
    columns = widths(rows)
    for index, row in enumerate(rows):
        cells = [f"{cell:{width}}" for cell, width in zip(row, columns, strict=True)]
        if colour and index:
            cells[_ANSWER] = click.style(cells[_ANSWER], **_COLOURS.get(row[_ANSWER], _OTHER))
        yield "  ".join(cells).rstrip()
        if index and ordered[index - 1]["why"]:
            yield f"  {' '.join(ordered[index - 1]['why'].split())}"


def _identity(document: Document) -> tuple[str, str, str]:
    return document["workflow"], document["namespace"], document["target"] or ""


def _row(document: Document, now: datetime) -> Sequence[str]:
    return (
        document["workflow"],
        document["namespace"] or "-",
        document["target"] or "-",
        document["standing"],
        document["answer"],
        age(datetime.fromisoformat(document["since"]), now),
        document["url"] or document["image"] or "-",
    )


class _Screen:
    """Shows one table in the place of the other on a terminal, and elsewhere one below the other."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._shown: list[Document] | None = None
        self._height = 0

    def show(self, documents: list[Document]) -> None:
        if documents == self._shown and not (self._live and self._output == "text"):
            return
        if self._output == "json":
            print_json(documents)
        else:
            self._draw(documents)
        self._shown = documents

    def _draw(self, documents: list[Document]) -> None:
        now, colour = datetime.now(UTC), coloured(sys.stdout)
        if not self._live:
            if self._shown is not None:
                click.echo()
            click.echo("\n".join(lines(documents, now=now, colour=colour)))
            return
        size = shutil.get_terminal_size()
        drawn = list(lines(documents, now=now, colour=False))[: size.lines - 1]
        coloured_lines = list(lines(documents, now=now, colour=colour))
        fitting = [
            styled if len(plain) <= size.columns else plain[: size.columns]
            for plain, styled in zip(drawn, coloured_lines, strict=False)
        ]
        up = f"\x1b[{self._height}F\x1b[J" if self._height else ""
        click.echo(up + "\n".join(fitting))
        self._height = len(fitting)


async def _follow(daemon: Daemon, changed: asyncio.Event) -> None:
    async with aclosing(daemon.changes()) as changes:
        async for _ in changes:
            changed.set()


async def _asked(daemons: Sequence[Daemon]) -> list[tuple[Daemon, list[Document]]]:
    """Return those that answer, with their answers.

    Raises:
        DaemonUnavailableError: None does.
    """
    answered: list[tuple[Daemon, list[Document]]] = []
    failure: DaemonUnavailableError | None = None
    for each in daemons:
        try:
            answered.append((each, await each.workflows()))
        except DaemonUnavailableError as error:
            failure = error
    if failure is not None and not answered:
        raise failure
    return answered


def _of(namespace: str | None, documents: list[Document]) -> list[Document]:
    return [each for each in documents if namespace in (None, each["namespace"])]
