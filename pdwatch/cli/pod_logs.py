"""``pdwatch pod-logs``: what a workflow's pods write."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.console import first_of, stopped_by_ctrl_c, style
from pdwatch.cli.options import (
    ALL,
    CONTEXT,
    OUTPUT,
    LineCountType,
    NamespaceType,
    SinceType,
    WorkflowNameType,
)
from pdwatch.core.pod_log import printable
from pdwatch.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from datetime import datetime

    from pdwatch.adapters.kubernetes.pod_log import Portion, WorkflowLogs
    from pdwatch.core.pod_log import PodLine

_TAIL = 100
_WAITING_LINES = 1000
"""So many may wait for a terminal that is slower than the workflow; reading waits then."""
_COLOURS = {"debug": "bright_black", "info": "green", "warn": "yellow", "error": "red"}
_POD_COLOURS = ("cyan", "magenta", "blue", "yellow", "green", "bright_cyan", "bright_magenta", "bright_blue")


@click.command(name="pod-logs")
@click.argument("name", type=WorkflowNameType())
@click.option(
    "-n",
    "--namespace",
    type=NamespaceType(),
    help="Where it was deployed.  [default: the context's namespace]",
)
@CONTEXT
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-p", "--previous", is_flag=True, help="Of the runs before the last restart instead.")
@click.option("--since", type=SinceType(), help="Such as 10m, 2h, 3d, or 2025-01-31T09:00 (local time).")
@click.option(
    "--tail",
    type=LineCountType(),
    help=f"How many of each pod's last lines at most, or all.  [default: {_TAIL}; with --since all]",
)
@OUTPUT
def command(
    name: str,
    *,
    namespace: str | None,
    context: str | None,
    follow: bool,
    previous: bool,
    since: datetime | None,
    tail: int | None,
    output: str,
) -> None:
    """Show what the pods of the workflow NAME write, in order of time.

    With --follow pods that come later are shown too, and those that are gone end: it goes on across
    rollouts, restarts and connections that break, and loses and repeats nothing. What pdwatch itself has done
    is shown by `pdwatch logs`.

    With --output json each line is an object with `pod` and `time`, and what the engine wrote.

    \b
    Exit codes:
      0  shown, or followed until Ctrl-C
      1  the API server does not allow it
      2  a flag is wrong, or there is no usable kubeconfig
      3  the API server can't be reached
      4  there is no such workflow in the namespace, or with --previous no such run

    \b
    Examples:
      pdwatch pod-logs hello -f
      pdwatch pod-logs hello --since 10m -o json | jq 'select(.level == "error")'
    """  # noqa: D301  # click's mark is the character, not the letters
    if follow and previous:
        raise click.UsageError("--previous is of runs that have ended: --follow can't go on with them.")
    from pdwatch.adapters.kubernetes.pod_log import Portion  # noqa: PLC0415  # `--help` needs no aiohttp
    from pdwatch.cli.defaults import with_defaults  # noqa: PLC0415

    given = with_defaults({"namespace": namespace, "context": context})
    lines = tail if tail is not None else _TAIL if since is None else ALL
    portion = Portion(tail=None if lines == ALL else lines, since=since)
    with stopped_by_ctrl_c():
        if follow:
            asyncio.run(_follow(name, given, portion, output))
        else:
            asyncio.run(_show(name, given, portion, output, previous=previous))


async def _show(
    name: str, given: Mapping[str, str | None], portion: Portion, output: str, *, previous: bool
) -> None:
    async with _logs_of(name, given) as logs:
        runs = [run for run in await logs.runs() if run.previous == previous]
        if previous and not runs:
            raise NotFoundError(f"no pod of {name} has been restarted", remedy="leave --previous out")
        lines = [line for run in runs for line in await logs.read(run, portion)]
    render = _renderer(output, prefixed=len(runs) > 1)
    for line in sorted(lines, key=lambda line: line.moment):
        click.echo(render(line))


async def _follow(name: str, given: Mapping[str, str | None], portion: Portion, output: str) -> None:
    waiting: asyncio.Queue[PodLine] = asyncio.Queue(_WAITING_LINES)
    render = _renderer(output, prefixed=True)

    async def show() -> None:
        while True:
            click.echo(render(await waiting.get()))

    def tell(message: str) -> None:
        click.echo(f"{style('warning:', sys.stderr, fg='yellow')} {message}", err=True)

    async with _logs_of(name, given) as logs:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(logs.follow(portion, put=waiting.put, tell=tell), name="follow pods")
                group.create_task(show(), name="show lines")
        except BaseExceptionGroup as failures:
            raise first_of(failures) from failures


@asynccontextmanager
async def _logs_of(name: str, given: Mapping[str, str | None]) -> AsyncIterator[WorkflowLogs]:
    """Connect, and make sure that there is such a workflow."""
    from pdwatch.adapters.kubernetes.connection import connect  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.deployments import find_deployment  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.pod_log import WorkflowLogs  # noqa: PLC0415

    async with connect(context=given["context"]) as api:
        deployment = await find_deployment(api, given["namespace"] or api.namespace, name)
        yield WorkflowLogs(api, deployment.namespace, name)


def _renderer(output: str, *, prefixed: bool) -> Callable[[PodLine], str]:
    return json_line if output == "json" else TextLines(prefixed=prefixed).line


def json_line(line: PodLine) -> str:
    """Return a line as an object: its pod and time, and what the engine wrote."""
    written = line.fields or {"message": line.text}
    return json.dumps({"pod": line.pod, "time": line.moment[1], **written}, ensure_ascii=False)


class TextLines:
    """Makes lines for people; each pod has a colour of its own.

    Args:
        prefixed: Whether lines begin with the pod's name.
    """

    def __init__(self, *, prefixed: bool) -> None:
        self._prefixed = prefixed
        self._colours: dict[str, str] = {}

    def line(self, line: PodLine) -> str:
        """Return time, level, node and message of an engine's line, and any other as it is."""
        fields = line.fields
        return (
            f"{self._prefix(line.pod)}{printable(line.text) if fields is None else self._text(line, fields)}"
        )

    def _prefix(self, pod: str) -> str:
        if not self._prefixed:
            return ""
        colour = self._colours.setdefault(pod, _POD_COLOURS[len(self._colours) % len(_POD_COLOURS)])
        return f"{style(pod, sys.stdout, fg=colour)} "

    def _text(self, line: PodLine, fields: Mapping[str, Any]) -> str:
        at, level = line.moment[0].astimezone(), printable(str(fields.get("level", "")))
        shown = [f"{at:%H:%M:%S}", style(f"{level:5}", sys.stdout, fg=_COLOURS.get(level))]
        if fields.get("node"):
            shown.append(f"[{printable(str(fields['node']))}]")
        shown.append(printable(fields["message"]))
        args = fields.get("args")
        shown += map(_argument, args if isinstance(args, list) else ())
        if fields.get("runId"):
            shown.append(style(f"run={printable(str(fields['runId']))}", sys.stdout, dim=True))
        return " ".join(shown)


def _argument(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
