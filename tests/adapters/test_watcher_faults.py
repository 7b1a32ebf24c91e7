"""What the kernel or watchfiles loses of what happens on a real disk, and what happens at a bad moment."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from watchfiles._rust_notify import RustNotify

from pdwatch.adapters import watcher
from pdwatch.adapters.doorbell import Doorbell
from tests.adapters.followed_files import following, made_root

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_root(tmp_path)


def overflow(root: Path) -> None:
    """Have more happen at once than inotify's queue holds."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    files = [root / "hello/a", root / "hello/b"]
    for file in files:
        file.touch()
    for number in range(limit + 1):  # two by turns, since equal events in a row count as one
        os.utime(files[number % 2])


async def test_an_overflow_of_inotifys_queue_is_followed_by_a_beat(root: Path) -> None:
    async with following(root) as told:
        await told.beat()
        overflow(root)

        await told.beat()


class Gatherer:
    """watchfiles, with a meddler between it and pdwatch that may change what it tells, or first the disk."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        told: Callable[[set[tuple[int, str]]], set[tuple[int, str]]] = lambda gathered: gathered,
        before: Callable[[], object] = lambda: None,
    ) -> None:
        self._start = RustNotify
        self._told = told
        self._before = before
        monkeypatch.setattr(watcher, "RustNotify", self)

    def __call__(self, directories: list[str], **options: Any) -> Gatherer:
        self._before()
        self._notify = self._start(directories, **options)
        self.close = self._notify.close
        return self

    def watch(self, **options: Any) -> set[tuple[int, str]] | str:
        gathered = self._notify.watch(**options)
        return self._told(gathered if isinstance(gathered, set) else set()) or "timeout"


def losing(*names: str) -> Callable[[set[tuple[int, str]]], set[tuple[int, str]]]:
    return lambda gathered: {each for each in gathered if Path(each[1]).name not in names}


async def test_what_watchfiles_misses_is_followed_by_a_beat(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gatherer(monkeypatch, told=losing("greet.ts"))
    async with following(root) as told:
        await told.beat()
        (root / "hello/nodes/greet.ts").write_text("2")

        await told.beat()


async def test_what_watchfiles_tells_late_is_in_the_same_batch(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: set[tuple[int, str]] = set()

    def told_in_order(gathered: set[tuple[int, str]]) -> set[tuple[int, str]]:
        """The cookie last, as inotify has it."""
        late.update(gathered)
        first = min(late, key=lambda each: (each[1].startswith("/proc/"), each))
        late.remove(first)
        return {first}

    Gatherer(monkeypatch, told=told_in_order)
    async with following(root, settle_s=0.3, longest_s=3.0) as told:
        await told.beat()
        (root / "a").touch()
        (root / "b").touch()

        assert await told.batch() == {root / "a", root / "b"}


async def test_a_directory_that_is_made_again_while_the_watches_are_set_up_is_watched(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = root / "hello/nodes"

    def make_again() -> None:
        if (nodes / "greet.ts").exists():  # the doorbell watches it already, and watchfiles not yet
            shutil.rmtree(nodes)
            nodes.mkdir()

    Gatherer(monkeypatch, before=make_again)
    async with following(root) as told:
        await told.beat()
        await told.beat()
        (nodes / "a.ts").touch()

        await told.until(nodes / "a.ts")


async def test_a_directory_whose_making_was_lost_in_an_overflow_is_watched(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gatherer(monkeypatch, told=losing("new"))
    async with following(root) as told:
        await told.beat()
        overflow(root)
        (root / "new").mkdir()
        await told.beat()
        (root / "new/a.ts").touch()

        await told.until(root / "new/a.ts")


async def test_a_storm_is_followed_by_a_beat_since_watchfiles_may_drop_what_comes_while_it_tells(
    root: Path,
) -> None:
    async with following(root, settle_s=0.02, longest_s=0.0) as told:
        await told.beat()
        (root / "a").touch()
        assert await told.batch() == {root / "a"}

        assert await told.batch() == frozenset()


async def test_a_directory_that_may_be_listed_but_not_watched_keeps_no_other_from_being_watched(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = str(root / "hello/nodes")

    def doorbell(directories: Sequence[str]) -> Doorbell:
        if refused in directories:
            raise PermissionError(errno.EACCES, "Permission denied", refused)
        return Doorbell(directories)

    monkeypatch.setattr(watcher, "Doorbell", doorbell)
    async with following(root) as told:
        await told.beat()
        (root / "hello/workflow.yaml").touch()

        await told.until(root / "hello/workflow.yaml")
