"""``pdwatch deploy``: a workflow's image, applied and waited for."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.console import Progress, report_error
from pdwatch.cli.follow import follow
from pdwatch.cli.objects import print_objects
from pdwatch.cli.options import ALLOW_CONTEXT, BUILD_NETWORK, BUILDER, CONTEXT, DurationType, NamespaceType
from pdwatch.cli.paths import DirectoryType
from pdwatch.core.image import image_references
from pdwatch.core.manifests import manifests, secret, secret_name
from pdwatch.core.names import PORT
from pdwatch.errors import ExitCode, PdwatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pdwatch.adapters.files import FileSource
    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.builders import BuilderName
    from pdwatch.core.model import ImageRef, Manifest, RolloutStatus, SourceSnapshot, WorkflowSpec

_LOG_LINES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flags:
    directory: Path
    namespace: str | None
    default_namespace: str | None
    context: str | None
    allow_context: tuple[str, ...]
    registry: str | None
    tag: str | None
    secrets: bool
    build: bool
    builder: BuilderName
    build_network: str | None
    wait: bool
    timeout: float
    force_conflicts: bool
    dry_run: bool
    output: str

    def tell(self, line: str) -> None:
        """Print a line for people."""
        if self.output == "text":
            click.echo(line)


@click.command(name="deploy")
@click.argument("directory", default=".", metavar="[DIR]", type=DirectoryType())
@click.option("-n", "--namespace", type=NamespaceType(), help="Where it goes, whatever workflow.yaml says.")
@CONTEXT
@ALLOW_CONTEXT
@click.option(
    "--registry", metavar="HOST[:PORT][/PATH]", help="Push the image there, and deploy it by digest."
)
@click.option("--tag", help="Name the image so: a tag, or with a ':' or '/' in it a whole reference.")
@click.option(
    "--secrets/--no-secrets", default=None, help="Apply .secrets.yaml and .secrets/ as Secret NAME-secrets."
)
@click.option("--build/--no-build", default=True, help="Without building, the image must be there already.")
@BUILDER
@BUILD_NETWORK
@click.option("--wait/--no-wait", default=True, help="Wait until the new pods are ready.")
@click.option("--timeout", type=DurationType(), default="120s", show_default=True, help="How long to wait.")
@click.option("--force-conflicts", is_flag=True, help="Take over fields that others have set.")
@click.option("--dry-run", is_flag=True, help="Print what would be applied; needs no Docker and no cluster.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True
)
def command(**flags: Any) -> None:
    """Build the image of the workflow in DIR (default: this directory), and run it in the cluster.

    The namespace is that of --namespace, else deployment.namespace of workflow.yaml, else the settings', else
    the context's. Other flags that are not given come from the settings too (docs/settings.md). An image that
    was built from the same sources is used again. Nothing is applied to a context that neither looks local
    nor is allowed, or to a cluster without RuntimeClass gvisor, and no field is taken from another manager
    without --force-conflicts.

    --output json and yaml print the objects as the cluster has stored them. With --dry-run they print
    manifests for `kubectl apply -f -`, which name the namespace only if a flag or workflow.yaml does, and the
    image without the digest that only a push can tell. Secrets are printed in neither case.

    \b
    Exit codes:
      0  deployed, and ready unless --no-wait
      1  the workflow has problems, the build failed, or the new pods are not ready
      2  a flag is wrong, or there is no usable kubeconfig
      3  Docker, the registry or the API server can't be reached
      4  there is no workflow.yaml in DIR, or no such namespace
      5  held: no gVisor, another field manager owns a field, or the context is not allowed

    \b
    Examples:
      pdwatch deploy ~/workflows/hello --namespace dev
      pdwatch deploy --registry ghcr.io/me --secrets
      pdwatch deploy --dry-run -o yaml | kubectl apply -f -
    """  # noqa: D301  # click's mark is the character, not the letters
    from pdwatch.cli.defaults import with_defaults  # noqa: PLC0415  # `--help` needs no settings

    namespace = flags.pop("namespace")
    filled = with_defaults({**flags, "default_namespace": None}, directory=flags["directory"])
    sys.exit(asyncio.run(_deploy(_Flags(namespace=namespace, **filled))))


async def _deploy(flags: _Flags) -> ExitCode:
    # Loaded on use: `--help` needs no aiohttp.
    from pdwatch.adapters.engine import engine_recipe  # noqa: PLC0415
    from pdwatch.adapters.files import FileSource  # noqa: PLC0415

    source = FileSource(recipe=engine_recipe())
    snapshot = await source.scan(flags.directory)
    if snapshot.spec is None:
        from pdwatch.cli.problems import report_problems  # noqa: PLC0415

        report_problems(flags.directory, snapshot.problems)
        return ExitCode.FAILED
    wanted = image_references(snapshot.spec, snapshot.digest, registry=flags.registry, tag=flags.tag)[0]
    if flags.dry_run:
        _print_plan(snapshot.spec, snapshot.digest, wanted, flags)
        return ExitCode.OK
    return await _deliver(source, snapshot, snapshot.spec, wanted, flags)


def _print_plan(spec: WorkflowSpec, digest: str, image: ImageRef, flags: _Flags) -> None:
    namespace = flags.namespace or spec.deployment.namespace or flags.default_namespace
    objects = manifests(spec, digest=digest, image=image, namespace=namespace or "")
    if namespace is None:
        for each in objects:
            del each["metadata"]["namespace"]  # for kubectl to fill in
    if flags.output == "text":
        where = f"namespace {namespace}" if namespace else "the context's namespace"
        click.echo(f"would apply to {where}: {_named(objects)}, with image {image}")
    else:
        print_objects(objects, flags.output)
    if flags.secrets:
        click.echo(f"Secret {secret_name(spec.name)} is left out: secrets are never printed", err=True)


async def _deliver(
    source: FileSource, snapshot: SourceSnapshot, spec: WorkflowSpec, wanted: ImageRef, flags: _Flags
) -> ExitCode:
    from pdwatch.adapters.kubernetes.cluster import ApiCluster  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.connection import connect  # noqa: PLC0415

    async with connect(context=flags.context, allow_contexts=flags.allow_context) as api:
        cluster = ApiCluster(api)
        named = flags.namespace or spec.deployment.namespace or flags.default_namespace
        namespace = named or api.namespace
        await cluster.require_gvisor()
        image = await _built(snapshot, flags) if flags.build else wanted
        secrets = await _secrets(source, flags)
        objects = [
            *([secret(spec.name, namespace=namespace, values=secrets)] if secrets else []),
            *manifests(spec, digest=snapshot.digest, image=image, namespace=namespace),
        ]
        applied: list[Manifest] = []
        try:
            for each in objects:
                applied.append(await cluster.apply(each, force=flags.force_conflicts))  # noqa: PERF401  # see below
            flags.tell(f"applied to namespace {namespace}: {_named(applied)}")
            if flags.output != "text":
                print_objects([_shown(each) for each in applied if each["kind"] != "Secret"], flags.output)
            if not flags.wait:
                return ExitCode.OK
            return await _followed(api, namespace, spec.name, snapshot.digest, flags)
        except asyncio.CancelledError:
            _tell_interrupted(spec.name, namespace, applied, objects[len(applied) :])
            raise


def _tell_interrupted(
    name: str, namespace: str, applied: Sequence[Manifest], remaining: Sequence[Manifest]
) -> None:
    """Say on stderr what Ctrl-C has left in the cluster; the request that it cut off may have got through."""
    left = [_named(applied)] if applied else []
    left += [f"perhaps {_named(remaining[:1])}"] if remaining else []
    click.echo(f"left in namespace {namespace}: {', '.join(left)}", err=True)
    click.echo(f"  → `pdwatch status {name} -n {namespace}` shows what runs", err=True)


async def _built(snapshot: SourceSnapshot, flags: _Flags) -> ImageRef:
    from pdwatch.adapters.docker import docker_ports  # noqa: PLC0415
    from pdwatch.pipeline import image_for  # noqa: PLC0415

    with Progress() as progress:
        async with docker_ports(
            push=flags.registry is not None,
            builder=flags.builder,
            network=flags.build_network,
            report=progress.update,
        ) as docker:
            image = await image_for(
                snapshot,
                registry=flags.registry,
                tag=flags.tag,
                builder=docker.builder,
                publisher=docker.publisher,
                reuse=True,
                clock=time.monotonic,
            )
    took_s = image.build_s + image.publish_s
    flags.tell(f"{'found' if image.cached else 'built'} {image.ref} in {took_s:.1f} s")
    return image.ref


async def _secrets(source: FileSource, flags: _Flags) -> Mapping[str, bytes]:
    if not flags.secrets:
        return {}
    values = await source.secrets(flags.directory)
    if not values:
        click.echo(
            f"{flags.directory} has neither .secrets.yaml nor .secrets/: no Secret is applied", err=True
        )
    return values


async def _followed(api: Api, namespace: str, name: str, digest: str, flags: _Flags) -> ExitCode:
    """Wait for the rollout, and say how it ended."""
    followed = await follow(
        api, namespace=namespace, name=name, digest=digest, timeout_s=flags.timeout, word="new"
    )
    status = followed.status
    if status and followed.ready:
        flags.tell(f"ready: {status.ready} of {status.desired} pods of {name} run what is saved")
        flags.tell(f"try it: kubectl -n {namespace} port-forward service/{name} {PORT}")
        return ExitCode.OK
    late = "" if followed.in_time else f"not ready after {flags.timeout:g} s"
    report_error(_not_ready(status, name, namespace, late))
    if status and status.pod:
        await _show_log(api, namespace, status.pod)
    return ExitCode.FAILED


def _not_ready(status: RolloutStatus | None, name: str, namespace: str, late: str) -> PdwatchError:
    if status is None:
        return PdwatchError(
            f"{name} is {late}, as far as can be seen: nothing was heard of its pods",
            remedy=f"`pdwatch cluster check -n {namespace}` tells whether rights are missing",
        )
    why = ": ".join(part for part in (status.reason, status.message) if part)
    kept = "; what ran before goes on serving" if status.available else ""
    return PdwatchError(
        f"{name} in namespace {namespace} is {late or 'not ready'}{kept}: {why}",
        remedy=f"`pdwatch status {name} -n {namespace}` shows how it goes on",
    )


async def _show_log(api: Api, namespace: str, pod: str) -> None:
    from pdwatch.adapters.kubernetes.pods import ApiPodLogs  # noqa: PLC0415

    try:
        lines = await ApiPodLogs(api).last_lines(namespace, pod, lines=_LOG_LINES)
    except PdwatchError as error:
        click.echo(f"  the log of pod {pod} can't be read: {error.message}", err=True)
        return
    for line in (f"  the last lines of pod {pod}:", *(f"    {line}" for line in lines)) if lines else ():
        click.echo(line, err=True)


def _named(objects: Iterable[Manifest]) -> str:
    return ", ".join(f"{each['kind']} {each['metadata']['name']}" for each in objects)


def _shown(manifest: Manifest) -> Manifest:
    """Leave out who manages which field, as kubectl does."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return {**manifest, "metadata": metadata}
