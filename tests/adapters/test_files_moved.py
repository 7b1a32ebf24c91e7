"""Whether anything has moved since a scan, by stat alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdwatch.adapters import scan as scan_adapter
from pdwatch.adapters import search as search_adapter
from pdwatch.adapters.files import FileSource
from tests.adapters.test_scan_memory import EDITS, edit, outcome, settle_at_once, wait_for_tick
from tests.adapters.workflow_files import WORKFLOW, write

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settle_at_once(monkeypatch)
    monkeypatch.setattr(search_adapter, "is_settled", lambda **_: True)
    root = tmp_path / "hello"
    write(root, "workflow.yaml", WORKFLOW)
    write(root, "nodes/greet.ts")
    write(root, ".secrets/token", "old")
    wait_for_tick(root)
    return root


def save_the_same_bytes_with_the_same_mtime(root: Path) -> None:
    file = root / "nodes/greet.ts"
    before = file.stat().st_mtime_ns
    file.write_bytes(file.read_bytes())
    os.utime(file, ns=(before, before))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda root: (root / "nodes/greet.ts").write_text("two"), id="a save"),
        pytest.param(save_the_same_bytes_with_the_same_mtime, id="a save that hides itself"),
        pytest.param(lambda root: write(root, "nodes/other.ts"), id="a new file"),
        pytest.param(lambda root: (root / "nodes/greet.ts").unlink(), id="a file that goes"),
        pytest.param(lambda root: (root / "nodes/greet.ts").chmod(0o600), id="a mode"),
        pytest.param(lambda root: write(root, ".secrets/token", "new"), id="a secret"),
        pytest.param(lambda root: write(root, ".secrets.yaml", "a: {}"), id="a file of secrets that comes"),
        pytest.param(lambda root: (root / "workflow.yaml").unlink(), id="workflow.yaml that goes"),
    ],
)
async def test_every_change_counts(root: Path, change: Callable[[Path], object]):
    source = FileSource(recipe="engine")
    await source.scan(root)
    assert await source.moved([root]) == set()

    change(root)

    assert await source.moved([root]) == {root}


async def test_what_was_never_scanned_has_moved(root: Path):
    assert await FileSource(recipe="engine").moved([root]) == {root}


async def test_reading_files_moves_nothing(root: Path):
    source = FileSource(recipe="engine")
    await source.scan(root)

    (root / "nodes/greet.ts").read_bytes()
    list(root.rglob("*"))

    assert await source.moved([root]) == set()


async def test_what_was_changed_right_before_the_scan_counts_as_moved(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.undo()  # of settle_at_once
    source = FileSource(recipe="engine")
    write(root, "nodes/greet.ts", "two")
    await source.scan(root)

    assert await source.moved([root]) == {root}


async def test_an_invalid_workflow_counts_as_moved_since_what_it_lacks_may_come_anywhere(root: Path):
    write(root, "workflow.yaml", "name: [")
    wait_for_tick(root)
    source = FileSource(recipe="engine")
    assert (await source.scan(root)).problems

    assert await source.moved([root]) == {root}


@settings(max_examples=100, deadline=None)
@given(edits=st.lists(EDITS, max_size=3))
def test_where_nothing_has_moved_a_fresh_scan_sees_the_same(edits: list[tuple[str, str, str]]):
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as monkeypatch:
        settle_at_once(monkeypatch)
        root = Path(directory, "w")
        write(root, "workflow.yaml", WORKFLOW)
        write(root, "nodes/greet.ts")
        source = FileSource(recipe="engine")
        before = outcome(source, root)
        wait_for_tick(root)
        for how, path, content in edits:
            edit(root, how, path, content)

        if not source._moved([root]):
            assert outcome(FileSource(recipe="engine"), root) == before


async def test_a_search_where_no_directory_has_changed_lists_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    source = FileSource(recipe="engine")
    first = await source.discover([root.parent])
    monkeypatch.setattr(os, "walk", None)

    assert await source.discover([root.parent]) == first == {root}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda root: write(root.parent, "new/workflow.yaml"), id="in a new directory"),
        pytest.param(lambda root: write(root, "lib/workflow.yaml"), id="below another"),
        pytest.param(lambda root: write(root, "nodes/workflow.yaml"), id="in a directory that was there"),
    ],
)
async def test_a_workflow_that_comes_is_found(root: Path, change: Callable[[Path], Path]):
    source = FileSource(recipe="engine")
    await source.discover([root.parent])

    came = change(root)

    assert await source.discover([root.parent]) == {root, came.parent}


def test_the_memory_holds_no_content(root: Path):
    source = FileSource(recipe="engine")
    write(root, "nodes/greet.ts", marker := "never kept in memory")
    source._scan(root)

    assert marker not in repr(source._memories)
    assert scan_adapter.moved(root, source._memories[root]) is False
