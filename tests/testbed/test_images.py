"""The archive of images for ``docker load``."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from tests.testbed.images import Image, config, layer, write_archive

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = Image(
    tag="example/tool:1",
    files={"etc/b": b"second", "bin/a": b"first"},
    entrypoint=["/bin/a"],
    environment={"PATH": "/bin"},
)


def read(archive: Path) -> tuple[Any, dict[str, bytes]]:
    with tarfile.open(archive) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    return json.loads(files["manifest.json"]), files


def test_a_layer_says_nothing_of_when_or_where_it_was_made():
    with tarfile.open(fileobj=io.BytesIO(layer(IMAGE))) as tar:
        entries = tar.getmembers()

    assert [entry.name for entry in entries] == ["tmp", "bin/a", "etc/b"]
    assert {(entry.mtime, entry.uid, entry.gid, entry.uname) for entry in entries} == {(0, 0, 0, "")}


def test_the_configuration_names_the_layer_and_what_to_run():
    document = json.loads(config(IMAGE, "abc"))

    assert document["rootfs"]["diff_ids"] == ["sha256:abc"]
    assert document["config"] == {"Env": ["PATH=/bin"], "Entrypoint": ["/bin/a"], "Cmd": []}


def test_an_archive_holds_every_image_under_its_digests(tmp_path: Path):
    write_archive(tmp_path / "images.tar", [IMAGE])

    [image], files = read(tmp_path / "images.tar")
    assert image["RepoTags"] == ["example/tool:1"]
    [layer_name], config_name = image["Layers"], image["Config"]
    assert layer_name == f"{hashlib.sha256(files[layer_name]).hexdigest()}.tar"
    assert config_name == f"{hashlib.sha256(files[config_name]).hexdigest()}.json"
