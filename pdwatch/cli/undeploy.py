"""``pdwatch undeploy``: a workflow's objects removed, and nothing else."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.console import print_json, report_error
from pdwatch.cli.deployed import DeployedFlags, deployed_workflow
from pdwatch.cli.options import OUTPUT, DurationType
from pdwatch.errors import ClusterError, DaemonUnavailableError, ExitCode, ForeignObjectError, PdwatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pdwatch.adapters.kubernetes.undeploy import ApiUndeployer
    from pdwatch.adapters.lock import Watched
    from pdwatch.core.undeploy import ClusterObject, Undeployment


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flags(DeployedFlags):
    dry_run: bool


@click.command(name="undeploy")
@deployed_workflow
@click.option("--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
@click.option("--wait/--no-wait", default=True, help="Wait until its pods are gone.")
@click.option("--timeout", type=DurationType(), default="120s", show_default=True, help="How long to wait.")
@OUTPUT
def command(**flags: Any) -> None:
    """Remove the workflow NAME from the cluster: its Service, Secret, Deployment and pods.

    Only objects that pdwatch made are removed, by its labels and the name. A Service or Secret of somebody
    else's is left and named; if the Deployment is somebody else's, nothing is removed. Images stay: see
    `pdwatch prune`. A daemon that still watches the workflow's directory would deploy it again; you are told
    of one that can be seen from here, unless it says that it brings it elsewhere.

    With --output json stdout gets one object: name, namespace, removed and left (lists of kind and name),
    gone (whether its pods are; null when it was not waited for), and watched (a list of pid and directory).

    \b
    Exit codes:
      0  removed
      1  its pods are not gone in time
      2  a flag is wrong, or there is no usable kubeconfig
      3  the API server can't be reached
      4  there is no such workflow in the namespace
      5  pdwatch did not make the Deployment

    \b
    Examples:
      pdwatch undeploy hello -n dev --dry-run
      pdwatch undeploy hello -n dev
    """  # noqa: D301  # click's mark is the character, not the letters
    from pdwatch.cli.defaults import with_defaults  # noqa: PLC0415  # `--help` needs no settings

    sys.exit(asyncio.run(_undeploy(_Flags(**with_defaults(flags)))))


async def _undeploy(flags: _Flags) -> ExitCode:
    # Loaded on use: `--help` needs no aiohttp.
    from pdwatch.adapters.kubernetes.connection import connect  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.deployments import no_workflow  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.undeploy import ApiUndeployer  # noqa: PLC0415

    async with connect(context=flags.context, allow_contexts=flags.allow_context) as api:
        namespace = flags.namespace or api.namespace
        undeployer = ApiUndeployer(api)
        found = await undeployer.find(namespace, flags.name)
        if found.refused:
            raise ForeignObjectError(
                f"pdwatch did not make Deployment {flags.name} in namespace {namespace}: nothing is removed",
                remedy=f"`kubectl -n {namespace} delete deployment {flags.name}` removes it all the same",
            )
        if not found.remove:
            raise await no_workflow(api, namespace, flags.name)
        watched = await _watched(flags.name, namespace)
        gone = None if flags.dry_run else await _remove(undeployer, found.remove, flags)
    _print(namespace, found, watched, flags, gone=gone)
    if gone is False:
        report_error(_not_gone(namespace, flags))
        return ExitCode.FAILED
    return ExitCode.OK


async def _remove(undeployer: ApiUndeployer, objects: Sequence[ClusterObject], flags: _Flags) -> bool | None:
    """Return whether the pods are gone; None when it was not waited for."""
    await undeployer.remove(objects)
    if not flags.wait:
        return None
    try:
        async with asyncio.timeout(flags.timeout):
            for each in objects:
                if each.kind == "Deployment":
                    await undeployer.gone(each)
    except TimeoutError:
        return False
    return True


async def _watched(name: str, namespace: str) -> Sequence[Watched]:
    """Return the directories that daemons on this machine may deploy the workflow again from."""
    from pdwatch.adapters.engine import engine_recipe  # noqa: PLC0415
    from pdwatch.adapters.files import FileSource  # noqa: PLC0415
    from pdwatch.adapters.lock import Watched, watched_directories  # noqa: PLC0415

    source = FileSource(recipe=engine_recipe())

    async def is_of(root: Path) -> bool:
        try:
            return (await source.scan(root)).name == name
        except PdwatchError:
            return False  # as it is, no daemon deploys it

    async def workflows(root: Path) -> Iterable[Path]:
        try:
            return sorted(await source.discover([root]))
        except PdwatchError:
            return ()

    found = [
        Watched(pid=each.pid, directory=root)
        for each in await asyncio.to_thread(watched_directories)
        for root in await workflows(each.directory)
        if await is_of(root)
    ]
    elsewhere = await _brought_elsewhere(namespace) if found else frozenset()
    return [each for each in found if str(each.directory) not in elsewhere]


async def _brought_elsewhere(namespace: str) -> frozenset[str]:
    """Return the directories whose daemons say that they bring them to this machine, or another namespace."""
    from pdwatch.cli.overview import look  # noqa: PLC0415

    try:
        rows = await look(None, None)
    except DaemonUnavailableError:
        return frozenset()
    there = ("kubernetes", namespace)
    return frozenset(
        row["directory"] for row in rows if row["target"] and (row["target"], row["namespace"]) != there
    )


def _not_gone(namespace: str, flags: _Flags) -> PdwatchError:
    return ClusterError(
        f"{flags.name} in namespace {namespace} is being removed, but its pods are not gone after "
        f"{flags.timeout:g} s",
        remedy=f"`kubectl -n {namespace} get pods` shows them; a finalizer or a dead node may hold them",
    )


def _print(
    namespace: str, found: Undeployment, watched: Sequence[Watched], flags: _Flags, *, gone: bool | None
) -> None:
    if flags.output == "json":
        print_json(
            {
                "name": flags.name,
                "namespace": namespace,
                "removed": [{"kind": each.kind, "name": each.name} for each in found.remove],
                "left": [{"kind": each.kind, "name": each.name} for each in found.leave],
                "gone": gone,
                "watched": [{"pid": each.pid, "directory": str(each.directory)} for each in watched],
            }
        )
        return
    verb = "would remove" if flags.dry_run else "removed"
    click.echo(f"{verb} from namespace {namespace}: {', '.join(map(str, found.remove))}")
    for each in found.leave:
        click.echo(f"left {each}, which pdwatch did not make")
    for one in watched:
        click.echo(
            f"process {one.pid} watches {one.directory}: it may deploy {flags.name} again; "
            "stop it, or take the directory away first",
            err=True,
        )
