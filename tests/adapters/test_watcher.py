"""Changes on a real disk, told by a real inotify."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.doorbell import Doorbell
from pdwatch.adapters.watcher import FileWatcher
from tests.adapters.followed_files import BOUND_S, following, made_root

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_root(tmp_path)


async def test_a_save_is_told(root: Path) -> None:
    async with following(root) as told:
        await told.beat()
        (root / "hello/nodes/greet.ts").write_text("2")

        assert await told.batch() == {root / "hello/nodes/greet.ts"}


def save_like_vim(file: Path) -> None:
    probe, backup = file.with_name("4913"), file.with_name(f"{file.name}~")
    probe.touch()
    probe.unlink()
    file.rename(backup)
    file.write_text("2")
    file.chmod(0o644)
    backup.unlink()


def save_by_rename(file: Path) -> None:
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text("2")
    temporary.chmod(0o600)
    temporary.replace(file)


def save_in_place(file: Path) -> None:
    with file.open("w") as opened:
        for part in "2345":
            opened.write(part)
            opened.flush()


@pytest.mark.parametrize("save", [save_like_vim, save_by_rename, save_in_place])
async def test_an_editors_save_is_one_batch(root: Path, save: Callable[[Path], None]) -> None:
    file = root / "hello/nodes/greet.ts"
    # Longer than any pause that a busy machine makes between two system calls.
    async with following(root, settle_s=0.3, longest_s=3.0) as told:
        await told.beat()
        save(file)
        first = await told.batch()
        (root / "end").touch()

        assert file in first
        assert await told.until(root / "end") == {root / "end"}


async def test_what_happens_while_nobody_asks_is_told_later(root: Path) -> None:
    async with following(root) as told:
        await told.beat()
        (root / "a").touch()
        await told.until(root / "a")
        (root / "b").touch()
        (root / "c").touch()

        await told.until(root / "b")


async def test_new_directories_are_watched_as_soon_as_the_next_beat_says_so(root: Path) -> None:
    async with following(root) as told:
        await told.beat()
        (root / "new/nodes").mkdir(parents=True)
        await told.until(root / "new")
        await told.beat()
        (root / "new/nodes/a.ts").touch()

        await told.until(root / "new/nodes/a.ts")


async def test_new_directories_are_watched_even_if_it_never_gets_quiet(root: Path) -> None:
    async with following(root) as told:
        await told.beat()
        (root / "new").mkdir()
        while await told.batch():
            (root / "noise").write_text("again")

        (root / "new/a.ts").touch()
        await told.until(root / "new/a.ts")


async def test_a_renamed_directory_is_watched_under_its_new_name(root: Path) -> None:
    async with following(root) as told:
        await told.beat()
        (root / "hello").rename(root / "bye")
        assert await told.until(root / "bye") >= {root / "hello"}
        await told.beat()
        (root / "bye/nodes/greet.ts").write_text("2")

        await told.until(root / "bye/nodes/greet.ts")


async def test_a_root_that_is_made_again_is_watched_again(root: Path) -> None:
    async with following(root) as told:
        await told.beat()
        shutil.rmtree(root)
        await told.beat()
        (root / "again").mkdir(parents=True)
        await told.beat()
        (root / "again/a.ts").touch()

        await told.until(root / "again/a.ts")


async def test_a_root_that_is_missing_is_watched_once_it_comes(root: Path, tmp_path: Path) -> None:
    late = tmp_path / "not/yet"
    async with following(root, late) as told:
        await told.beat()
        late.mkdir(parents=True)
        await told.beat()
        (late / "a.ts").touch()

        await told.until(late / "a.ts")


async def test_another_directory_moved_into_a_roots_place_is_watched(root: Path, tmp_path: Path) -> None:
    moved = root / "hello"
    async with following(moved / "nodes") as told:
        await told.beat()
        moved.rename(tmp_path / "away")  # inotify tells a watch on nodes nothing about this
        (moved / "nodes").mkdir(parents=True)
        await told.beat()
        (moved / "nodes/a.ts").touch()

        await told.until(moved / "nodes/a.ts")


async def test_a_root_that_is_a_link_is_told_by_what_it_leads_to(root: Path, tmp_path: Path) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(root)
    async with following(alias) as told:
        await told.beat()
        (alias / "a").touch()

        assert await told.batch() == {root / "a"}


async def test_a_root_that_is_a_link_is_followed_to_where_it_is_turned(root: Path, tmp_path: Path) -> None:
    """As git-sync does it."""
    (tmp_path / "next").mkdir()
    current, turned = tmp_path / "current", tmp_path / "turned"
    current.symlink_to(root)
    turned.symlink_to("next")
    async with following(current) as told:
        await told.beat()
        turned.replace(current)
        await told.beat()
        (current / "a").touch()

        assert await told.batch() == {tmp_path / "next/a"}


async def test_hidden_directories_are_not_watched_except_for_secrets(root: Path) -> None:
    (root / ".git").mkdir()
    (root / "hello/.secrets").mkdir()
    async with following(root, root / "hello") as told:
        await told.beat()
        (root / ".git/index").touch()
        (root / "hello/.secrets/token").touch()

        assert await told.until(root / "hello/.secrets/token") == {root / "hello/.secrets/token"}


def inotify_watches() -> int:
    """Count the inotify watches of this process."""
    watches = 0
    for entry in Path("/proc/self/fd").iterdir():
        if entry.is_symlink() and str(entry.readlink()) == "anon_inode:inotify":
            watches += Path("/proc/self/fdinfo", entry.name).read_text().count("\ninotify ")
    return watches


async def test_links_are_not_followed_out_of_the_root(root: Path) -> None:
    (root / "system").symlink_to("/usr")
    (root / "hello/up").symlink_to("..")
    async with following(root) as told:
        await told.beat()

        watched = ["root", "root/hello", "root/hello/nodes"]
        assert inotify_watches() == len(["watchfiles", "doorbell"]) * len(watched) + len(["the cookie"])


async def test_cancellation_leaves_no_watch_behind(root: Path) -> None:
    standing = asyncio.Event()

    async def follow() -> None:
        async for _ in FileWatcher().changes([root]):
            standing.set()

    async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as group:
        task = group.create_task(follow(), name="follow")
        await standing.wait()
        assert inotify_watches() > 0
        task.cancel()

    async with asyncio.timeout(BOUND_S):  # watchfiles' thread ends a moment after it was told to
        while inotify_watches() > 0:  # noqa: ASYNC110  # closing a descriptor makes no event
            await asyncio.sleep(0)


async def test_beats_come_though_something_happens_all_the_time(root: Path) -> None:
    async with following(root, beat_s=0.2) as told:
        await told.beat()
        for _ in range(2):
            (root / "noise").write_text("start")
            while await told.batch():
                (root / "noise").write_text("again")


async def test_beats_come_though_nothing_happens(root: Path) -> None:
    async with following(root, beat_s=0.02) as told:
        for _ in range(3):
            assert await told.batch() == frozenset()


async def test_reading_files_rings_no_bell(root: Path) -> None:
    with Doorbell([str(root / "hello/nodes")]) as bell:
        (root / "hello/nodes/greet.ts").read_text()
        list((root / "hello/nodes").iterdir())
        (root / "hello").touch()  # is above

        assert not await bell.rings(within_s=0.1)


async def test_a_name_that_is_not_utf8_stops_nobody(root: Path) -> None:
    strange = root / os.fsdecode(b"caf\xe9")
    async with following(root) as told:
        await told.beat()
        strange.mkdir()
        await told.beat()
        (root / "a").touch()

        await told.until(root / "a")


LIMITED = """
import asyncio, sys
from pathlib import Path
from pdwatch.adapters.watcher import FileWatcher
from tests.adapters.followed_files import BOUND_S, following, made_root
from pdwatch.errors import SourceError

Path("/proc/sys/user", sys.argv[1]).write_text(sys.argv[2])

async def follow():
    async for _ in FileWatcher().changes([Path(sys.argv[3])]):
        return

try:
    asyncio.run(follow())
except SourceError as error:
    print(error.message, error.remedy, sep="; ")
"""


@pytest.mark.parametrize(
    ("limit", "count", "sysctl"),
    [
        ("max_inotify_watches", "2", "fs.inotify.max_user_watches"),
        ("max_inotify_instances", "0", "fs.inotify.max_user_instances"),
    ],
)
def test_a_limit_of_the_system_is_an_error_that_says_what_to_raise(
    root: Path, limit: str, count: str, sysctl: str
) -> None:
    # A user namespace of its own has limits of its own.
    ended = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", LIMITED, limit, count, str(root)],
        check=True,
        capture_output=True,
        text=True,
    )

    assert "the system's limit on inotify" in ended.stdout
    assert f"sysctl {sysctl}=" in ended.stdout
