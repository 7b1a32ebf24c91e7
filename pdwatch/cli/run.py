"""``pdwatch run``: the daemon."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import get_args

import click

from pdwatch.cli.console import coloured
from pdwatch.cli.options import BUILD_NETWORK, NamespaceType
from pdwatch.logs import EventLog, LogFormat, LogLevel, configure
from pdwatch.settings import load_settings


@click.command(name="run")
@click.argument("directories", nargs=-1, metavar="[DIR]...", type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="PDWATCH_CONFIG",
    help="Settings file; config/pdwatch.yaml explains every key. Flags win over it.",
)
@click.option(
    "-n", "--namespace", type=NamespaceType(), help="Where workflows go that name no namespace of their own."
)
@click.option("--context", help="The kubeconfig's context.")
@click.option("--registry", help="Push images to this registry, and deploy them by digest.")
@click.option("--secrets/--no-secrets", default=None, help="Apply .secrets.yaml and .secrets/ as a Secret.")
@BUILD_NETWORK
@click.option("--builds", type=int, metavar="N", help="How many images are built at once.  [default: 2]")
@click.option("--resync", type=float, metavar="SECONDS", help="Look at everything this often.  [default: 30]")
@click.option(
    "--log-format",
    type=click.Choice(get_args(LogFormat)),
    help="auto is console on a terminal and json otherwise.",
)
@click.option("--log-level", type=click.Choice(get_args(LogLevel)))
def command(
    directories: tuple[Path, ...],
    config: Path | None,
    namespace: str | None,
    context: str | None,
    registry: str | None,
    secrets: bool | None,  # noqa: FBT001  # click passes it by keyword
    build_network: str | None,
    builds: int | None,
    resync: float | None,
    log_format: LogFormat | None,
    log_level: LogLevel | None,
) -> None:
    """Watch workflow directories; rebuild and redeploy on every save.

    Every directory at or below each DIR (default: this one) that holds a workflow.yaml is a workflow. Log
    lines go to stdout, one for every step from the save to the pod that answers; docs/log-events.md lists
    them.

    SIGTERM and Ctrl-C stop it within seconds and exit with 0; what is deployed keeps running. Started again,
    it does only what is missing.

    \b
    Examples:
      pdwatch run ~/workflows
      pdwatch run --namespace dev --log-format json ~/workflows | jq .event
    """  # noqa: D301  # click's mark is the character, not the letters
    settings = load_settings(
        config,
        {
            "roots": directories or None,
            "namespace": namespace,
            "context": context,
            "registry": registry,
            "secrets": secrets,
            "build_network": build_network,
            "builds": builds,
            "resync_s": resync,
            "log.format": log_format,
            "log.level": log_level,
        },
    )
    configure(settings.log.format, level=settings.log.level, stream=sys.stdout, colour=coloured(sys.stdout))
    from pdwatch.daemon import serve  # noqa: PLC0415  # it imports every adapter; wrong flags need none

    asyncio.run(serve(settings, EventLog()))
