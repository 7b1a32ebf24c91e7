from __future__ import annotations

import asyncio
import io
import tarfile
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.adapters.context import BLOCK_BYTES, off_loop, tar_chunks
from pdwatch.core.build_context import ContextDirectory, ContextEntry, ContextFile, ContextLink
from pdwatch.core.model import SourceFile
from pdwatch.errors import SourceChangedError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60
).filter(lambda name: name not in {".", ".."})
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
trees = st.dictionaries(paths, st.binary(max_size=2000), max_size=8)


def no_sources(file: SourceFile) -> Iterator[bytes]:
    raise AssertionError(file)


def archive(*entries: ContextEntry) -> bytes:
    return b"".join(tar_chunks(entries, no_sources))


@given(trees)
def test_an_archive_holds_the_entries_and_nothing_else(tree: dict[str, bytes]) -> None:
    entries = [ContextFile(path=path, content=content) for path, content in tree.items()]
    with tarfile.open(fileobj=io.BytesIO(archive(*entries))) as tar:
        members = tar.getmembers()
        read = {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    assert read == tree
    for member in members:
        assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
        assert member.mode == 0o644
        assert not {key for key in member.pax_headers if "xattr" in key.lower()}


def test_a_link_is_written_as_one() -> None:
    target = "../" * 60 + "a"
    content = archive(ContextLink(path="b/link", target=target))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        (member,) = tar.getmembers()
    assert (member.issym(), member.linkname, member.size, member.mtime) == (True, target, 0, 0)


@given(trees)
def test_equal_entries_give_equal_bytes_wherever_the_content_comes_from(tree: dict[str, bytes]) -> None:
    made = [ContextFile(path=path, content=content) for path, content in tree.items()]
    on_disk = [
        ContextFile(path=path, content=SourceFile(path=path, size=len(content), digest=""))
        for path, content in tree.items()
    ]

    def read(file: SourceFile) -> Iterator[bytes]:
        content = tree[file.path]
        yield from (content[start : start + 100] for start in range(0, len(content), 100))

    assert b"".join(tar_chunks(on_disk, read)) == archive(*made)


def test_directories_are_0755() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(ContextDirectory("a"), ContextDirectory("a/b")))) as tar:
        assert [(member.name, member.isdir(), member.mode) for member in tar] == [
            ("a", True, 0o755),
            ("a/b", True, 0o755),
        ]


async def test_memory_is_bounded_by_blocks_not_by_files() -> None:
    chunk = bytes(BLOCK_BYTES // 3)
    size = 200 * len(chunk)
    taken = 0

    def read(file: SourceFile) -> Iterator[bytes]:
        nonlocal taken
        for _ in range(200):
            taken += len(chunk)
            yield chunk

    entry = ContextFile(path="big", content=SourceFile(path="big", size=size, digest=""))
    sent = 0
    async with off_loop(tar_chunks([entry], read)) as blocks:
        async for block in blocks:
            sent += len(block)
            assert len(block) < 2 * BLOCK_BYTES
            assert taken - sent < 2 * BLOCK_BYTES, "more was read than the next block"
    assert sent > size


async def test_the_next_block_is_read_while_one_is_sent() -> None:
    chunk = bytes(BLOCK_BYTES)
    read_twice = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read(file: SourceFile) -> Iterator[bytes]:
        yield chunk
        loop.call_soon_threadsafe(read_twice.set)
        yield chunk

    entry = ContextFile(path="a", content=SourceFile(path="a", size=2 * len(chunk), digest=""))
    async with asyncio.timeout(60), off_loop(tar_chunks([entry], read)) as blocks:
        await anext(blocks)
        await read_twice.wait()


async def test_files_are_read_off_the_loop() -> None:
    threads = set()

    def read(file: SourceFile) -> Iterator[bytes]:
        threads.add(threading.current_thread())
        yield b"x"

    entry = ContextFile(path="a", content=SourceFile(path="a", size=1, digest=""))
    await take_all(tar_chunks([entry], read))
    assert threads
    assert threading.current_thread() not in threads


async def test_a_file_that_changes_ends_the_stream_with_its_error() -> None:
    def read(file: SourceFile) -> Iterator[bytes]:
        yield b"x"
        raise SourceChangedError("a changed")

    entry = ContextFile(path="a", content=SourceFile(path="a", size=2, digest=""))
    with pytest.raises(SourceChangedError):
        await take_all(tar_chunks([entry], read))


@pytest.mark.parametrize("goes", ["before the first block", "while it has a block"])
async def test_a_reader_that_goes_leaves_no_thread_that_reads_and_no_file_open(goes: str) -> None:
    reading, go_on, closed = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def read(file: SourceFile) -> Iterator[bytes]:
        try:
            if goes == "while it has a block":
                yield bytes(BLOCK_BYTES)
            loop.call_soon_threadsafe(reading.set)
            go_on.wait(60)
            yield b"x"
        finally:
            closed.set()

    entry = ContextFile(path="a", content=SourceFile(path="a", size=1, digest=""))
    task = asyncio.create_task(take_all(tar_chunks([entry], read)))
    await reading.wait()
    task.cancel()
    loop.call_soon(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


async def take_all(chunks: Generator[bytes, None, None]) -> None:
    async with off_loop(chunks) as blocks:
        async for _ in blocks:
            pass
