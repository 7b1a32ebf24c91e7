"""The parent image of workflows' images: the base image with engine and third-party code, without sources.

A save adds one layer to it. Its digest is made of all that decides its content, so that another base image,
another engine or other dependencies have another parent.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pdwatch.core.build_context import ContextFile, identity
from pdwatch.core.dockerfile import ENGINE_TREE, SOURCES_TREE
from pdwatch.core.image import parse_reference
from pdwatch.core.names import IMAGE_PARENT_LABEL
from pdwatch.core.tar_header import DIALECTS, END, PLAIN, header, padded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdwatch.core.build_context import ContextEntry
    from pdwatch.core.model import ImageRef
    from pdwatch.core.tar_header import TarDialect

PARENT_REPOSITORY = "pdwatch-parent"
_DIGITS = 12


def split_sources(
    context: Iterable[ContextEntry],
) -> tuple[tuple[ContextEntry, ...], tuple[ContextEntry, ...]]:
    """Take the sources out of a build context.

    Returns:
        The context of the parent image, and the entries of the layer that a save costs.
    """
    below, sources = [], []
    for entry in context:
        tree, _, path = entry.path.partition("/")
        if tree != SOURCES_TREE:
            below.append(entry)
        elif path:
            sources.append(replace(entry, path=path))
    return tuple(below), tuple(sources)


def parent_digest(context: Iterable[ContextEntry], *, base: Mapping[str, Any], dockerfile: str) -> str:
    """Return ``sha256:<64 hex>`` over all that decides what is in a parent image.

    Args:
        context: Its build context.
        base: What the Engine API says of the base image.
        dockerfile: What it is built from, without the label that carries the digest.
    """
    key = [base["Id"], dockerfile, [identity(entry) for entry in context]]
    return f"sha256:{hashlib.sha256(json.dumps(key).encode()).hexdigest()}"


def parent_reference(digest: str) -> ImageRef:
    """Return the name of the parent image of ``digest``."""
    reference = parse_reference(f"{PARENT_REPOSITORY}:{digest.removeprefix('sha256:')[:_DIGITS]}")
    assert reference is not None, "the name is pdwatch's own"
    return reference


def is_parent(image: Mapping[str, Any] | None, digest: str, *, base: Mapping[str, Any]) -> bool:
    """Tell whether an image is what ``digest`` stands for, by its label and the lower part of its layers."""
    if image is None or (image["Config"].get("Labels") or {}).get(IMAGE_PARENT_LABEL) != digest:
        return False
    below = base["RootFS"]["Layers"]
    return bool(image["RootFS"]["Layers"][: len(below)] == below)


def dialect_of(image: Mapping[str, Any], context: Iterable[ContextEntry]) -> TarDialect:
    """Return the dialect that Docker wrote an image's layers in, told by the layer of the engine.

    Where none makes this layer, the sources' layer holds the same as Docker's, under another diff ID.
    """
    prefix = f"{ENGINE_TREE}/"
    engine = [
        replace(entry, path=entry.path.removeprefix(prefix))
        for entry in context
        if entry.path.startswith(prefix)
    ]
    layers = set(image["RootFS"]["Layers"])
    return next((each for each in DIALECTS if _diff_id(engine, each) in layers), PLAIN)


def _diff_id(entries: Iterable[ContextEntry], dialect: TarDialect) -> str:
    archive = hashlib.sha256()
    for entry in entries:
        archive.update(header(entry, dialect))
        if isinstance(entry, ContextFile):
            assert isinstance(entry.content, bytes), "the engine is pdwatch's own"
            archive.update(entry.content.ljust(padded(entry.size), b"\0"))
    archive.update(END)
    return f"sha256:{archive.hexdigest()}"
