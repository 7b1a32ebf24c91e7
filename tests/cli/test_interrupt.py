"""Ctrl-C ends a command as it ends other programs."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOW = """\
name: hello
version: "1.0"
triggers: [{type: manual}]
nodes: {wait: {path: ./nodes/wait.ts}}
edges: []
"""


async def test_an_interrupted_command_says_so_in_a_word_and_exits_with_130(tmp_path: Path):
    (tmp_path / "nodes").mkdir()
    (tmp_path / "tests/fixtures").mkdir(parents=True)
    (tmp_path / "workflow.yaml").write_text(WORKFLOW)
    (tmp_path / "nodes/wait.ts").write_text("export default () => new Promise(() => {});\n")
    (tmp_path / "tests/fixtures/wait.json").write_text(json.dumps({"input": {}, "expected": {}}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "pdwatch", "test", tmp_path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert b"hello" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        errors = await process.stderr.read()
        assert await process.wait() == 130
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert errors.decode() == "interrupted\n"
