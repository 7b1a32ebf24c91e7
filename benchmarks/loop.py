"""Measures the loop on the testbed: ``python -m benchmarks.loop [--saves N] [--workflows N]``.

Prints medians with their spread. The times are the daemon's own ``since_save_ms``, which counts from when a
save was noticed; machines are noisy, so compare figures of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.daemon import Daemon, running_daemon
from tests.testbed import client, cluster
from tests.testbed.layout import Layout

WORKFLOW = """\
name: {name}
version: "1.0"
triggers: [{{type: manual}}]
nodes:
  greet: {{path: ./nodes/greet.ts}}
edges: []
deployment: {{replicas: {replicas}}}
"""
NODE = "export default () => Promise.resolve({number});\n"
PHASES = ("workflow.changed", "build.succeeded", "deploy.applied", "rollout.complete")


def write_workflow(root: Path, name: str, *, replicas: int) -> Path:
    (root / name / "nodes").mkdir(parents=True)
    (root / name / "workflow.yaml").write_text(WORKFLOW.format(name=name, replicas=replicas))
    node = root / name / "nodes/greet.ts"
    node.write_text(NODE.format(number=0))
    return node


def shown(values: list[float], unit: str = "ms") -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:8.1f} {unit}   ({low:.1f} to {high:.1f}, n = {len(values)})"


async def time_saves(daemon: Daemon, node: Path, saves: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for number in range(1, saves + 1):
        mark = daemon.mark
        node.write_text(NODE.format(number=number))
        for phase in PHASES:
            line = await daemon.until(phase, since=mark, workflow=node.parent.parent.name)
            times[phase].append(line["since_save_ms"])
    return times


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def time_command(*arguments: str) -> list[float]:
    times = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "pdwatch", *arguments], check=True, capture_output=True)
        times.append((time.perf_counter() - began) * 1000)
    return times


async def measure(saves: int, workflows: int) -> None:
    layout = Layout.from_environment({})
    testbed = client.of_instance(layout, cluster.running(layout))
    environment = {"KUBECONFIG": str(testbed.kubeconfig), "DOCKER_HOST": testbed.docker_host}
    namespace = f"--namespace=bench-{int(time.time())}"
    await testbed.kubectl("create", "namespace", namespace.partition("=")[2])
    try:
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            node = write_workflow(root, "bench", replicas=1)
            async with running_daemon(root, namespace, environment=environment) as daemon:
                await daemon.until("rollout.complete", workflow="bench")
                for phase, values in (await time_saves(daemon, node, saves)).items():
                    print(f"save to {phase:18} {shown(values)}")
                print(f"resident with 1 workflow   {resident_mb(daemon.process.pid):8.1f} MB")
            for number in range(workflows - 1):
                write_workflow(root, f"bench-{number}", replicas=0)
            began = time.perf_counter()
            async with running_daemon(root, namespace, environment=environment) as daemon:
                await daemon.until("daemon.synced")
                print(f"first sync, {workflows} workflows    {time.perf_counter() - began:8.1f} s")
                pid = daemon.process.pid
                print(f"resident with {workflows}          {resident_mb(pid):8.1f} MB")
                before = cpu_s(pid)
                await asyncio.sleep(60)
                print(f"idle CPU over 60 s         {(cpu_s(pid) - before) / 60 * 100:8.2f} % of a core")
                for phase, values in (await time_saves(daemon, node, 5)).items():
                    print(f"among {workflows}: save to {phase:18} {shown(values)}")
            print(f"pdwatch --help             {shown(time_command('--help'))}")
            print(f"pdwatch validate           {shown(time_command('validate', str(node.parent.parent)))}")
    finally:
        await testbed.kubectl("delete", "namespace", namespace.partition("=")[2], "--wait=false")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--saves", type=int, default=20)
    parser.add_argument("--workflows", type=int, default=200)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.saves, arguments.workflows))


if __name__ == "__main__":
    main()
