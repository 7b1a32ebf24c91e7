"""``pdwatch run``: the daemon."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.run_log import RunLog
from pdwatch.cli.setting_flags import given_flags, ignored_variables, setting_flags
from pdwatch.logs import Event, EventLog
from pdwatch.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from pdwatch.settings import Effective


@click.command(name="run")
@setting_flags
def command(config: Path | None, **_: Any) -> None:
    """Watch workflow directories; rebuild and redeploy on every save.

    Every directory at or below each DIR (default: this one) that holds a workflow.yaml is a workflow. Log
    lines go to stdout, one for every step from the save to the pod that answers; docs/log-events.md lists
    them, and `pdwatch logs` shows them later.

    Flags win over the environment, and that over the settings file; `pdwatch config show` prints what holds.
    Saving the settings file, and SIGHUP, reload the settings without stopping anything.

    SIGTERM and Ctrl-C stop it within seconds and exit with 0; what is deployed keeps running. Started again,
    it does only what is missing.

    \b
    Exit codes:
      0  stopped
      1  a defect of pdwatch; nobody reads its stdout any more
      2  a flag, the settings or the kubeconfig are wrong
      3  inotify can't be had, or Deno for the local target
      4  there is no such directory
      5  another daemon watches it, or the address to listen on is taken

    \b
    Examples:
      pdwatch run ~/workflows
      pdwatch run --namespace dev --log-format json ~/workflows | jq .event
    """  # noqa: D301  # click's mark is the character, not the letters
    flags = given_flags(click.get_current_context())

    def load() -> Effective:
        return load_settings(file=config, environ=os.environ, flags=flags)

    effective = load()
    log = EventLog()
    run_log = RunLog(os.environ, log=log)
    run_log.configure(effective.settings.log)
    for variable, message in ignored_variables().items():
        log.emit(Event.SETTINGS_IGNORED, variable=variable, message=message)
    from pdwatch.daemon import serve  # noqa: PLC0415  # it imports every adapter; wrong flags need none
    from pdwatch.reload import Live  # noqa: PLC0415

    live = Live(file=effective.file, load=load, configure_log=run_log.configure)
    asyncio.run(serve(effective.settings, log, live=live))
