"""``pdwatch prune``: images of workflows that are needed no longer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.console import print_json
from pdwatch.cli.options import CONTEXT, OUTPUT, NamespaceType
from pdwatch.core.retention import KEPT_IMAGES, Pruned, orphaned, surplus
from pdwatch.core.suggestion import did_you_mean
from pdwatch.errors import ForbiddenError, NotFoundError
from pdwatch.paths import is_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdwatch.core.retention import Ingredient, ListedImage, Removal
    from pdwatch.ports import ImageStore

_LISTED = 10
"""So many names are listed as what there is."""
_UNITS = ("B", "kB", "MB", "GB")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flags:
    directories: Sequence[Path]
    names: Sequence[str]
    keep: int
    namespace: str | None
    context: str | None
    dry_run: bool
    output: str


@click.command(name="prune")
@click.argument("targets", metavar="[DIR|NAME]...", nargs=-1)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=KEPT_IMAGES,
    show_default=True,
    help="How many images of each workflow stay.",
)
@click.option(
    "-n", "--namespace", type=NamespaceType(), help="Where to look, if not all namespaces may be seen."
)
@CONTEXT
@click.option("--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
@OUTPUT
def command(targets: Sequence[str], **flags: Any) -> None:
    """Remove old images of workflows from Docker.

    Of each workflow NAME, of each workflow in DIR, or without either of every workflow, the newest --keep
    images stay, besides those that a container runs, and those that a ReplicaSet in the cluster still names,
    so that `pdwatch rollback` finds them. Names that others gave an image stay, and the image with them. What
    has been pushed to a registry stays there. Without NAME and DIR, images of third-party code and parent
    images go too that no workflow's image is made of. `pdwatch run` does the same by itself after a rollout.

    With --output json stdout gets one object: removed (a list of workflow, id and references), unused (a list
    of id and references), count and bytes (both null with --dry-run).

    \b
    Exit codes:
      0  done, also when there was nothing to remove
      2  a flag is wrong, or there is no usable kubeconfig
      3  Docker or the API server can't be reached
      4  there are no images of a workflow NAME

    \b
    Examples:
      pdwatch prune --dry-run
      pdwatch prune hello --keep 1
      pdwatch prune ~/workflows
    """  # noqa: D301  # click's mark is the character, not the letters
    from pdwatch.cli.defaults import with_defaults  # noqa: PLC0415  # `--help` needs no settings

    flags = with_defaults(flags)
    directories = [Path(target) for target in targets if is_directory(Path(target))]
    names = [target for target in targets if not is_directory(Path(target))]
    asyncio.run(_prune(_Flags(directories=directories, names=names, **flags)))


async def _prune(flags: _Flags) -> None:
    # Loaded on use: `--help` needs no aiohttp.
    from pdwatch.adapters.docker.api import connect  # noqa: PLC0415
    from pdwatch.adapters.docker.prune import DockerImageStore  # noqa: PLC0415

    async with connect() as docker:
        store = DockerImageStore(docker)
        chosen = await store.images(await _chosen(await store.listed(), flags))
        in_use = await store.running() | await _remembered(flags)
        # Whoever asks for it now does not mean what is ten minutes old.
        removals = surplus(chosen, in_use=in_use, keep=flags.keep, now=datetime.now(UTC), grace=timedelta(0))
        everything = not flags.directories and not flags.names
        unused = await store.unused(in_use=in_use) if everything else ()
        pruned = None
        if not flags.dry_run:
            pruned, orphans = await _remove(store, removals, unused)
            unused = (*unused, *orphans)
    _print(removals, unused, pruned, flags)


async def _remove(
    store: ImageStore, removals: Sequence[Removal], unused: Sequence[Ingredient]
) -> tuple[Pruned, Sequence[Ingredient]]:
    """Remove what goes, and what was made for it alone; return the latter besides."""
    left = await store.remove_ingredients(unused)
    gone = await store.remove(removals)
    orphans = orphaned(await store.unused(), gone.made_of) if gone.count else ()
    made_of = await store.remove_ingredients(orphans)
    steps = (left, gone, made_of)
    return Pruned(count=sum(each.count for each in steps), bytes=sum(each.bytes for each in steps)), orphans


async def _chosen(images: Sequence[ListedImage], flags: _Flags) -> Sequence[ListedImage]:
    """Return the images of the workflows that are meant."""
    from pdwatch.adapters.engine import engine_recipe  # noqa: PLC0415
    from pdwatch.adapters.files import FileSource  # noqa: PLC0415

    if not flags.directories and not flags.names:
        return images
    known = {image.workflow for image in images}
    for name in flags.names:
        if name not in known:
            raise NotFoundError(
                f"Docker has no images of a workflow {name}{did_you_mean(name, sorted(known))}",
                remedy=f"there are some of: {_listed(sorted(known))}" if known else None,
            )
    source = FileSource(recipe=engine_recipe())
    roots = await source.discover(flags.directories)
    names = {*flags.names, *[(await source.scan(root)).name for root in roots]}
    return [image for image in images if image.workflow in names]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


async def _remembered(flags: _Flags) -> frozenset[str]:
    """Return the images that ReplicaSets name, in one namespace where not all may be seen."""
    from pdwatch.adapters.kubernetes.connection import connect  # noqa: PLC0415
    from pdwatch.adapters.kubernetes.deployments import remembered_images  # noqa: PLC0415

    async with connect(context=flags.context) as api:
        try:
            return await remembered_images(api, namespace=None)
        except ForbiddenError:
            namespace = flags.namespace or api.namespace
            click.echo(f"only what namespace {namespace} still names is kept besides", err=True)
            return await remembered_images(api, namespace=namespace)


def _print(
    removals: Sequence[Removal], unused: Sequence[Ingredient], pruned: Pruned | None, flags: _Flags
) -> None:
    if flags.output == "json":
        removed = [
            {"workflow": each.image.workflow, "id": each.image.id, "references": each.references}
            for each in removals
        ]
        count, size = (pruned.count, pruned.bytes) if pruned else (None, None)
        ingredients = [{"id": each.id, "references": each.references} for each in unused]
        print_json({"removed": removed, "unused": ingredients, "count": count, "bytes": size})
        return
    verb = "would remove" if flags.dry_run else "removed"
    for each in removals:
        click.echo(f"{verb} {', '.join(each.references) or f'{each.image.id} of {each.image.workflow}'}")
    for ingredient in unused:
        click.echo(f"{verb} {', '.join(ingredient.references) or ingredient.id}, which no image is made of")
    if pruned is None or not (removals or unused):
        click.echo("nothing was removed" if removals or unused else "there is nothing to remove")
    else:
        images = "1 image is" if pruned.count == 1 else f"{pruned.count} images are"
        click.echo(f"{images} gone, and {_size(pruned.bytes)} with them")


def _size(count: float) -> str:
    """Write a number of bytes as Docker does."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:  # noqa: PLR2004  # SI
            break
        count /= 1000
    return f"{count:.3g} {unit}"
