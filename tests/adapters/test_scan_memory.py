"""What a scan remembers of the one before, and files that change while they are read."""

from __future__ import annotations

import os
import tempfile
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdwatch.adapters import scan as scan_adapter
from pdwatch.adapters.files import FileSource
from pdwatch.adapters.stamps import is_settled
from pdwatch.adapters.tree import open_regular
from pdwatch.errors import NotFoundError, SourceChangedError, SourceError
from tests.adapters.workflow_files import WORKFLOW, paths, scan, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdwatch.core.model import SourceSnapshot


class Meddler:
    """Changes the disk right before, or while, files are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[str], None]) -> None:
        self._open = open_regular
        self._meddle = meddle
        self.opened: list[str] = []
        monkeypatch.setattr(scan_adapter, "open_regular", self)

    def __call__(self, path: str) -> BufferedReader:
        self.opened.append(Path(path).name)
        self._meddle(path)
        return self._open(path)


async def test_a_file_that_vanishes_while_it_is_scanned_is_simply_gone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, "lib/brief.ts")
    Meddler(monkeypatch, lambda _: (root / "lib/brief.ts").unlink(missing_ok=True))

    assert paths(await scan(root)) == ["nodes/greet.ts", "workflow.yaml"]


async def test_files_that_keep_vanishing_are_an_error_that_names_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        write(root, f"lib/{number}.ts")

    def remove_one(path: str) -> None:
        if path.endswith("workflow.yaml"):
            next(root.glob("lib/*.ts")).unlink()

    Meddler(monkeypatch, remove_one)

    with pytest.raises(SourceChangedError, match=r"greeter/lib/\d\.ts changes while it is read"):
        await scan(root)


async def test_a_file_that_grows_while_it_is_read_is_read_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown: list[str] = []

    class Growing(FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            chunk = super().read(size)
            if self.name.endswith("greet.ts") and not grown:
                grown.append(self.name)
                write(root, "nodes/greet.ts", "another text, which is longer than the one before")
            return chunk

    monkeypatch.setattr(scan_adapter, "open_regular", Growing)

    snapshot = await scan(root)

    assert grown
    assert snapshot.files == (await scan(root)).files


async def test_the_bytes_that_are_parsed_are_the_bytes_that_are_hashed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddler = Meddler(monkeypatch, lambda _: None)

    await scan(root)

    assert sorted(meddler.opened) == ["greet.ts", "workflow.yaml"]


@pytest.mark.parametrize(
    ("age_ns", "settled"),
    [(0, False), (1_999_999_999, False), (2_000_000_000, True), (-1, False)],
)
def test_a_file_is_settled_once_its_clock_must_have_ticked(age_ns: int, *, settled: bool) -> None:
    assert is_settled(changed_ns=10**18, read_ns=10**18 + age_ns) is settled


def settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a scan trust what it has read, as if the files had been saved long ago."""
    monkeypatch.setattr(scan_adapter, "is_settled", lambda **_: True)


async def test_a_file_that_was_read_is_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_at_once(monkeypatch)
    meddler = Meddler(monkeypatch, lambda _: None)
    source = FileSource(recipe="engine")
    first = await source.scan(root)
    meddler.opened.clear()
    wait_for_tick(root)
    write(root, "lib/new.ts")

    second = await source.scan(root)
    third = await source.scan(root)

    assert meddler.opened == ["workflow.yaml", "new.ts"]  # parsed again, since there is another file
    assert set(first.files) < set(second.files)
    assert third == second


async def test_a_file_saved_right_before_a_scan_is_read_again_by_the_next(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddler = Meddler(monkeypatch, lambda _: None)
    source = FileSource(recipe="engine")
    await source.scan(root)
    await source.scan(root)

    assert sorted(meddler.opened) == ["greet.ts", "greet.ts", "workflow.yaml", "workflow.yaml"]


def wait_for_tick(root: Path) -> None:
    """Return once the file system's clock has moved on, so that the next change gets another ctime."""
    probe = root.parent / "probe"
    probe.touch()
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        probe.touch()


NAMES = st.sampled_from(
    ["nodes/greet.ts", "nodes/b.ts", "lib/a.ts", "lib/deep/a.ts", "other.txt", "workflow.yaml"]
)
EDITS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.sampled_from(["one", "two", "three", WORKFLOW])),
    st.tuples(st.just("replace"), NAMES, st.sampled_from(["one", "two", WORKFLOW])),
    st.tuples(st.just("delete"), NAMES, st.just("")),
    st.tuples(st.just("link"), NAMES, st.sampled_from(["greet.ts", "../lib/a.ts", "/etc/hostname"])),
    st.tuples(st.just("touch"), NAMES, st.just("")),
)


def edit(root: Path, how: str, path: str, content: str) -> None:
    """Change the tree, and make sure that no mtime tells."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    match how:
        case "write":
            if place.is_symlink():
                place.unlink()
            place.write_text(content)
        case "replace":
            write(root, "saving", content).replace(place)
        case "delete":
            place.unlink(missing_ok=True)
        case "link":
            place.unlink(missing_ok=True)
            place.symlink_to(content)
    if place.is_file() and not place.is_symlink():
        os.utime(place, (0, 0))


@settings(max_examples=100, deadline=None)
@given(history=st.lists(st.lists(EDITS, max_size=3), max_size=5))
def test_a_scan_that_remembers_sees_what_a_fresh_one_sees(history: list[list[tuple[str, str, str]]]) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as monkeypatch:
        settle_at_once(monkeypatch)
        root = Path(directory, "w")
        write(root, "workflow.yaml", WORKFLOW)
        write(root, "nodes/greet.ts")
        remembering = FileSource(recipe="engine")
        for edits in [[], *history]:
            wait_for_tick(root)
            for how, path, content in edits:
                edit(root, how, path, content)
            assert outcome(remembering, root) == outcome(FileSource(recipe="engine"), root)


def outcome(source: FileSource, root: Path) -> SourceSnapshot | str:
    try:
        return source._scan(root)
    except (SourceError, NotFoundError) as error:
        return str(error)
