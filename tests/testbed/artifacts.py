"""What the testbed is made of: two directories in the cache, each named after the recipe that made it.

Neither depends on what is installed on the machine, so a cache can be kept, or carried to another one.
"""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.testbed import kubernetes_source, packages
from tests.testbed.cache import cached, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_DAEMONS = ("docker.io", "containerd", "runc", "runsc", "docker-registry", "etcd-server")
_FOR_PODS = ("containernetworking-plugins", "ca-certificates", "tini")
_PROGRAMS = ("kubernetes-client", "openssl")
_CALLED_BY_KUBELET = ("iproute2", "mount", "socat", "util-linux")
_CALLED_BY_SCRIPTS = ("coreutils", "dash", "grep", "sed")
PACKAGES = (*_DAEMONS, *_FOR_PODS, *_PROGRAMS, *_CALLED_BY_KUBELET, *_CALLED_BY_SCRIPTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """Root directories in the cache."""

    debian: Path
    """Debian's packages."""
    kubernetes: Path
    """Kubernetes' programs and ``/pause``."""


def prepare(cache: Path, progress: Callable[[str], None]) -> Artifacts:
    """Return the artifacts, made first where they are not in the cache.

    Raises:
        PrerequisiteMissingError: They can't be made on this machine.
        TestbedError: Making them failed.
    """
    machine = (platform.machine(), packages.CODENAME)

    def fetch_debian(target: Path) -> None:
        packages.require_debian()
        progress("Fetching Docker, gVisor, etcd and their kin from Debian (130 MB)")
        apt = packages.Apt(target / "apt")
        apt.prepare()
        packages.unpack(apt.fetch(PACKAGES), target)
        shutil.rmtree(apt.directory)

    def build_kubernetes(target: Path) -> None:
        packages.require_debian()
        kubernetes_source.build(target, progress)

    debian = f"debian-{fingerprint(machine, PACKAGES)}"
    kubernetes = f"kubernetes-{kubernetes_source.VERSION}-{fingerprint(machine, kubernetes_source.recipe())}"
    return Artifacts(
        debian=cached(cache, debian, fetch_debian), kubernetes=cached(cache, kubernetes, build_kubernetes)
    )
