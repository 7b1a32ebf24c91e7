"""``pdwatch logs``: what the daemon wrote."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, get_args

import click

from pdwatch.cli.console import coloured, stopped_by_ctrl_c
from pdwatch.cli.options import ALL, LineCountType, SinceType, WorkflowNameType
from pdwatch.cli.setting_flags import CONFIG, settings_of
from pdwatch.core.log_records import Query, select_last
from pdwatch.core.suggestion import did_you_mean
from pdwatch.errors import LogUnreadableError, NotFoundError, SettingsError
from pdwatch.log_format import RecordFormat, record_renderer
from pdwatch.logs import LogLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from pdwatch.core.log_records import Record

_LINES = 100


@click.command(name="logs")
@click.argument("workflows", nargs=-1, metavar="[WORKFLOW]...", type=WorkflowNameType())
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--since", type=SinceType(), help="Such as 10m, 2h, 3d, or 2025-01-31T09:00 (local time).")
@click.option("--level", type=click.Choice(get_args(LogLevel)), default="debug", help="The lowest to show.")
@click.option(
    "-n",
    "--lines",
    type=LineCountType(),
    help=f"How many of the last lines at most, or all.  [default: {_LINES}; with --since all]",
)
@click.option(
    "-o", "--output", type=click.Choice(get_args(RecordFormat)), default="console", show_default=True
)
@click.option(
    "--journal/--file", default=None, help="Where to look.  [default: the journal while systemd runs pdwatch]"
)
@CONFIG
def command(
    workflows: tuple[str, ...],
    *,
    follow: bool,
    since: datetime | None,
    level: LogLevel,
    lines: int | None,
    output: RecordFormat,
    journal: bool | None,
    config: Path | None,
) -> None:
    """Show what `pdwatch run` wrote, of each WORKFLOW or of all.

    It is read from systemd's journal where systemd runs pdwatch, else from pdwatch's own file and those that
    were put aside (docs/logs.md), of all daemons in order of time. What workflows write in the cluster is
    shown by `pdwatch pod-logs`.

    \b
    Exit codes:
      0  shown, or followed until Ctrl-C
      1  the log is another user's
      2  a flag or the settings are wrong
      3  there is no journalctl on this machine
      4  there is no log, or nothing of such a workflow in it

    \b
    Examples:
      pdwatch logs -f hello
      pdwatch logs --since 1h --level warning -o json | jq .message
    """  # noqa: D301  # click's mark is the character, not the letters
    query = Query(level=level, since=since, workflows=frozenset(workflows))
    count = lines if lines is not None else _LINES if since is None else ALL
    shown = None if count == ALL else count
    from pdwatch.adapters.journal import unit_is_active  # noqa: PLC0415  # `--help` needs none of them

    show = _printer(output)
    with stopped_by_ctrl_c():
        if journal or (journal is None and unit_is_active()):
            _show_journal(query, show, lines=shown, follow=follow)
        else:
            _show_files(_log_file(config), query, show, lines=shown, follow=follow)


def _printer(output: RecordFormat) -> Callable[[Iterable[Record]], None]:
    render = record_renderer(output, colour=coloured(sys.stdout))

    def show(records: Iterable[Record]) -> None:
        for record in records:
            click.echo(render(record.fields))

    return show


def _log_file(config: Path | None) -> Path:
    from pdwatch.cli.run_log import log_path  # noqa: PLC0415

    path = log_path(settings_of(config).settings.log, os.environ)
    if path is None:
        raise SettingsError(
            "the setting log.file is none: the daemon writes no file", remedy="see docs/logs.md"
        )
    return path


def _show_files(
    path: Path, query: Query, show: Callable[[Iterable[Record]], None], *, lines: int | None, follow: bool
) -> None:
    from pdwatch.adapters.log_file import log_files  # noqa: PLC0415
    from pdwatch.adapters.log_reader import LogReader  # noqa: PLC0415

    try:
        if not log_files(path):
            raise NotFoundError(
                f"there is no log at {path}",
                remedy="the daemon writes one: `pdwatch run DIR`; `--journal` looks in systemd's journal",
            )
        with LogReader(path) as reader:
            _show_last(reader.newest_first(), query, show, lines=lines)
            for records in reader.appended() if follow else ():
                show(filter(query.wants, records))
    except PermissionError as error:
        raise LogUnreadableError(
            f"{error.filename} can't be read: {error.strerror}",
            remedy="only the user that the daemon runs as can read its log: ask as that user",
        ) from error


def _show_journal(
    query: Query, show: Callable[[Iterable[Record]], None], *, lines: int | None, follow: bool
) -> None:
    from pdwatch.adapters.journal import entries, following, newest_first  # noqa: PLC0415

    with entries(newest_first()) as records:
        cursor = _show_last(records, query, show, lines=lines)
    if cursor is None and not follow:
        raise NotFoundError(
            "the journal has nothing of pdwatch that you may read",
            remedy="root and the groups adm and systemd-journal read the system's; "
            "`--file` looks in pdwatch's own file",
        )
    if follow:
        with entries(following(cursor)) as records:
            for record in filter(query.wants, records):
                show([record])


def _show_last(
    newest_first: Iterator[Record],
    query: Query,
    show: Callable[[Iterable[Record]], None],
    *,
    lines: int | None,
) -> str | None:
    """Show the last records that are wanted; return the cursor of the newest that there is."""
    selection = select_last(newest_first, query, lines=lines)
    unknown = sorted(query.workflows - selection.workflows)
    if unknown:
        known = sorted(selection.workflows)
        raise NotFoundError(
            f"the log has nothing of a workflow {unknown[0]}{did_you_mean(unknown[0], known)}",
            remedy=f"it tells of {', '.join(known)}" if known else "it tells of no workflow at all",
        )
    show(selection.records)
    return selection.cursor
