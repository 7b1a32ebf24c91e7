"""What editors and git do to the files of a workflow, on a real disk: how often it is read, and built."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.files import FileSource
from pdwatch.adapters.watcher import FileWatcher
from pdwatch.discovery import WorkflowDiscovery
from pdwatch.tracked import Policy, Revision, TrackedWorkflows
from pdwatch.workqueue import Slot, WorkQueue
from tests.recording_log import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

BOUND_S = 60.0
SETTLE_S, LONGEST_S = 0.5, 10.0
"""Longer than any pause that a busy machine makes between two system calls, so that counts are certain."""
WORKFLOW = """\
name: hello
version: "1.0"
triggers: [{type: manual}]
nodes: {greet: {path: nodes/greet.ts}}
edges: []
"""
POLICY = Policy(namespace="any")


@dataclass(slots=True, eq=False)
class Work:
    """Reads a workflow each time that it is told to, and remembers what it found."""

    source: FileSource
    tracked: TrackedWorkflows
    causes: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    settled_s: list[float] = field(default_factory=list)
    """How long after each save was noticed it was told."""
    worked: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, slot: Slot[Path]) -> None:
        slot.take()
        cause = slot.cause
        if slot.saved_at is not None:
            self.settled_s.append(slot.added_at - slot.saved_at)
        snapshot = await self.source.scan(slot.key)
        self.tracked.track(slot.key).revision = Revision(snapshot=snapshot, namespace="any", policy=POLICY)
        async with self.worked:
            self.causes.append(cause)
            if self.digests[-1:] != [snapshot.digest]:
                self.digests.append(snapshot.digest)
            self.worked.notify_all()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(BOUND_S), self.worked:
            await self.worked.wait_for(done)

    @property
    def scans(self) -> int:
        return self.causes.count("save")


@asynccontextmanager
async def watched(root: Path, *, settle_s: float = SETTLE_S) -> AsyncIterator[Work]:
    """Follow a workflow's directory, and the one beside it in which a save says that all before is told."""
    tracked, source = TrackedWorkflows(), FileSource(recipe="test")
    work = Work(source, tracked)
    queue = WorkQueue(work.take)
    watcher = FileWatcher(settle_s=settle_s, longest_s=LONGEST_S, beat_s=3600)
    discovery = WorkflowDiscovery(source, watcher, tracked=tracked, queue=queue, log=RecordingLog())
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(queue.run(), name="work"),
            group.create_task(discovery.follow([root]), name="follow"),
        ]
        await work.until(lambda: "missed" in work.causes)  # the watches stand
        yield work
        for task in tasks:
            task.cancel()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "hello"
    (root / "nodes").mkdir(parents=True)
    (root / "workflow.yaml").write_text(WORKFLOW)
    (root / "nodes/greet.ts").write_text("1")
    return root


def vim(file: Path) -> None:
    """With ``backupcopy=no``: probe the directory, put the old file aside, write a new one."""
    swap, probe, backup = file.with_name(f".{file.name}.swp"), file.with_name("4913"), f"{file}~"
    swap.write_text("swap")
    probe.touch()
    probe.chmod(0o644)
    probe.unlink()
    file.rename(backup)
    file.write_text("2")
    file.chmod(0o644)
    file.with_name(f"{file.name}~").unlink()
    swap.unlink()


def vs_code(file: Path) -> None:
    """Empty the file, then write it."""
    with file.open("w") as opened:
        opened.truncate()
        opened.flush()
        opened.write("2")


def jetbrains(file: Path) -> None:
    """Safe write: beside the file, then swapped with it."""
    temporary, old = file.with_name(f"{file.name}___jb_tmp___"), file.with_name(f"{file.name}___jb_old___")
    temporary.write_text("2")
    temporary.chmod(0o644)
    file.rename(old)
    temporary.rename(file)
    old.unlink()


def emacs(file: Path) -> None:
    """A lock, the autosave, a backup, the file, and away with lock and autosave."""
    lock, autosave = file.with_name(f".#{file.name}"), file.with_name(f"#{file.name}#")
    lock.symlink_to("somebody@somewhere.1234:5678")
    autosave.write_text("2")
    file.rename(f"{file}~")
    file.write_text("2")
    file.chmod(0o644)
    autosave.unlink()
    lock.unlink()


def gnome(file: Path) -> None:
    """A new file that is renamed over the old one."""
    temporary = file.with_name(".goutputstream-A1B2C3")
    temporary.write_text("2")
    temporary.chmod(0o644)
    temporary.replace(file)


def formatter(file: Path) -> None:
    """Saved, and written again at once by a formatter."""
    file.write_text("2 ")
    file.write_text("2")


@pytest.mark.parametrize(
    "save", [vim, vs_code, jetbrains, emacs, gnome, formatter], ids=lambda save: save.__name__
)
async def test_a_save_is_read_once_and_built_once(root: Path, save: Callable[[Path], None]):
    async with watched(root) as work:
        save(root / "nodes/greet.ts")
        await work.until(lambda: work.scans == 1)
        (root / "nodes/greet.ts").write_text("the end")
        await work.until(lambda: len(work.digests) > 2)

        assert work.scans == len(["the save", "the end"])
        assert len(work.digests) == len(["before", "the save", "the end"])


async def test_a_save_counts_from_its_first_event_and_not_from_when_it_had_settled(root: Path):
    async with watched(root) as work:
        vim(root / "nodes/greet.ts")
        await work.until(lambda: work.scans == 1)
    assert work.settled_s[0] >= SETTLE_S


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=any", "-c", "user.email=any@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


async def test_a_checkout_of_200_files_is_one_build(root: Path):
    git(root, "init", "--initial-branch=one")
    for branch in ("one", "two"):
        for number in range(200):
            (root / f"nodes/n{number}.ts").write_text(branch)
        git(root, "add", ".")
        git(root, "commit", "--message=any")
        git(root, "branch", "--force", "two")
    git(root, "checkout", "HEAD~1")
    async with watched(root) as work:
        await asyncio.to_thread(git, root, "checkout", "two")
        await work.until(lambda: len(work.digests) > 1)

        assert (await work.source.scan(root)).digest == work.digests[-1]
        assert work.scans == 1


async def test_of_50_saves_the_last_one_is_what_was_read_last(root: Path):
    async with watched(root, settle_s=0.01) as work:
        for number in range(50):
            (root / "nodes/greet.ts").write_text(str(number))
            await asyncio.sleep(0)  # let the watcher see some of them one by one
        last = (await FileSource(recipe="test").scan(root)).digest

        await work.until(lambda: work.digests[-1] == last)

        assert work.scans <= 50
