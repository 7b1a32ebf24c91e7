"""The local target's cluster: real engines, whose Deployments and pods are judged as anywhere else."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest

from pdwatch.adapters.engine import engine_files
from pdwatch.adapters.files import FileSource
from pdwatch.adapters.local import supervised
from pdwatch.adapters.local.cluster import LocalCluster
from pdwatch.adapters.local.deno import find_deno
from pdwatch.adapters.local.stages import Stages
from pdwatch.core.image import image_references
from pdwatch.core.manifests import deployment
from pdwatch.core.model import BuildRequest, RolloutPhase
from pdwatch.errors import PortTakenError
from pdwatch.logs import Event
from tests.adapters.recorded_log import RecordedLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pdwatch.core.model import RolloutStatus, ViewChange

WORKFLOW = """\
name: hello
version: "1.0"
triggers: [{type: manual}]
nodes: {greet: {path: ./nodes/greet.ts}}
edges: []
"""
GOOD = 'export default () => Promise.resolve("good");\n'
HANGS = "await new Promise((resolve) => setTimeout(resolve, 3_600_000));\nexport default () => 1;\n"


@dataclass(slots=True)
class Machine:
    """Stages and engines of this machine, and every change that they told."""

    stages: Stages
    cluster: LocalCluster
    log: RecordedLog
    changes: asyncio.Queue[ViewChange]
    reader: FileSource = field(default_factory=lambda: FileSource(recipe=""))

    async def apply(self, root: Path, node: str, *, namespace: str = "local") -> None:
        """Save a node, build the workflow, and apply its Deployment."""
        (root / "nodes").mkdir(parents=True, exist_ok=True)
        (root / "workflow.yaml").write_text(WORKFLOW)
        (root / "nodes/greet.ts").write_text(node)
        snapshot = await self.reader.scan(root)
        assert snapshot.spec is not None
        refs = image_references(snapshot.spec, snapshot.digest)
        if await self.stages.find(refs[0], snapshot) is None:
            await self.stages.build(BuildRequest(snapshot=snapshot, tags=refs))
        await self.cluster.synced(namespace)
        manifest = deployment(snapshot.spec, digest=snapshot.digest, image=refs[0], namespace=namespace)
        self.cluster.observe(await self.cluster.apply(manifest))

    async def until(
        self, phase: RolloutPhase, *, reason: str = "", namespace: str = "local"
    ) -> RolloutStatus:
        """Return the next status of that phase and reason."""
        while True:
            change = await self.changes.get()
            status = change.status
            if status and (change.namespace, status.phase, status.reason) == (namespace, phase, reason):
                return status

    async def answer(self) -> object:
        """Return what the newest workflow's node says."""
        url = self.log.named(Event.ENDPOINT_OPENED)[-1]["url"]
        async with aiohttp.ClientSession() as session, session.get(f"{url}/run") as response:
            outputs: dict[str, object] = (await response.json())["outputs"]
            return outputs["greet"]


@asynccontextmanager
async def running_machine(area: Path, *, deno: Path, port: int | None = None) -> AsyncIterator[Machine]:
    log = RecordedLog()
    changes: asyncio.Queue[ViewChange] = asyncio.Queue()
    stages = Stages(area, engine=engine_files(), check=None)
    cluster = LocalCluster(
        stages,
        area=area,
        deno=deno,
        port=port,
        notify=changes.put_nowait,
        log=log,
        jitter=lambda: 0.0,
    )
    async with asyncio.TaskGroup() as group:
        run = group.create_task(cluster.run())
        yield Machine(stages, cluster, log, changes)
        run.cancel()


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    return tmp_path / "hello"


async def test_an_engine_that_never_answers_is_ended_and_started_again_while_the_old_one_serves(
    tmp_path: Path, hello: Path, monkeypatch: pytest.MonkeyPatch
):
    async with running_machine(tmp_path / "area", deno=find_deno()) as machine:
        await machine.apply(hello, GOOD)
        await machine.until(RolloutPhase.READY)
        monkeypatch.setattr(supervised, "START_S", 0.5)
        await machine.apply(hello, HANGS)
        status = await machine.until(RolloutPhase.DEGRADED, reason="CrashLoopBackOff")
        assert status.stalled
        assert status.pod is not None
        assert "did not answer" in (await machine.cluster.last_lines("local", status.pod))[-1]
        assert await machine.answer() == "good"


async def test_a_deno_that_is_gone_stalls_the_workflow_and_nothing_else(tmp_path: Path, hello: Path):
    async with running_machine(tmp_path / "area", deno=tmp_path / "gone") as machine:
        await machine.apply(hello, GOOD)
        status = await machine.until(RolloutPhase.NOT_READY, reason="CrashLoopBackOff")
        assert status.pod is not None
        assert await machine.cluster.last_lines("local", status.pod) == (
            f"{tmp_path}/gone can't be started: No such file or directory",
        )


async def test_a_stage_goes_with_the_last_engine_that_runs_from_it(tmp_path: Path, hello: Path):
    area, copy = tmp_path / "area", tmp_path / "copy"
    async with running_machine(area, deno=find_deno()) as machine:
        for root, namespace in ((hello, "local"), (copy, "other")):
            await machine.apply(root, GOOD, namespace=namespace)
            await machine.until(RolloutPhase.READY, namespace=namespace)
        (shared,) = area.glob("hello-*")
        await machine.apply(hello, GOOD.replace("good", "better"))
        await machine.until(RolloutPhase.READY)
        assert shared in area.glob("hello-*")
        await machine.apply(hello, GOOD.replace("good", "best"))
        await machine.until(RolloutPhase.READY)
        assert shared in area.glob("hello-*")
    assert not list(area.glob("hello-*"))


async def test_a_port_for_one_workflow_is_for_no_other(tmp_path: Path, hello: Path):
    async with running_machine(tmp_path / "area", deno=find_deno(), port=0) as machine:
        await machine.apply(hello, GOOD)
        await machine.until(RolloutPhase.READY)
        with pytest.raises(PortTakenError, match=f"is for the workflow in {hello}"):
            await machine.apply(hello / "nested", GOOD.replace("good", "other"), namespace="other")
        assert await machine.answer() == "good"


async def test_a_stack_trace_leads_to_the_workflow_s_own_files(tmp_path: Path, hello: Path):
    area = tmp_path / "area"
    async with running_machine(area, deno=find_deno()) as machine:
        await machine.apply(hello, 'export default () => {\n  throw new Error("here");\n};\n')
        await machine.until(RolloutPhase.READY)
        with pytest.raises(KeyError):
            await machine.answer()
    told = "\n".join(str(line) for line in machine.log.named(Event.ENGINE_OUTPUT))
    assert f"{hello}/nodes/greet.ts:2:9" in told
    assert str(area) not in told


async def test_a_package_in_node_modules_is_used_where_it_lies(tmp_path: Path, hello: Path):
    package = hello / "node_modules/greeter"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "greeter", "version": "1.0.0", "main": "index.js"}')
    (package / "index.js").write_text('module.exports = { word: "from a package" };\n')
    (hello / "package.json").write_text('{"dependencies": {"greeter": "1.0.0"}}')
    async with running_machine(tmp_path / "area", deno=find_deno()) as machine:
        await machine.apply(hello, 'import greeter from "greeter";\nexport default () => greeter.word;\n')
        await machine.until(RolloutPhase.READY)
        assert await machine.answer() == "from a package"
