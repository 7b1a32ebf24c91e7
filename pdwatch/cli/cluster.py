"""``pdwatch cluster``: what a cluster lacks before workflows can run on it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.console import print_json, style
from pdwatch.cli.options import ALLOW_CONTEXT, CONTEXT, OUTPUT, NamespaceType
from pdwatch.errors import ClusterUnavailableError, ExitCode, UnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.adapters.kubernetes.checks import Check

_STYLES: dict[str, dict[str, Any]] = {
    "passed": {"fg": "green"},
    "failed": {"fg": "red", "bold": True},
    "info": {"fg": "yellow"},
}


@click.group(name="cluster")
def command() -> None:
    """Check that a cluster can run workflows."""


@command.command(short_help="Say what is missing before workflows can run.")
@click.option(
    "-n",
    "--namespace",
    type=NamespaceType(),
    help="Where the workflows go.  [default: the context's namespace]",
)
@CONTEXT
@ALLOW_CONTEXT
@click.option("--fix", is_flag=True, help="Create the namespace when it is missing.")
@OUTPUT
def check(*, fix: bool, output: str, **flags: Any) -> None:
    """Say what is missing before workflows can run, and what to do about it.

    Checked are the API server, RuntimeClass gvisor, the namespace, your rights in it, the Secrets that
    deployed workflows mount, and Docker.

    Each check that fails says what to do. Nothing is changed unless --fix is given, and then only the
    namespace is.

    \b
    Exit codes:
      0  workflows can run
      1  a check failed
      2  there is no usable kubeconfig
      3  the API server can't be reached; the other checks were not made

    \b
    Examples:
      pdwatch cluster check
      pdwatch cluster check --namespace dev --fix
    """  # noqa: D301  # click's mark is the character, not the letters
    from pdwatch.cli.defaults import with_defaults  # noqa: PLC0415  # `--help` needs no settings

    sys.exit(asyncio.run(_check(**with_defaults(flags), fix=fix, output=output)))


async def _check(
    namespace: str | None, context: str | None, allow_context: Sequence[str], *, fix: bool, output: str
) -> ExitCode:
    # Loaded on use: `--help` needs no aiohttp.
    from pdwatch.adapters.docker.api import connect as docker_connect  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.checks import check_api, check_cluster, check_docker, failed  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.connection import connect  # noqa: PLC0415

    async def docker_version() -> str:
        async with docker_connect() as docker:
            version = await docker.request("GET", "version")
            return f"Docker {version['Version']} answers at {docker.endpoint}"

    async with connect(context=context, allow_contexts=allow_context) as api:
        namespace = namespace or api.namespace
        status = ExitCode.OK
        try:
            checks = [await check_api(api)]
        except (ClusterUnavailableError, UnauthorizedError) as error:
            checks = [failed("api", error)]
            status = error.exit_code
        else:
            checks += [each async for each in check_cluster(api, namespace=namespace, create_namespace=fix)]
            checks.append(await check_docker(docker_version))
            if any(each.outcome == "failed" for each in checks):
                status = ExitCode.FAILED
    if output == "json":
        print_json(
            {"ok": status is ExitCode.OK, "namespace": namespace, "checks": [asdict(each) for each in checks]}
        )
    else:
        _print(checks)
    return status


def _print(checks: Sequence[Check]) -> None:
    for each in checks:
        outcome = style(f"{each.outcome:6}", sys.stdout, **_STYLES[each.outcome])
        click.echo(f"{outcome}  {each.name:9}  {each.message}")
        for detail in each.details:
            click.echo(f"                   {style('·', sys.stdout, dim=True)} {detail}")
        if each.remedy:
            click.echo(f"                   {style('→', sys.stdout, fg='cyan')} {each.remedy}")
