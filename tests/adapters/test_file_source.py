"""Workflows found under directories, and files read as they were scanned."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.files import FileSource, read_verified
from pdwatch.adapters.scan import CHUNK_BYTES
from pdwatch.errors import NotFoundError, SourceChangedError, SourceError
from tests.adapters.workflow_files import scan, write

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_discovery_finds_every_workflow_under_the_roots(tmp_path: Path) -> None:
    for path in (
        "a/x/workflow.yaml",
        "a/x/nested/workflow.yaml",
        "b/workflow.yaml",
        "b/node_modules/p/workflow.yaml",
        "b/vendor/p/workflow.yaml",
        "b/.cache/workflow.yaml",
        "c/other.yaml",
        "elsewhere/workflow.yaml",
    ):
        write(tmp_path, path)
    (tmp_path / "a/out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a/x/up").symlink_to("..")
    (tmp_path / "c/workflow.yaml").mkdir()

    found = await FileSource(recipe="engine").discover(
        [tmp_path / "a", tmp_path / "a/x", tmp_path / "b", tmp_path / "c"]
    )

    assert sorted(str(path.relative_to(tmp_path)) for path in found) == ["a/x", "a/x/nested", "b"]


async def test_discovery_resolves_the_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "real/workflow.yaml")
    (tmp_path / "alias").symlink_to("real")
    monkeypatch.chdir(tmp_path)

    found = await FileSource(recipe="engine").discover([Path("alias"), Path("real")])

    assert found == {(tmp_path / "real").resolve()}


async def test_a_hidden_root_is_searched_when_it_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, ".hidden/workflow.yaml")

    assert len(await FileSource(recipe="engine").discover([tmp_path / ".hidden"])) == 1


@pytest.mark.parametrize("root", ["missing", "file", "file/below"])
async def test_a_root_that_is_no_directory_is_not_found(tmp_path: Path, root: str) -> None:
    write(tmp_path, "file")

    with pytest.raises(NotFoundError, match=f"{root} is not a directory") as caught:
        await FileSource(recipe="engine").discover([tmp_path / root])

    assert "workflow.yaml" in str(caught.value.remedy)


async def test_what_can_not_be_searched_is_an_error_only_for_a_root(
    open_directory: Path, request: pytest.FixtureRequest
) -> None:
    (open_directory / "lib/closed").chmod(0)
    request.getfixturevalue("unprivileged")
    source = FileSource(recipe="engine")

    assert await source.discover([open_directory]) == {open_directory}
    with pytest.raises(SourceError, match="can't be searched: Permission denied"):
        await source.discover([open_directory / "lib/closed"])


async def test_verified_content_comes_whole_in_chunks(root: Path) -> None:
    content = os.urandom(3 * CHUNK_BYTES + 7)
    write(root, "lib/large.bin", content)
    write(root, "lib/empty.bin", b"")

    snapshot = await scan(root)
    chunks = {file.path: list(read_verified(snapshot, file)) for file in snapshot.files}

    assert b"".join(chunks["lib/large.bin"]) == content
    assert len(chunks["lib/large.bin"]) == 4
    assert chunks["lib/empty.bin"] == []


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda file: file.write_bytes(b"y" * (1 << 20)), id="other content of the same size"),
        pytest.param(lambda file: file.write_bytes(b"x" * (1 << 20) + b"y"), id="longer"),
        pytest.param(lambda file: file.write_bytes(b"x"), id="shorter"),
        pytest.param(lambda file: file.unlink(), id="gone"),
    ],
)
async def test_a_file_that_is_not_what_was_scanned_never_comes_whole(
    root: Path, spoil: Callable[[Path], object]
) -> None:
    file = write(root, "lib/a.bin", b"x" * (1 << 20))
    snapshot = await scan(root)
    spoil(file)
    received: list[bytes] = []

    with pytest.raises(SourceChangedError, match=r"lib/a\.bin changed after it was scanned"):
        received.extend(read_verified(snapshot, snapshot.files[0]))

    assert len(b"".join(received)) < 1 << 20


async def test_a_size_that_differs_is_told_before_anything_is_read(root: Path) -> None:
    file = write(root, "lib/a.bin", b"x" * (1 << 20))
    snapshot = await scan(root)
    file.write_bytes(b"x" * (1 << 20) + b"y")

    with pytest.raises(SourceChangedError):
        next(read_verified(snapshot, snapshot.files[0]))


async def test_a_fifo_in_a_files_place_blocks_nobody(root: Path) -> None:
    file = write(root, "lib/a.bin")
    snapshot = await scan(root)
    file.unlink()
    os.mkfifo(file)

    with pytest.raises(SourceError, match="can't be read: Not a regular file"):
        list(read_verified(snapshot, snapshot.files[0]))
