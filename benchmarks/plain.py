"""The loop that a person would write: inotify, ``docker build`` of the same Dockerfile, ``kubectl apply``.

It is given what pdwatch makes (Dockerfile, staged context, manifest), runs Docker's and Kubernetes' own
command lines, as scripts do, and knows nothing of saves that supersede each other, of faults, or of what
runs.
"""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from watchfiles import awatch

from benchmarks.apiserver import FIELD_MANAGER
from benchmarks.workflows import NODE
from pdwatch.adapters.context import tar_chunks
from pdwatch.adapters.dependencies import third_party_code
from pdwatch.adapters.engine import engine_files
from pdwatch.adapters.files import read_verified
from pdwatch.core.build_context import build_context
from pdwatch.core.dockerfile import DOCKERFILE, SOURCES_TREE, dockerfile
from pdwatch.core.image import parse_reference
from pdwatch.core.manifests import deployment
from pdwatch.core.names import BASE_IMAGE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pdwatch.core.model import SourceSnapshot
    from tests.testbed.client import Testbed

_WAIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRun:
    """When the steps of one turn of the loop ended, in seconds since the epoch."""

    built: float
    patched: float
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainLoop:
    """One workflow's staged context, and what is to become of it."""

    testbed: Testbed
    context: Path
    snapshot: SourceSnapshot
    """Its name is that of the Deployment and the image."""
    namespace: str
    runs: asyncio.Queue[PlainRun] = field(default_factory=asyncio.Queue)

    def save(self, number: int) -> float:
        """Write the node; return the time at which writing began."""
        now = time.time()
        (self.context / SOURCES_TREE / "app/nodes/number.ts").write_text(NODE.format(number=number))
        return now

    async def run_once(self) -> PlainRun:
        """Build and apply what is in the context now."""
        image = f"{self.snapshot.name}:{time.time_ns()}"
        build = ("docker", "build", "--quiet", "--file", str(self.context / DOCKERFILE))
        await self.testbed.run("env", "DOCKER_BUILDKIT=1", *build, "--tag", image, str(self.context))
        built = time.time()
        reference = parse_reference(image)
        assert reference is not None
        assert self.snapshot.spec is not None
        spec = self.snapshot.spec
        manifest = deployment(spec, digest=image, image=reference, namespace=self.namespace)
        applied = await self.testbed.kubectl(
            *("apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "--force-conflicts"),
            *("--filename=-", "--output=json"),
            document=json.dumps(manifest),
        )
        patched = time.time()
        generation: int = json.loads(applied)["metadata"]["generation"]
        return PlainRun(built=built, patched=patched, generation=generation)

    async def follow(self) -> None:
        """Build and apply after every save, with watchfiles' own defaults."""
        async for _ in awatch(self.context):
            self.runs.put_nowait(await self.run_once())

    async def next(self) -> PlainRun:
        """Wait for the end of the turn that the last save has led to."""
        async with asyncio.timeout(_WAIT_S):
            return await self.runs.get()


@asynccontextmanager
async def following(loop: PlainLoop) -> AsyncIterator[PlainLoop]:
    """Stage the context and run the loop meanwhile."""
    stage(loop.snapshot, loop.context)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(loop.follow(), name="plain loop")
        yield loop
        task.cancel()


def stage(snapshot: SourceSnapshot, context: Path) -> None:
    """Write the build context that pdwatch streams."""
    assert snapshot.spec is not None
    text = dockerfile(snapshot.spec, base=BASE_IMAGE, digest=snapshot.digest)
    deno_config = third_party_code(snapshot).deno_config
    entries = build_context(snapshot, dockerfile=text, engine=engine_files(), deno_config=deno_config)
    archive = b"".join(tar_chunks(entries, partial(read_verified, snapshot)))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extraction_filter = staticmethod(lambda member, _: member)  # Python 3.11.2 takes no filter=
        tar.extractall(context)
