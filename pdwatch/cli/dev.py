"""``pdwatch dev``: one workflow on this machine, reloaded on every save."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from pdwatch.cli.console import coloured
from pdwatch.cli.dev_console import DevConsole
from pdwatch.cli.paths import DirectoryType
from pdwatch.core.names import PORT
from pdwatch.core.sources import DEPENDENCIES, WORKFLOW_FILE
from pdwatch.core.workflow import parse_workflow
from pdwatch.errors import NotFoundError
from pdwatch.logs import EventLog, LogFormat, LogLevel, configure
from pdwatch.settings import LogSettings, RootSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from pdwatch.core.model import TargetName, ViewChange, WorkflowSpec
    from pdwatch.heartbeats import Heartbeats
    from pdwatch.targets import Target

_TRIED_PORTS = 20


@click.command(name="dev")
@click.argument("directory", default=".", metavar="[DIR]", type=DirectoryType())
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"The port to answer on; 0 takes a free one.  [default: {PORT}, or the next that is free]",
)
@click.option("--check/--no-check", default=True, help="Whether a save must pass Deno's type check.")
@click.option(
    "--log-format",
    type=click.Choice(get_args(LogFormat)),
    default="auto",
    help="auto is console on a terminal and json otherwise.",
)
@click.option("--log-level", type=click.Choice(get_args(LogLevel)), default="info")
def command(
    directory: Path,
    port: int | None,
    check: bool,  # noqa: FBT001  # click passes it by keyword
    log_format: LogFormat,
    log_level: LogLevel,
) -> None:
    """Run the workflow in DIR on this machine, and reload it on every save.

    No Docker and no cluster: the engine that goes into the image runs here, with the rights that it has in a
    pod, on 127.0.0.1 alone. What ran before goes on serving while a save does not compile or crashes, and
    runs in flight end on the code that they began with. Secrets come from .secrets/ and .secrets.yaml.

    \b
    Exit codes:
      0  stopped by Ctrl-C or SIGTERM
      2  a flag is wrong
      3  there is no deno on this machine
      4  there is no workflow.yaml in DIR
      5  another pdwatch watches DIR, or the port is taken

    \b
    Examples:
      pdwatch dev hello
      pdwatch dev hello --port 9000 --no-check
    """  # noqa: D301  # click's mark is the character, not the letters
    root = Path(os.path.realpath(directory))
    if not os.path.exists(root / WORKFLOW_FILE):  # noqa: PTH110  # False, too, where nobody may look
        raise NotFoundError(
            f"there is no {WORKFLOW_FILE} in {root}",
            remedy="name a directory that holds one, or make one with `pdwatch init NAME`",
        )
    wanted = tuple(range(PORT, PORT + _TRIED_PORTS)) if port is None else (port,)
    from pdwatch.adapters.local.front import bind_first  # noqa: PLC0415
    from pdwatch.daemon import serve  # noqa: PLC0415  # it imports every adapter; wrong flags need none
    from pdwatch.targets.local import local_target  # noqa: PLC0415

    with bind_first(wanted) as probe:  # a port that is taken is to be told before anything begins
        host, free = probe.getsockname()
    colour = coloured(sys.stdout)
    console = DevConsole(partial(_spec, root), url=f"http://{host}:{free}", check=check, colour=colour)
    configure(log_format, level=log_level, stream=sys.stdout, colour=colour, console=console)

    def open_target(
        _name: TargetName,
        _settings: Settings,
        *,
        notify: Callable[[ViewChange], None],
        log: EventLog,
        heartbeats: Heartbeats,
    ) -> AbstractAsyncContextManager[Target]:
        del heartbeats  # it is but one workflow, and there is no connection to lose
        return local_target(notify=notify, log=log, jitter=random.random, port=free, check=check)

    settings = Settings(
        roots=(RootSettings(path=root),),
        target="local",
        log=LogSettings(format=log_format, level=log_level),
    )
    asyncio.run(serve(settings, EventLog(), open_target=open_target))


def _spec(root: Path) -> WorkflowSpec | None:
    """Read the workflow as it is now; None while it is not valid, or not there."""
    try:
        content = (root / WORKFLOW_FILE).read_bytes()
    except OSError:
        return None
    files = {
        os.path.relpath(f"{directory}/{name}", root)
        for directory, below, names in os.walk(root)
        for name in _without_dependencies(below, names)
    }
    return parse_workflow(content, files=files).spec


def _without_dependencies(below: list[str], names: list[str]) -> list[str]:
    """Keep a walk from third-party code, where no node lies; return the files' names."""
    below[:] = [name for name in below if name not in DEPENDENCIES]
    return names
