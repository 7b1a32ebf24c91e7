"""``pdwatch build``: a workflow's image, built and perhaps pushed."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.console import Progress, print_json
from pdwatch.cli.options import BUILD_NETWORK, BUILDER, OUTPUT
from pdwatch.cli.paths import DirectoryType
from pdwatch.cli.problems import report_problems
from pdwatch.core.dockerfile import dockerfile
from pdwatch.core.image import image_references
from pdwatch.core.names import BASE_IMAGE
from pdwatch.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from pdwatch.core.builders import BuilderName
    from pdwatch.core.model import SourceSnapshot
    from pdwatch.pipeline import Image


@click.command(name="build")
@click.argument("directory", default=".", metavar="[DIR]", type=DirectoryType())
@click.option("--registry", metavar="HOST[:PORT][/PATH]", help="Name the image for this registry.")
@click.option(
    "--tag", help="Name the image so, and only so: a tag, or with a ':' or '/' in it a whole reference."
)
@click.option("--push", is_flag=True, help="Push the image, with the credentials of `docker login`.")
@BUILDER
@BUILD_NETWORK
@OUTPUT
@click.option("--print-dockerfile", is_flag=True, help="Print the Dockerfile; build nothing.")
def command(
    directory: Path,
    registry: str | None,
    tag: str | None,
    builder: BuilderName | None,
    build_network: str | None,
    *,
    push: bool,
    output: str,
    print_dockerfile: bool,
) -> None:
    """Build the image of the workflow in DIR (default: this directory).

    The image gets two names: NAME:VERSION, which moves with each build, and NAME:VERSION-DIGEST, which stays
    with these very sources. The same sources on the same base image give the same image ID. Nothing is
    written into DIR. What the build needs of Docker is the base image denoland/deno:distroless, pulled when
    it is missing. Third-party imports come from node_modules/ and vendor/ of DIR, or are fetched
    (docs/dependencies.md).

    stdout gets the reference for a Deployment on the first line, pinned by digest when the image was pushed.
    With --output json it gets one object: workflow, version, source_digest, reference, tags, image_id,
    builder, pushed, build_ms, publish_ms.

    \b
    Exit codes:
      0  built
      1  the workflow has problems, or the build failed
      2  a flag is wrong
      3  Docker, the base image, a third-party import or the registry can't be reached, or the registry
         refuses the image
      4  there is no workflow.yaml in DIR

    \b
    Examples:
      pdwatch build ~/workflows/hello
      pdwatch build --registry ghcr.io/me --push
      pdwatch build --tag ghcr.io/me/hello:nightly --push -o json | jq -r .reference
    """  # noqa: D301  # click's mark is the character, not the letters
    from pdwatch.cli.defaults import with_defaults  # noqa: PLC0415  # `--help` needs no settings

    flags = {"registry": registry, "builder": builder, "build_network": build_network}
    given = with_defaults(flags, directory=directory)
    registry = given["registry"]
    if push and registry is None and not (tag and "/" in tag):
        raise click.UsageError(
            "--push needs to know where to: add --registry HOST[/PATH], or --tag with a whole reference."
        )
    built = _build(
        directory,
        registry,
        tag,
        how=given["builder"],
        network=given["build_network"],
        push=push,
        output=output,
        show=print_dockerfile,
    )
    sys.exit(asyncio.run(built))


async def _build(
    directory: Path,
    registry: str | None,
    tag: str | None,
    *,
    how: BuilderName,
    network: str | None,
    push: bool,
    output: str,
    show: bool,
) -> ExitCode:
    # Loaded on use: `--help` needs no aiohttp.
    from pdwatch.adapters.engine import engine_recipe  # noqa: PLC0415
    from pdwatch.adapters.files import FileSource  # noqa: PLC0415

    snapshot = await FileSource(recipe=engine_recipe()).scan(directory)
    if snapshot.spec is None:
        report_problems(directory, snapshot.problems)
        return ExitCode.FAILED
    image_references(snapshot.spec, snapshot.digest, registry=registry, tag=tag)  # refuses what can't be one
    if show:
        click.echo(dockerfile(snapshot.spec, base=BASE_IMAGE, digest=snapshot.digest), nl=False)
        return ExitCode.OK
    from pdwatch.adapters.docker import docker_ports  # noqa: PLC0415  # a Dockerfile needs none
    from pdwatch.pipeline import image_for  # noqa: PLC0415

    with Progress() as progress:
        async with docker_ports(push=push, builder=how, network=network, report=progress.update) as docker:
            image = await image_for(
                snapshot,
                registry=registry,
                tag=tag,
                builder=docker.builder,
                publisher=docker.publisher,
                reuse=False,
                clock=time.monotonic,
            )
    if output == "json":
        print_json(_as_json(snapshot, image, pushed=push))
    else:
        _print(image, pushed=push)
    return ExitCode.OK


def _as_json(snapshot: SourceSnapshot, image: Image, *, pushed: bool) -> dict[str, Any]:
    assert snapshot.spec is not None
    return {
        "workflow": snapshot.name,
        "version": snapshot.spec.version,
        "source_digest": snapshot.digest,
        "reference": str(image.ref),
        "tags": [str(tag) for tag in image.tags],
        "image_id": image.id,
        "builder": image.builder,
        "pushed": pushed,
        "build_ms": round(image.build_s * 1000),
        "publish_ms": round(image.publish_s * 1000),
    }


def _print(image: Image, *, pushed: bool) -> None:
    click.echo(str(image.ref))
    rows = {
        "tags": ", ".join(map(str, image.tags)),
        "image ID": image.id,
        "built": f"in {image.build_s:.1f} s ({image.builder})",
        **({"pushed": f"in {image.publish_s:.1f} s"} if pushed else {}),
    }
    for name, value in rows.items():
        click.echo(f"  {name:8}  {value}")
