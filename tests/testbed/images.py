"""The images that every testbed starts with, as one archive for ``docker load``; same inputs, same image IDs.

``denoland/deno:distroless`` is a stand-in with the entry point, paths and environment of the real one, made
of the deno binary of PyPI's package, Debian's C library, tini and certificates. There is no shell in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tests.testbed.errors import PrerequisiteMissingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BASE_IMAGE = "denoland/deno:distroless"
PAUSE_IMAGE = "testbed/pause:1"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_EPOCH = "1970-01-01T00:00:00Z"
_PASSWD = """\
root:x:0:0:root:/root:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
"""
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SSL_CERT_FILE": f"/{_CERTIFICATES}",
    "DENO_DIR": "/deno-dir/",
    "DENO_INSTALL_ROOT": "/usr/local",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image of a single layer."""

    tag: str
    files: Mapping[str, bytes]
    """Content by path without a leading slash; all may read and execute it."""
    entrypoint: Sequence[str]
    command: Sequence[str] = ()
    environment: Mapping[str, str]


def layer(image: Image) -> bytes:
    """Return the layer as a tar: ``/tmp`` and the files, sorted, owned by root, with no times in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tmp = tarfile.TarInfo("tmp")
        tmp.type, tmp.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(tmp)
        for path, content in sorted(image.files.items()):
            _add(tar, path, content)
    return buffer.getvalue()


def config(image: Image, diff_id: str) -> bytes:
    """Return the configuration, as the OCI image specification has it."""
    document = {
        "architecture": _ARCHITECTURES[platform.machine()],
        "os": "linux",
        "created": _EPOCH,
        "config": {
            "Env": [f"{name}={value}" for name, value in image.environment.items()],
            "Entrypoint": list(image.entrypoint),
            "Cmd": list(image.command),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        "history": [{"created": _EPOCH, "created_by": "tests/testbed/images.py"}],
    }
    return json.dumps(document).encode()


def write_archive(target: Path, images: Iterable[Image]) -> None:
    """Write the images as ``docker save`` would."""
    manifest = []
    with tarfile.open(target, "w") as tar:
        for image in images:
            content = layer(image)
            diff_id = hashlib.sha256(content).hexdigest()
            description = config(image, diff_id)
            names = {
                "Config": f"{hashlib.sha256(description).hexdigest()}.json",
                "Layers": [f"{diff_id}.tar"],
            }
            _add(tar, f"{diff_id}.tar", content)
            _add(tar, str(names["Config"]), description)
            manifest.append(names | {"RepoTags": [image.tag]})
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def pause_image(program: Path) -> Image:
    """Return the image of the container that holds a pod's namespaces."""
    return Image(
        tag=PAUSE_IMAGE, files={"pause": program.read_bytes()}, entrypoint=["/pause"], environment={}
    )


def base_image(debian: Path) -> Image:
    """Return the stand-in, of the deno beside this Python and of Debian's packages in a root directory.

    Raises:
        PrerequisiteMissingError: This Python's environment has no deno.
    """
    deno = Path(sys.executable).with_name("deno")
    if not deno.exists():
        raise PrerequisiteMissingError(
            f"There is no deno beside {sys.executable}.",
            remedy="Use the environment that `make test` sets up.",
        )
    certificates = sorted((debian / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    return Image(
        tag=BASE_IMAGE,
        files={
            "bin/deno": deno.read_bytes(),
            "tini": (debian / "usr/bin/tini-static").read_bytes(),
            "etc/passwd": _PASSWD.encode(),
            "etc/group": b"root:x:0:\nnonroot:x:65532:\n",
            _CERTIFICATES: b"".join(path.read_bytes() for path in certificates),
            **{library: (debian / library).read_bytes() for library in _libraries(deno)},
        },
        entrypoint=["/tini", "--", "/bin/deno"],
        command=["eval", "console.log('Welcome to Deno!')"],
        environment=_ENVIRONMENT | {"DENO_VERSION": version("deno")},
    )


def _add(tar: tarfile.TarFile, path: str, content: bytes) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), 0o755
    tar.addfile(entry, io.BytesIO(content))


def _libraries(program: Path) -> list[str]:
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"/(\S+) \(0x", listing)
