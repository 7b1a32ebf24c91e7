"""Discovery: real files and a watcher that says what the test tells it to."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from pdwatch.adapters.files import FileSource
from pdwatch.core.resync import ROUND
from pdwatch.discovery import WorkflowDiscovery
from pdwatch.logs import Event
from pdwatch.tracked import TrackedWorkflows
from tests.adapters.test_scan_memory import settle_at_once, wait_for_tick
from tests.adapters.workflow_files import WORKFLOW, write
from tests.recording_log import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence
    from pathlib import Path

    import pytest


NOTICED_AT = 7.0


class Told:
    """Yields the batches it was given."""

    def __init__(self, *batches: frozenset[Path]) -> None:
        self._batches = batches
        self.noticed_at: float | None = NOTICED_AT

    async def changes(self, roots: Sequence[Path]) -> AsyncGenerator[frozenset[Path]]:
        for batch in self._batches:
            yield batch


class Queue:
    """Remembers what was added."""

    def __init__(self) -> None:
        self.added: list[tuple[str, str, bool]] = []
        self.noticed_at: list[float | None] = []

    def add(self, key: Path, *, cause: str, saved: bool = False, noticed_at: float | None = None) -> None:
        self.added.append((key.name, cause, saved))
        self.noticed_at.append(noticed_at)

    def refresh(self, key: Path, *, cause: str) -> None:
        self.add(key, cause=cause)


def workflow(root: Path) -> Path:
    root.mkdir(parents=True)
    (root / "workflow.yaml").write_text("name: any\n")
    return root


async def follow(
    root: Path, *batches: frozenset[Path], known: Sequence[Path] = (), reader: FileSource | None = None
) -> tuple[Queue, RecordingLog]:
    queue, log, tracked = Queue(), RecordingLog(), TrackedWorkflows()
    for each in known:
        tracked.track(each)
    discovery = WorkflowDiscovery(
        reader or FileSource(recipe="test"),
        Told(*batches),
        tracked=tracked,
        queue=queue,  # type: ignore[arg-type]
        log=log,
    )
    await discovery.follow([root])
    return queue, log


async def test_a_saved_file_queues_its_workflow_as_a_save(tmp_path: Path):
    root = workflow(tmp_path / "hello")
    queue, _ = await follow(tmp_path, frozenset({root / "workflow.yaml"}), known=[root])
    assert queue.added == [("hello", "save", True)]
    assert queue.noticed_at == [NOTICED_AT], "its time counts from there, not from when it had settled"


async def test_a_beat_queues_everything_without_calling_it_a_save(tmp_path: Path):
    known = [workflow(tmp_path / "one"), workflow(tmp_path / "two")]
    queue, _ = await follow(tmp_path, frozenset(), known=known)
    assert sorted(queue.added) == [("one", "missed", False), ("two", "missed", False)]


async def test_a_beat_queues_what_has_moved_and_a_round_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settle_at_once(monkeypatch)
    reader = FileSource(recipe="test")
    known = [tmp_path / f"{number:02}" for number in range(2 * ROUND)]
    for root in known:
        write(root, "workflow.yaml", WORKFLOW)
        write(root, "nodes/greet.ts")
        await reader.scan(root)
    wait_for_tick(known[-1])
    write(known[-1], "nodes/greet.ts", "saved where inotify does not see it")

    queue, _ = await follow(tmp_path, frozenset(), known=known, reader=reader)

    assert sorted(queue.added) == [
        *((root.name, "resync", False) for root in known[:ROUND]),
        (known[-1].name, "missed", False),
    ]


async def test_a_new_directory_is_found_and_told(tmp_path: Path):
    root = workflow(tmp_path / "hello")
    queue, log = await follow(tmp_path, frozenset({root}))
    assert queue.added == [("hello", "save", True)]
    assert [line["directory"] for line in log.named(Event.WORKFLOW_FOUND)] == [str(root)]


async def test_two_looks_at_once_tell_of_each_workflow_once_and_let_others_in_between(tmp_path: Path):
    for number in range(20):
        workflow(tmp_path / f"{number:02}")
    queue, log, tracked = Queue(), RecordingLog(), TrackedWorkflows()
    discovery = WorkflowDiscovery(
        FileSource(recipe="test"),
        Told(),
        tracked=tracked,
        queue=queue,  # type: ignore[arg-type]
        log=log,
    )
    seen_between: set[int] = set()

    async def look_on() -> None:
        while True:
            seen_between.add(len(tracked))
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        looking_on = group.create_task(look_on())
        looks = [
            group.create_task(discovery.look([tmp_path], cause=cause)) for cause in ("start", "settings")
        ]
        await asyncio.wait(looks)
        looking_on.cancel()

    assert [line["workflow"] for line in log.named(Event.WORKFLOW_FOUND)] == sorted(
        root.name for root in tmp_path.iterdir()
    )
    assert len(queue.added) == 20
    assert len(seen_between) > 10, "others had their turn between the lines"


async def test_the_watches_are_gone_once_following_has_ended_wherever_it_was(tmp_path: Path):
    """Settings that were reloaded during a look at everything left them to the garbage collector."""
    looking, closed = asyncio.Event(), asyncio.Event()

    class Watched(Told):
        async def changes(self, roots: Sequence[Path]) -> AsyncGenerator[frozenset[Path]]:
            try:
                yield frozenset()
            finally:
                closed.set()

    class Slow(FileSource):
        async def moved(self, roots: Collection[Path]) -> frozenset[Path]:
            looking.set()
            await asyncio.Event().wait()
            return frozenset()

    discovery = WorkflowDiscovery(
        Slow(recipe="test"),
        Watched(),
        tracked=TrackedWorkflows(),
        queue=Queue(),  # type: ignore[arg-type]
        log=RecordingLog(),
    )
    following = asyncio.create_task(discovery.follow([tmp_path]))
    await looking.wait()
    following.cancel()
    await asyncio.wait({following})

    assert closed.is_set()


async def test_a_directory_that_went_is_queued_so_that_its_scan_finds_it_gone(tmp_path: Path):
    root = workflow(tmp_path / "hello")
    shutil.rmtree(root)
    queue, _ = await follow(tmp_path, frozenset({root}), known=[root])
    assert ("hello", "removed", False) in queue.added


async def test_a_root_that_went_takes_its_workflows_with_it_and_ends_nothing(tmp_path: Path):
    top = tmp_path / "top"
    root = workflow(top / "hello")
    shutil.rmtree(top)
    queue, _ = await follow(top, frozenset(), known=[root])
    assert ("hello", "removed", False) in queue.added


async def test_a_link_to_a_workflow_elsewhere_is_told_once_with_what_to_do(tmp_path: Path):
    elsewhere = workflow(tmp_path / "elsewhere")
    (tmp_path / "top").mkdir()
    (tmp_path / "top/hello").symlink_to(elsewhere)
    queue, log = await follow(tmp_path / "top", frozenset(), frozenset())
    assert queue.added == []
    [line] = log.named(Event.WORKFLOW_SKIPPED)
    assert line["directory"] == str(tmp_path / "top/hello")
    assert str(elsewhere) in line["remedy"]


async def test_a_link_to_a_workflow_below_a_root_is_not_worth_a_word(tmp_path: Path):
    workflow(tmp_path / "hello")
    (tmp_path / "same").symlink_to("hello")
    _, log = await follow(tmp_path, frozenset())
    assert log.named(Event.WORKFLOW_SKIPPED) == []


async def test_what_an_editor_wrote_and_renamed_makes_nobody_search(tmp_path: Path):
    root = workflow(tmp_path / "hello")
    workflow(tmp_path / "new")  # would be found
    queue, log = await follow(tmp_path, frozenset({root / "nodes/saving.tmp"}), known=[root])
    assert log.named(Event.WORKFLOW_FOUND) == []
    assert queue.added == [("hello", "save", True)]
