"""The images that every testbed starts with, as one archive for ``docker load``; the same inputs give the same IDs.

``denoland/deno:distroless`` is a stand-in with the same entry point, paths and environment as the real one,
made of the deno binary of PyPI's package, Debian's C library, tini and certificates. There is no shell in it.
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
    from collections.abc import Mapping, Sequence

BASE_IMAGE = "denoland/deno:distroless"
PAUSE_IMAGE = "testbed/pause:1"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PASSWD = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
_GROUP = "root:x:0:\nnonroot:x:65532:\n"
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    "DENO_DIR": "/deno-dir/",
    "DENO_INSTALL_ROOT": "/usr/local",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of a single layer."""

    tag: str
    files: Mapping[str, bytes]
    """Content by path without a leading slash; everything may be read and executed by all."""
    entrypoint: Sequence[str]
    command: Sequence[str] = ()
    environment: Mapping[str, str]
    directories: Sequence[str] = ()


def layer(image: Image) -> bytes:
    """Return the layer as a tar, sorted, owned by root, with no times in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for directory in image.directories:
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
        for path, content in sorted(image.files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def config(image: Image, diff_id: str) -> bytes:
    """Return the image's configuration, as the OCI image specification has it."""
    document = {
        "architecture": _ARCHITECTURES[platform.machine()],
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Env": [f"{name}={value}" for name, value in image.environment.items()],
            "Entrypoint": list(image.entrypoint),
            "Cmd": list(image.command),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "tests/testbed/images.py"}],
    }
    return json.dumps(document).encode()


def recipe() -> object:
    """Return what the archive depends on besides the Debian and Kubernetes artifacts, as JSON."""
    return [version("deno"), Path(__file__).read_text()]


def write_archive(target: Path, *, debian: Path, pause: Path) -> None:
    """Write the archive.

    Args:
        target: The file to write.
        debian: The root directory with Debian's packages.
        pause: The program that holds a pod's namespaces.
    """
    manifest = []
    with tarfile.open(target, "w") as tar:

        def add(name: str, content: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))

        for image in (_base(debian), _pause(pause)):
            content = layer(image)
            diff_id = hashlib.sha256(content).hexdigest()
            description = config(image, diff_id)
            image_id = hashlib.sha256(description).hexdigest()
            add(f"{diff_id}/layer.tar", content)
            add(f"{image_id}.json", description)
            manifest.append(
                {"Config": f"{image_id}.json", "RepoTags": [image.tag], "Layers": [f"{diff_id}/layer.tar"]}
            )
        add("manifest.json", json.dumps(manifest).encode())


def _pause(program: Path) -> Image:
    return Image(
        tag=PAUSE_IMAGE, files={"pause": program.read_bytes()}, entrypoint=["/pause"], environment={}
    )


def _base(debian: Path) -> Image:
    deno = Path(sys.executable).with_name("deno")
    if not deno.exists():
        raise PrerequisiteMissingError(
            f"There is no deno beside {sys.executable}.",
            remedy="Install the test dependencies: `make test` does.",
        )
    certificates = sorted((debian / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    files = {
        "bin/deno": deno.read_bytes(),
        "tini": (debian / "usr/bin/tini-static").read_bytes(),
        "etc/passwd": _PASSWD.encode(),
        "etc/group": _GROUP.encode(),
        "etc/ssl/certs/ca-certificates.crt": b"".join(path.read_bytes() for path in certificates),
    }
    files |= {
        library.lstrip("/"): (debian / library.lstrip("/")).read_bytes() for library in _libraries(deno)
    }
    return Image(
        tag=BASE_IMAGE,
        files=files,
        directories=["tmp"],
        entrypoint=["/tini", "--", "/bin/deno"],
        command=["eval", "console.log('Welcome to Deno!')"],
        environment=_ENVIRONMENT | {"DENO_VERSION": version("deno")},
    )


def _libraries(program: Path) -> list[str]:
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", listing)
