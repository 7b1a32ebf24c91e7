"""What every part measures on: the testbed, and what is removed again whatever happens."""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import apiserver, dockerd
from pdwatch.core.names import IMAGE_WORKFLOW_LABEL
from tests.e2e.daemon import running_daemon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from benchmarks.apiserver import ApiServer
    from benchmarks.dockerd import Dockerd
    from tests.e2e.daemon import Daemon
    from tests.testbed.client import Testbed

_NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata: {{name: {name}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: default, namespace: {name}}}
automountServiceAccountToken: false
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The testbed, open connections to it, and a scratch directory."""

    testbed: Testbed
    kube: ApiServer
    docker: Dockerd
    scratch: Path
    prefix: str = field(default_factory=lambda: f"bench-{secrets.token_hex(3)}")
    """Begins the name of every namespace, workflow and image of this run."""
    began: float = field(default_factory=time.monotonic)

    def tell(self, step: str) -> None:
        """Show how far the run has come."""
        print(f"{time.monotonic() - self.began:7.1f} s  {step}", file=sys.stderr, flush=True)

    @asynccontextmanager
    async def namespaces(self, *names: str) -> AsyncIterator[list[str]]:
        """Make namespaces, and wait for their end afterwards, so that it costs what comes next nothing."""
        full = [f"{self.prefix}-{name}" for name in names]
        manifests = "---\n".join(_NAMESPACE.format(name=name) for name in full)
        await self.testbed.kubectl("apply", "--server-side", "--filename=-", document=manifests)
        try:
            yield full
        finally:
            self.tell(f"Removing {' and '.join(full)}")
            await self.testbed.kubectl("delete", "namespaces", *full)

    @property
    def environment(self) -> Mapping[str, str]:
        """What leads pdwatch to the testbed, and keeps it from touching the state of whoever runs this."""
        return {
            **self.testbed.variables,
            "XDG_STATE_HOME": str(self.scratch / "state"),
            "XDG_RUNTIME_DIR": str(self.scratch),
        }

    @asynccontextmanager
    async def daemon(
        self,
        root: Path,
        namespace: str,
        *options: str,
        level: str = "info",
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Daemon]:
        """Run ``pdwatch run`` on ``root`` and stop it at the end."""
        arguments: tuple[str | Path, ...] = (root, f"--namespace={namespace}", *options)
        variables = {**self.environment, **(environment or {})}
        async with running_daemon(*arguments, environment=variables, log_level=level) as daemon:
            yield daemon
            await daemon.stop()

    async def remove_images(self) -> None:
        """Remove every image of this run."""
        self.tell(f"Removed {await self.docker.remove_images(self.prefix)} images")


@asynccontextmanager
async def prepared(testbed: Testbed) -> AsyncIterator[Ground]:
    """Connect to the testbed; remove images and files afterwards."""
    async with (
        apiserver.connected(testbed.kubeconfig) as kube,
        dockerd.connected(testbed.docker_host) as docker,
    ):
        with tempfile.TemporaryDirectory(prefix="pdwatch-bench-") as scratch:
            ground = Ground(testbed=testbed, kube=kube, docker=docker, scratch=Path(scratch))
            try:
                yield ground
            finally:
                await ground.remove_images()
                await docker.sweep(IMAGE_WORKFLOW_LABEL)


async def synced(daemon: Daemon, *, since: int = 0) -> None:
    """Wait until a daemon has looked at everything once, for as long as its log goes on."""
    while True:
        lines = daemon.mark
        try:
            await daemon.until("daemon.synced", since=since)
        except TimeoutError:
            if daemon.mark == lines:
                raise
        else:
            return
