"""``make bench`` as people run it, on the testbed, with one sample of everything."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks import report
from benchmarks.cli import PARTS
from benchmarks.results import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.testbed import Testbed


@asynccontextmanager
async def bench(testbed: Testbed, *arguments: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run it in a session of its own, whose signals nobody else gets."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", "--quick", *arguments),
        env={**os.environ, **testbed.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def left_by(testbed: Testbed, shown: str) -> list[str]:
    """Return the namespaces and images of a run that are still there."""
    prefix = re.search(r"bench-[0-9a-f]{6}", shown)
    assert prefix is not None
    namespaces = json.loads(await testbed.kubectl("get", "namespaces", "--output=json"))["items"]
    names = [namespace["metadata"]["name"] for namespace in namespaces]
    images = (await testbed.run("docker", "image", "ls", "--format={{.Repository}}:{{.Tag}}")).split()
    return [name for name in [*names, *images] if name.startswith(prefix[0])]


async def test_every_part_is_measured_and_leaves_nothing_behind(testbed: Testbed, tmp_path: Path):
    out = tmp_path / "results.json"
    async with bench(testbed, "--out", out) as process:
        shown, errors = (text.decode() for text in await process.communicate())
    assert process.returncode == 0, errors
    results = load(out)
    assert {series.part for series in results.series} == set(PARTS)
    assert all(f"\n{report.TITLES[part]}" in f"\n{shown}" for part in PARTS)
    assert (tmp_path / "performance.png").read_bytes().startswith(b"\x89PNG")
    assert {"CPU", "kernel", "load at end"} <= results.machine.keys()
    assert await left_by(testbed, errors) == []


async def test_an_interrupted_run_removes_what_it_has_made(testbed: Testbed, tmp_path: Path):
    async with bench(testbed, "--only=burst", "--out", tmp_path / "results.json") as process:
        assert process.stderr is not None
        shown = ""
        async for line in process.stderr:
            shown += line.decode()
            if "1 of 1" in shown:
                break
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert process.returncode == 128 + signal.SIGINT
    assert b"Traceback" not in errors
    assert await left_by(testbed, shown + errors.decode()) == []
