"""Measures the engine on the testbed: ``python -m benchmarks.engine [--starts N]``.

Prints what the engine adds to calling the nodes' functions, how many runs a second it answers on loopback,
how long it takes to its first answer on this machine and in a container under gVisor, and what it holds idle.
Machines are noisy: compare figures of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from pdwatch.adapters.engine import engine_files, engine_recipe
from pdwatch.adapters.files import FileSource
from pdwatch.adapters.local.deno import LOOPBACK, engine_command, find_deno
from pdwatch.adapters.local.engine import Engine, running_engine
from pdwatch.adapters.local.staging import stage
from tests.cli.command import pdwatch
from tests.testbed import client, cluster
from tests.testbed.layout import Layout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.testbed.client import Testbed

OVERHEAD = Path(__file__).parent / "overhead.ts"
CLIENTS, REQUESTS = 8, 4_000
WORKFLOW = """\
name: bench-engine
version: "1.0"
triggers: [{type: manual}]
nodes: {only: {path: ./nodes/only.ts}}
edges: []
"""
NODE = "export default (): Promise<null> => Promise.resolve(null);\n"


def shown(values: list[float], unit: str = "ms") -> str:
    spread = f"{min(values):.3f} to {max(values):.3f}, n = {len(values)}"
    return f"{statistics.median(values):9.3f} {unit}   ({spread})"


async def print_overhead() -> None:
    child = await asyncio.create_subprocess_exec(
        str(find_deno()), "run", "--no-lock", str(OVERHEAD), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    for graph, times in json.loads(output).items():
        added = [engine - direct for engine, direct in zip(times["engine"], times["direct"], strict=True)]
        print(f"{graph:24} called directly {shown(times['direct'])}")
        print(f"{'':24} the engine adds {shown(added)}")


@asynccontextmanager
async def engine_on_host(root: Path, app: Path) -> AsyncIterator[Engine]:
    snapshot = await FileSource(recipe=engine_recipe()).scan(root)
    assert snapshot.spec is not None
    if not app.exists():
        stage(snapshot, app, engine=engine_files())
    command = engine_command(snapshot.spec, deno=find_deno(), app=app, secrets=app / "secrets", reads=[app])
    async with running_engine(command, app=app, hear=lambda _: None) as engine:
        yield engine


async def time_start_on_host(root: Path, app: Path, session: aiohttp.ClientSession) -> float:
    began = time.perf_counter()
    async with engine_on_host(root, app) as engine:
        await engine.digest(session)
        return (time.perf_counter() - began) * 1000


async def print_throughput(root: Path, app: Path, session: aiohttp.ClientSession) -> None:
    async with engine_on_host(root, app) as engine:
        url = f"http://{LOOPBACK}:{await engine.port()}/run"
        print(f"idle, resident           {resident_mb(engine.pid):9.1f} MB")
        times: list[float] = []

        async def ask() -> None:
            for _ in range(REQUESTS // CLIENTS):
                began = time.perf_counter()
                async with session.get(url) as response:
                    await response.read()
                times.append((time.perf_counter() - began) * 1000)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(ask(), name=f"client {number}")
        print(f"/run on loopback         {REQUESTS / (time.perf_counter() - began):9.0f} runs a second")
        print(f"/run, one of {CLIENTS} at once   {shown(times)}")


async def time_container(testbed: Testbed, image: str, *arguments: str, until: bytes) -> float:
    """Return the milliseconds from the start of a container to the line that holds ``until``."""
    name = "bench-engine"
    create = ("docker", "create", "--name", name, "--runtime=runsc", "--network=host", "--tmpfs=/tmp")
    await testbed.run(*create, *arguments[:-1], image, *arguments[-1].split())
    try:
        began = time.perf_counter()
        child = await asyncio.create_subprocess_exec(
            *("docker", "start", "--attach", name), env=testbed.environment, stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        async for line in child.stdout:
            if until in line:
                return (time.perf_counter() - began) * 1000
        raise RuntimeError(f"no {until!r} in the output of {image}")
    finally:
        await testbed.run("docker", "rm", "--force", name)
        await child.wait()


async def print_starts(testbed: Testbed, root: Path, app: Path, starts: int) -> None:
    built = await pdwatch("build", root, "--output=json", environ=testbed.environment)
    image = json.loads(built.out)["image_id"]
    here: list[float] = []
    engine: list[float] = []
    deno: list[float] = []
    async with aiohttp.ClientSession() as session:
        for _ in range(starts):
            here.append(await time_start_on_host(root, app, session))
            engine.append(await time_container(testbed, image, "--port 0", until=b'"listening"'))
            empty = ("--entrypoint=/bin/deno", "eval console.log('up')")
            deno.append(await time_container(testbed, image, *empty, until=b"up"))
        print(f"start to /health, here   {shown(here)}")
        print(f"gVisor, to listening     {shown(engine)}")
        print(f"gVisor, deno eval        {shown(deno)}")
        print(f"gVisor, engine alone     {shown([a - b for a, b in zip(engine, deno, strict=True)])}")
        await print_throughput(root, app, session)
    await testbed.run("docker", "image", "rm", "--force", image)


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


async def measure(starts: int) -> None:
    layout = Layout.from_environment({})
    testbed = client.of_instance(layout, cluster.running(layout))
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "bench-engine"
        (root / "nodes").mkdir(parents=True)
        (root / "workflow.yaml").write_text(WORKFLOW)
        (root / "nodes/only.ts").write_text(NODE)
        await print_overhead()
        await print_starts(testbed, root, Path(directory) / "app", starts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=10)
    asyncio.run(measure(parser.parse_args().starts))


if __name__ == "__main__":
    main()
