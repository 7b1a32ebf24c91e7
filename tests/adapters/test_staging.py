"""Stages: what an image would hold, in a directory of pdwatch's own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.engine import engine_files
from pdwatch.adapters.files import FileSource
from pdwatch.adapters.local.staging import linked_trees, stage, stage_area
from pdwatch.errors import NotWrittenError, SourceChangedError, UnreadablePathError
from tests.e2e.dev import children, gone

if TYPE_CHECKING:
    from pdwatch.core.model import SourceSnapshot
    from pdwatch.errors import PdwatchError

WORKFLOW = """\
name: hello
version: "1.0"
triggers: [{type: manual}]
nodes: {greet: {path: ./nodes/greet.ts}}
edges: []
config: {include: ["prompts/*.txt"]}
"""


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    root = tmp_path / "hello"
    write(root, "workflow.yaml", WORKFLOW)
    write(root, "nodes/greet.ts", "export default () => 1;\n")
    return root


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def tree(directory: Path) -> dict[str, str]:
    """Return the files below a directory, links followed, by path."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_text() for path in files}


async def staged(root: Path, app: Path) -> SourceSnapshot:
    snapshot = await FileSource(recipe="").scan(root)
    stage(snapshot, app, engine={"main.ts": b"the engine"})
    return snapshot


async def test_a_stage_holds_what_the_image_would_and_nothing_that_is_not_shipped(
    hello: Path, tmp_path: Path
):
    write(hello, "prompts/short.txt", "Be brief.")
    write(hello, ".secrets.yaml", "tracker: {token: canary}")
    write(hello, "notes.md", "to do")
    before = tree(hello)
    snapshot = await staged(hello, tmp_path / "app")
    stage_files = tree(tmp_path / "app")
    assert stage_files.keys() == {
        *("workflow.yaml", "nodes/greet.ts", "prompts/short.txt"),
        *("workflow.json", "deno.json", ".source-digest", "engine/main.ts"),
    }
    assert stage_files[".source-digest"] == snapshot.digest
    assert stage_files["nodes/greet.ts"] == before["nodes/greet.ts"]
    assert tree(hello) == before


async def test_node_modules_is_a_link_and_vendor_a_copy_that_deno_may_add_to(hello: Path, tmp_path: Path):
    write(hello, "deno.json", '{"vendor": true}')
    write(hello, "vendor/esm.example/a.ts", "export const a = 1;\n")
    write(hello, "node_modules/a/index.js", "module.exports = 1;\n")
    app = tmp_path / "app"
    snapshot = await staged(hello, app)
    assert (app / "node_modules").readlink() == hello / "node_modules"
    assert linked_trees(snapshot) == (hello / "node_modules",)
    assert not (app / "vendor").is_symlink()
    assert (app / "vendor/esm.example/a.ts").read_text() == "export const a = 1;\n"


async def test_a_file_that_was_saved_after_the_scan_is_not_staged(hello: Path, tmp_path: Path):
    snapshot = await FileSource(recipe="").scan(hello)
    write(hello, "nodes/greet.ts", "export default () => 2;\n")
    with pytest.raises(SourceChangedError):
        stage(snapshot, tmp_path / "app", engine=engine_files())


async def test_a_stage_that_can_t_be_written_says_where(hello: Path, tmp_path: Path):
    write(tmp_path, "app", "a file in the way")
    with pytest.raises(NotWrittenError, match="app can't be written: File exists"):
        await staged(hello, tmp_path / "app")


def test_an_area_is_gone_at_its_end_and_what_a_killed_one_left_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    write(tmp_path, "pdwatch-local-left/lock", "")
    write(tmp_path, "pdwatch-local-left/hello-1/app/deno.json", "{}")
    with stage_area() as one, stage_area() as other:
        assert set(tmp_path.iterdir()) == {one, other}
        assert one.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.iterdir())


async def test_third_party_code_that_deno_s_flags_can_t_name_is_refused(tmp_path: Path):
    root = tmp_path / "hello, world"
    write(root, "workflow.yaml", WORKFLOW)
    write(root, "nodes/greet.ts", "export default () => 1;\n")
    await staged(root, tmp_path / "without")
    write(root, "node_modules/a/index.js", "module.exports = 1;\n")
    with pytest.raises(UnreadablePathError, match=r"hello, world/node_modules: its flags"):
        await staged(root, tmp_path / "with")


@pytest.mark.parametrize(
    ("place", "error"),
    [
        pytest.param("a, b", UnreadablePathError, id="a comma"),
        pytest.param("nowhere", NotWrittenError, id="no such directory"),
    ],
)
def test_a_place_that_can_t_hold_an_area_is_refused(
    place: str, error: type[PdwatchError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "a, b").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / place))
    with pytest.raises(error) as caught, stage_area():
        pass
    assert "TMPDIR" in str(caught.value.remedy)


KEEPER = """
import sys
from pdwatch.adapters.local.staging import stage_area
with stage_area() as area:
    (area / "secrets").write_text("canary")
    print(area, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda each: each.name)
async def test_whatever_ends_pdwatch_its_area_goes(number: signal.Signals, tmp_path: Path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KEEPER),
        env={**os.environ, "RUNTIME_DIRECTORY": str(tmp_path)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    area = Path((await process.stdout.readline()).decode().strip())
    assert (area / "secrets").exists()
    (shell,) = children(process.pid)
    pidfd = os.pidfd_open(shell)
    try:
        process.send_signal(number)
        assert await process.wait() == -number
        await gone(pidfd)
    finally:
        os.close(pidfd)
    assert not list(tmp_path.iterdir())
