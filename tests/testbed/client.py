"""A testbed as its users see it: the same value for one of ours and for a cluster that was there before."""

from __future__ import annotations

import asyncio
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.testbed.errors import PrerequisiteMissingError, TestbedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.testbed.instance import Instance
    from tests.testbed.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Testbed:
    """How to reach Docker, the registry and Kubernetes."""

    __test__ = False

    kubeconfig: Path
    docker_host: str
    registry: str | None
    """``HOST:PORT`` of a registry that Docker may push to and pull from; None when there is none."""
    path: str
    """PATH with kubectl and docker on it."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead every tool to this testbed."""
        registry = {"PDWATCH_TESTBED_REGISTRY": self.registry} if self.registry else {}
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "DOCKER_HOST": self.docker_host,
            **registry,
            "PATH": self.path,
        }

    async def kubectl(self, *arguments: str, document: str | None = None) -> str:
        """Run kubectl, with ``document`` on its standard input, and return what it prints.

        Raises:
            TestbedError: It failed; the message has its standard error.
        """
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            *arguments,
            env={**os.environ, **self.environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate(document.encode() if document else None)
        if process.returncode:
            raise TestbedError(f"kubectl {shlex.join(arguments)}: {errors.decode().strip()}")
        return output.decode()


def of_instance(layout: Layout, instance: Instance) -> Testbed:
    """Return the testbed that this program has brought up."""
    return Testbed(
        kubeconfig=layout.kubeconfig,
        docker_host=f"unix://{layout.docker_socket}",
        registry=instance.registry,
        path=f"{layout.programs}:{os.environ.get('PATH', os.defpath)}",
    )


def external(environ: Mapping[str, str]) -> Testbed:
    """Return the testbed that the environment names (``PDWATCH_TESTBED=external``); nothing is started.

    Raises:
        PrerequisiteMissingError: ``KUBECONFIG`` is missing.
    """
    if not environ.get("KUBECONFIG"):
        raise PrerequisiteMissingError(
            "PDWATCH_TESTBED=external asks for a cluster that is there already, and KUBECONFIG does not name one.",
            remedy="Set KUBECONFIG to its kubeconfig, and DOCKER_HOST unless Docker is at its usual place.",
        )
    return Testbed(
        kubeconfig=Path(environ["KUBECONFIG"]),
        docker_host=environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
        registry=environ.get("PDWATCH_TESTBED_REGISTRY"),
        path=environ.get("PATH", os.defpath),
    )
