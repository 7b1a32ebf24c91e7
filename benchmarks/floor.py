"""The floor: the fewest requests that could bring a save to the cluster, sent raw, with everything ready."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.workflows import NODE
from pdwatch.core.image import parse_reference
from pdwatch.core.manifests import deployment
from pdwatch.core.names import IMAGE_WORKFLOW_LABEL

if TYPE_CHECKING:
    from benchmarks.apiserver import Object
    from benchmarks.ground import Ground
    from pdwatch.core.model import WorkflowSpec

_NODE_PATH = "app/nodes/number.ts"
_LAYER = "layer.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An image that Docker has but for its last layer, and the Deployment that runs it."""

    archive: bytes
    manifest: Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """When each step of one sample ended, in seconds since the epoch."""

    began: float
    loaded: float
    patched: float
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorImage:
    """An image that pdwatch built, as what others are made of that differ in their last layer alone."""

    config: Object
    layer: bytes

    @classmethod
    async def of(cls, ground: Ground, reference: str) -> FloorImage:
        """Fetch an image's configuration and last layer."""
        path = ground.scratch / "image.tar"
        await ground.docker.save(reference, path)
        with tarfile.open(path) as tar:
            manifest = json.loads(_content(tar, "manifest.json"))[0]
            image = cls(
                config=json.loads(_content(tar, manifest["Config"])),
                layer=_content(tar, manifest["Layers"][-1]),
            )
        path.unlink()
        return image

    def ready(self, number: int, *, name: str, spec: WorkflowSpec, namespace: str) -> Ready:
        """Return archive and Deployment, both called ``name``, of the image whose node says ``number``.

        The archive has the last layer alone: Docker has the lower ones already.
        """
        layer = _with_node(self.layer, NODE.format(number=number).encode())
        diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
        *lower, _ = self.config["rootfs"]["diff_ids"]
        rootfs = {**self.config["rootfs"], "diff_ids": [*lower, diff_id]}
        run = self.config["config"]
        labels = {**run["Labels"], IMAGE_WORKFLOW_LABEL: name}  # pdwatch prunes what is labelled as its own
        config = json.dumps({**self.config, "config": {**run, "Labels": labels}, "rootfs": rootfs}).encode()
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        reference = parse_reference(f"{name}:{number}")
        assert reference is not None
        layers = [f"{place}.tar" for place in range(len(lower))]
        entry = {"Config": config_name, "RepoTags": [str(reference)], "Layers": [*layers, _LAYER]}
        files = {config_name: config, _LAYER: layer, "manifest.json": json.dumps([entry]).encode()}
        manifest = deployment(replace(spec, name=name), digest=diff_id, image=reference, namespace=namespace)
        return Ready(archive=_archive(files), manifest=manifest)


async def bring(ground: Ground, ready: Ready) -> Applied:
    """Send the two requests: load the layer, apply the Deployment."""
    began = time.time()
    await ground.docker.load(ready.archive)
    loaded = time.time()
    applied = await ground.kube.apply(ready.manifest)
    patched = time.time()
    generation = applied["metadata"]["generation"]
    return Applied(began=began, loaded=loaded, patched=patched, generation=generation)


def _with_node(layer: bytes, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(layer)) as old, tarfile.open(fileobj=buffer, mode="w") as new:
        for member in old:
            if member.name.removeprefix("./") == _NODE_PATH:
                member.size = len(content)
                new.addfile(member, io.BytesIO(content))
            else:
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return buffer.getvalue()


def _archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, f"{name} is a file"
    return file.read()
