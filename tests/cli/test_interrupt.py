"""Ctrl-C ends a command as it ends other programs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.testbed.client import Testbed

WORKFLOW = """\
name: hello
version: "1.0"
triggers: [{type: manual}]
nodes: {wait: {path: ./nodes/wait.ts}}
edges: []
"""


@asynccontextmanager
async def started(*arguments: object, **environ: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "pdwatch", *map(str, arguments)),
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def interrupted(process: Process, *, after: str) -> str:
    """Interrupt a command once it has printed a line on stdout; return what it has printed on stderr."""
    assert process.stdout is not None
    assert process.stderr is not None
    while after not in (line := (await process.stdout.readline()).decode()):
        assert line, "it has ended"
    process.send_signal(signal.SIGINT)
    errors = await process.stderr.read()
    assert await process.wait() == 130
    return errors.decode()


def workflow(root: Path, node: str) -> None:
    (root / "nodes").mkdir(parents=True)
    (root / "workflow.yaml").write_text(WORKFLOW)
    (root / "nodes/wait.ts").write_text(node)


async def test_an_interrupted_command_says_so_in_a_word_and_exits_with_130(tmp_path: Path):
    workflow(tmp_path, "export default () => new Promise(() => {});\n")
    (tmp_path / "tests/fixtures").mkdir(parents=True)
    (tmp_path / "tests/fixtures/wait.json").write_text(json.dumps({"input": {}, "expected": {}}))
    async with started("test", tmp_path) as process:
        assert await interrupted(process, after="hello") == "interrupted\n"


async def test_an_interrupted_deploy_says_what_stays_and_how_to_look(
    testbed: Testbed, namespace: str, tmp_path: Path
):
    workflow(tmp_path, "await new Promise((done) => setTimeout(done, 1e9));\nexport default () => 1;\n")
    async with started("deploy", tmp_path, "-n", namespace, **testbed.variables) as process:
        assert await interrupted(process, after="applied to namespace") == (
            f"left in namespace {namespace}: Service hello, Deployment hello\n"
            f"  → `pdwatch status hello -n {namespace}` shows what runs\n"
            "interrupted\n"
        )
