"""An image's configuration in a form that depends on its content alone, so that equal images have equal IDs.

An image's ID is the digest of its configuration (OCI image spec). Docker's builders put the time of the build
and words of their own into it; the layers are the same each time. So the configuration is written anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

EPOCH = "1970-01-01T00:00:00Z"
EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
"""The diff ID of a layer without entries: 1,024 zero bytes."""

_RUN_FIELDS = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
)
"""The fields of ``config`` that the OCI image spec knows."""
_PLATFORM_FIELDS = {"Architecture": "architecture", "Os": "os", "Variant": "variant"}
METADATA_INSTRUCTIONS = ("LABEL", "ENV", "USER", "EXPOSE", "ENTRYPOINT", "CMD")
"""Instructions that never make a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """A configuration as it is stored; ``id`` is the image's ID."""

    content: bytes
    layers: tuple[str, ...]

    @property
    def id(self) -> str:
        """``sha256:<64 hex>``."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedImage:
    """What an archive for ``POST /images/load`` says of one of its images."""

    config: ImageConfig
    references: tuple[str, ...]
    layer: str | None = None
    """What the file of the topmost layer is called; None for the name that its position gives it."""


def normal_config(
    built: Mapping[str, Any],
    *,
    base: Mapping[str, Any],
    dockerfile: str,
    without_labels: Collection[str] = (),
) -> ImageConfig | None:
    """Return the configuration of an image that was just built, in its normal form.

    Args:
        built: What the Engine API's ``GET /images/{name}/json`` says of the image,
        base: and of its base image.
        dockerfile: What it was built from.
        without_labels: Labels to leave out.

    Returns:
        None when the image is not the base image with the Dockerfile's layers on top.
    """
    layers = tuple(built["RootFS"]["Layers"])
    below = tuple(base["RootFS"]["Layers"])
    if layers[: len(below)] != below:
        return None
    history = list(_history(dockerfile, below=len(below), above=layers[len(below) :]))
    if sum(not entry.get("empty_layer", False) for entry in history) != len(layers):
        return None
    run = {name: built["Config"][name] for name in _RUN_FIELDS if built["Config"].get(name)}
    run["Labels"] = {key: value for key, value in run.get("Labels", {}).items() if key not in without_labels}
    config = {
        **{name: built[key] for key, name in _PLATFORM_FIELDS.items() if built.get(key)},
        "created": EPOCH,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": layers},
        "history": history,
    }
    return ImageConfig(
        content=json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(),
        layers=layers,
    )


def with_layer(
    parent: Mapping[str, Any], *, layer: str, entrypoint: Sequence[str], labels: Mapping[str, str]
) -> Mapping[str, Any]:
    """Return what Docker says of an image that a Dockerfile builds on ``parent``; see :func:`normal_config`.

    Args:
        parent: What the Engine API says of the parent image.
        layer: The diff ID of the one layer on top.
        entrypoint: See ENTRYPOINT, which resets the parent's CMD.
        labels: Win over the parent's.
    """
    config = parent["Config"]
    return {
        **parent,
        "Config": {
            **config,
            "Entrypoint": list(entrypoint),
            "Cmd": None,
            "Labels": {**(config.get("Labels") or {}), **labels},
        },
        "RootFS": {**parent["RootFS"], "Layers": [*parent["RootFS"]["Layers"], layer]},
    }


def archive_manifest(images: Iterable[ArchivedImage]) -> bytes:
    """Return ``manifest.json`` of an archive for ``POST /images/load`` that registers these images.

    The archive holds ``<hex of the ID>.json`` of each besides; a layer that the daemon has need not be in it.
    """
    return json.dumps([_manifest_entry(image) for image in images]).encode()


def _manifest_entry(image: ArchivedImage) -> Mapping[str, Any]:
    layers = [archive_layer_name(position) for position in range(len(image.config.layers))]
    return {
        "Config": archive_config_name(image.config),
        "RepoTags": image.references,
        "Layers": layers if image.layer is None else [*layers[:-1], image.layer],
    }


def archive_layer_name(position: int) -> str:
    """Return what a layer's file is called in an archive for ``POST /images/load``; the lowest is at 0."""
    return f"{position}/layer.tar"


def archive_config_name(config: ImageConfig) -> str:
    """Return what the configuration's file is called in an archive for ``POST /images/load``."""
    return f"{config.id.removeprefix('sha256:')}.json"


def _history(dockerfile: str, *, below: int, above: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield one entry for each layer of the base image, and one for each further instruction.

    Whether WORKDIR made a layer depends on the builder; if so, it has no entries.
    """
    base, *instructions = [line for line in dockerfile.splitlines() if line]
    for _ in range(below):
        yield {"created": EPOCH, "created_by": base}
    remaining = list(above)
    for line in instructions:
        word = line.partition(" ")[0]
        layerless = word in METADATA_INSTRUCTIONS or (word == "WORKDIR" and remaining[:1] != [EMPTY_LAYER])
        if not layerless:
            remaining = remaining[1:]
        yield {"created": EPOCH, "created_by": line, **({"empty_layer": True} if layerless else {})}
