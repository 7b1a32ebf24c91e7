"""The workflow of docs/workflows.md, made from the page itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import deno  # type: ignore[import-untyped]  # it has no stubs
import pytest

from pdwatch.adapters.engine import engine_recipe
from pdwatch.adapters.files import FileSource
from pdwatch.adapters.scaffold import refresh_editor_files
from tests.cli.command import pdwatch

ROOT = Path(__file__).parents[1]
FILE = re.compile(
    r"^```(?:json (?P<json>\S+)|(?:ts|yaml)\n(?://|#) (?P<commented>\S+))\n(?P<content>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
"""A block whose first line, a comment, names the file; JSON has no comments, so its fence does."""


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    for block in FILE.finditer((ROOT / "docs/workflows.md").read_text()):
        path = tmp_path / (block["json"] or block["commented"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block["content"])
    (tmp_path / "prompts").mkdir()
    (tmp_path / "deno.json").write_bytes((ROOT / "pdwatch/scaffold/deno.json").read_bytes())
    refresh_editor_files(tmp_path)
    return tmp_path


async def test_it_is_valid(workflow: Path) -> None:
    snapshot = await FileSource(recipe=engine_recipe()).scan(workflow)
    assert snapshot.spec, snapshot.problems
    assert set(snapshot.spec.include) == {"prompts/*.txt"}


@pytest.mark.parametrize("arguments", [["check"], ["lint"], ["fmt", "--check"]], ids=" ".join)
def test_deno_finds_nothing_wrong(workflow: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [deno.find_deno_bin(), *arguments], cwd=workflow, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_its_fixture_passes(workflow: Path) -> None:
    ended = await pdwatch("test", workflow)
    assert ended.status == 0, ended.out + ended.err
    assert "ok   fetch-releases" in ended.out
