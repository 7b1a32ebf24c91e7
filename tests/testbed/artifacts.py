"""What the testbed is made of: three directories in the cache, each named after the recipe that made it.

None of them depends on what is installed on the machine, so a cache can be kept, or carried to another one.
"""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.testbed import images, kubernetes_source, packages
from tests.testbed.cache import cached, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGES = (
    *("docker.io", "containerd", "runc", "runsc", "containernetworking-plugins", "docker-registry"),
    *("etcd-server", "kubernetes-client", "socat", "tini", "openssl", "ca-certificates"),
    *(
        "coreutils",
        "dash",
        "grep",
        "iproute2",
        "mount",
        "sed",
        "util-linux",
    ),  # what kubelet and the scripts call
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """Paths in the cache."""

    debian: Path
    """A root directory with the Debian packages."""
    kubernetes: Path
    """A root directory with the compiled programs."""
    images: Path
    """An archive for ``docker load``: the base image and pause."""


def prepare(cache: Path, progress: Callable[[str], None]) -> Artifacts:
    """Return the artifacts, made first where they are not in the cache."""
    machine = (platform.machine(), packages.CODENAME)

    def build_debian(target: Path) -> None:
        packages.require_debian()
        progress("Fetching Docker, gVisor, etcd and their kin from Debian (130 MB)")
        apt = packages.Apt(target / "apt")
        apt.prepare()
        packages.unpack(apt.fetch(_PACKAGES), target)
        shutil.rmtree(apt.directory)

    def build_kubernetes(target: Path) -> None:
        packages.require_debian()
        kubernetes_source.build(target, progress)

    debian = cached(cache, f"debian-{fingerprint(machine, _PACKAGES)}", build_debian)
    recipe = fingerprint(machine, kubernetes_source.recipe())
    kubernetes = cached(cache, f"kubernetes-{kubernetes_source.VERSION}-{recipe}", build_kubernetes)

    def build_images(target: Path) -> None:
        progress("Making the base image from PyPI's Deno")
        images.write_archive(target / "images.tar", debian=debian, pause=kubernetes / "pause")

    inputs = fingerprint(debian.name, kubernetes.name, images.recipe())
    return Artifacts(
        debian=debian,
        kubernetes=kubernetes,
        images=cached(cache, f"images-{inputs}", build_images) / "images.tar",
    )
