"""``pdwatch rollback``: what ran before the last save, held until the next."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.console import print_json, report_error
from pdwatch.cli.deployed import DeployedFlags, deployed_workflow
from pdwatch.cli.follow import follow
from pdwatch.cli.options import OUTPUT, DurationType
from pdwatch.core.image import DEFAULT_REGISTRY, parse_reference, registry_host
from pdwatch.core.names import ROLLED_BACK_ANNOTATION
from pdwatch.core.rollback import past_revisions, rollback_target, rolled_back
from pdwatch.errors import (
    DockerError,
    ExitCode,
    ForeignObjectError,
    PdwatchError,
    RollbackError,
    SettingsError,
)

if TYPE_CHECKING:
    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import Manifest, ObservedDeployment
    from pdwatch.core.rollback import PastRevision


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flags(DeployedFlags):
    to: str | None
    release: bool

    def tell(self, line: str) -> None:
        """Print a line for people."""
        if self.output == "text":
            click.echo(line)


@click.command(name="rollback")
@deployed_workflow
@click.option("--to", metavar="DIGEST|REVISION", help="Go back to this one, not to the one before.")
@click.option("--release", is_flag=True, help="End the hold: let `pdwatch run` roll out what is saved.")
@click.option("--wait/--no-wait", default=True, help="Wait until the earlier pods are ready.")
@click.option("--timeout", type=DurationType(), default="120s", show_default=True, help="How long to wait.")
@OUTPUT
def command(**flags: Any) -> None:
    """Return the workflow NAME to what it ran before the last save, and hold it there until the next.

    `pdwatch run`, started before or after, leaves a workflow that was rolled back as it is until its files
    change. Saving a change, --release and `pdwatch deploy` end the hold. The cluster remembers the last few
    revisions; --to names one by its number or by the first digits of its source digest. Secrets stay as they
    are.

    With --output json stdout gets one object: name, namespace, source_digest, rolled_back_from (null when
    nothing is held), revision, image, generation and ready (null when it was not waited for).

    \b
    Exit codes:
      0  rolled back, and ready unless --no-wait
      1  the earlier pods are not ready
      2  a flag is wrong, or there is no usable kubeconfig
      3  the API server can't be reached
      4  there is no such workflow, or no such revision
      5  it is rolled back already and --to is missing; pdwatch did not make it; the image is gone

    \b
    Examples:
      pdwatch rollback hello
      pdwatch rollback hello --to 4 -n dev
      pdwatch rollback hello --release
    """  # noqa: D301  # click's mark is the character, not the letters
    from pdwatch.cli.defaults import with_defaults  # noqa: PLC0415  # `--help` needs no settings

    given = _Flags(**with_defaults(flags))
    if given.release and given.to is not None:
        raise click.UsageError("--release goes to what is saved, so that --to has no meaning.")
    sys.exit(asyncio.run(_rollback(given)))


async def _rollback(flags: _Flags) -> ExitCode:
    # Loaded on use: `--help` needs no aiohttp.
    from pdwatch.adapters.kubernetes.cluster import ApiCluster  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.connection import connect  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.deployments import find_deployment, replica_sets  # noqa: PLC0415

    async with connect(context=flags.context, allow_contexts=flags.allow_context) as api:
        deployment = await find_deployment(api, flags.namespace or api.namespace, flags.name)
        if not deployment.managed:
            raise ForeignObjectError(
                f"pdwatch did not make Deployment {flags.name} in namespace {deployment.namespace}",
                remedy=f"`kubectl rollout undo deployment/{flags.name}` goes back without pdwatch",
            )
        if flags.release:
            return await _release(api, deployment, flags)
        remembered = await replica_sets(api, flags.name, namespace=deployment.namespace)
        target = rollback_target(deployment, past_revisions(deployment, remembered), to=flags.to)
        await _require_image(deployment, target)
        applied = await ApiCluster(api).apply(rolled_back(deployment, target), force=True)
        ready = await _followed(api, applied, target, flags) if flags.wait else None
    _print(applied, target, flags, ready=ready)
    return ExitCode.FAILED if ready is False else ExitCode.OK


async def _release(api: Api, deployment: ObservedDeployment, flags: _Flags) -> ExitCode:
    from pdwatch.adapters.kubernetes.deployments import remove_annotation  # noqa: PLC0415

    where = f"{flags.name} in namespace {deployment.namespace}"
    released = await remove_annotation(api, deployment, ROLLED_BACK_ANNOTATION)
    if flags.output == "json":
        print_json(_document(released, revision=None, image=deployment.image, ready=None))
    elif deployment.rolled_back_from is None:
        click.echo(f"{where} was not held")
    else:
        click.echo(
            f"{where} is no longer held: `pdwatch run` rolls out what is saved, or `pdwatch deploy` does"
        )
    return ExitCode.OK


async def _require_image(deployment: ObservedDeployment, target: PastRevision) -> None:
    """Refuse to go back to an image that the nodes' Docker does not have any more, where that can be known.

    It can for an image that no registry has, if Docker here is the one that the present image is in.
    """
    from pdwatch.adapters.docker.api import connect  # noqa: PLC0415
    from pdwatch.adapters.docker.base import inspect  # noqa: PLC0415

    wanted = parse_reference(target.image)
    if wanted is None or wanted.digest is not None or registry_host(wanted) != DEFAULT_REGISTRY:
        return
    try:
        async with connect() as docker:
            gone = await inspect(docker, target.image) is None
            is_the_nodes = gone and await inspect(docker, str(deployment.image)) is not None
    except (DockerError, SettingsError):
        return  # nothing is known; if the image is gone, the rollout says so, and the present pods serve on
    if is_the_nodes:
        raise RollbackError(
            f"the image {target.image} of revision {target} is no longer in Docker: no pod of it could start",
            remedy="choose another with --to, or save the earlier sources again, which builds them anew",
        )


async def _followed(api: Api, applied: Manifest, target: PastRevision, flags: _Flags) -> bool:
    """Wait for the rollout; say on stderr why it is not ready, if it is not."""
    name, namespace = flags.name, applied["metadata"]["namespace"]
    followed = await follow(
        api,
        namespace=namespace,
        name=name,
        digest=target.source_digest,
        timeout_s=flags.timeout,
        word="back",
    )
    if not followed.ready:
        status = followed.status
        ended = f": {status.reason} {status.message}" if status and followed.in_time else ""
        late = "" if followed.in_time else f" after {flags.timeout:g} s"
        report_error(
            PdwatchError(
                f"{name} in namespace {namespace} is rolled back, but not ready{late}{ended}",
                remedy=f"`pdwatch status {name} -n {namespace}` shows how it goes on",
            )
        )
    return followed.ready


def _print(applied: Manifest, target: PastRevision, flags: _Flags, *, ready: bool | None) -> None:
    if flags.output == "json":
        print_json(_document(applied, revision=target.number, image=target.image, ready=ready))
        return
    held = applied["metadata"]["annotations"].get(ROLLED_BACK_ANNOTATION)
    flags.tell(
        f"{flags.name} is back at {target.source_digest}, revision {target.number}, image {target.image}"
    )
    if held is not None:
        flags.tell(f"held there until the next save; rolled back from {held}")


def _document(
    manifest: Manifest, *, revision: int | None, image: str | None, ready: bool | None
) -> dict[str, Any]:
    from pdwatch.core.observed import observed_deployment  # noqa: PLC0415

    deployment = observed_deployment(manifest)
    return {
        "name": deployment.name,
        "namespace": deployment.namespace,
        "source_digest": deployment.source_digest,
        "rolled_back_from": deployment.rolled_back_from,
        "revision": revision,
        "image": image,
        "generation": deployment.generation,
        "ready": ready,
    }
