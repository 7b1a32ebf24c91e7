"""What systemd is told, and when its watchdog is fed, on virtual time; systemd only keeps what it hears."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from pdwatch.core.daemon_state import Standing
from pdwatch.core.liveness import GRACE_S
from pdwatch.core.model import RolloutPhase, RolloutStatus, SourceSnapshot, WorkflowSpec
from pdwatch.core.plan import Held
from pdwatch.heartbeats import Heartbeats
from pdwatch.logs import Event
from pdwatch.service import ServiceReport
from pdwatch.standing import standing, summary
from pdwatch.tracked import Policy, Revision, Stage, TrackedWorkflow, TrackedWorkflows
from tests.adapters.recorded_log import RecordedLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pdwatch.adapters.systemd import Systemd


@dataclass(slots=True)
class Heard:
    """A systemd that keeps what it is told."""

    watchdog_s: float | None = 60.0
    listens = True
    told: list[str] = field(default_factory=list)

    async def ready(self) -> None:
        self.told.append("ready")

    async def reloading(self) -> None:
        self.told.append("reloading")

    async def status(self, line: str) -> None:
        self.told.append(line)

    async def alive(self) -> None:
        self.told.append("alive")

    async def extend_timeout(self, within_s: float) -> None:
        self.told.append(f"wait {within_s:g}")


@dataclass(slots=True, kw_only=True)
class World:
    systemd: Heard
    report: ServiceReport
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    tracked: TrackedWorkflows = field(default_factory=TrackedWorkflows)
    log: RecordedLog


@asynccontextmanager
async def reporting(**options: Any) -> AsyncIterator[World]:
    systemd, heartbeats, tracked, log = Heard(**options), Heartbeats(), TrackedWorkflows(), RecordedLog()
    report = ServiceReport(cast("Systemd", systemd), tracked=tracked, heartbeats=heartbeats, log=log)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(report.run())
        await asyncio.sleep(1)
        yield World(systemd=systemd, report=report, heartbeats=heartbeats, tracked=tracked, log=log)
        task.cancel()


def revision(**fields: Any) -> Revision:
    spec = WorkflowSpec(name="hello", version="1.0", triggers=(), nodes=())
    found = fields.pop("snapshot", None) or snapshot(spec)
    return Revision(snapshot=found, namespace="dev", policy=Policy(namespace="dev"), **fields)


def snapshot(spec: WorkflowSpec | None) -> SourceSnapshot:
    return SourceSnapshot(
        root=Path("/w/hello"), name="hello", digest="sha256:new", files=(), problems=(), spec=spec
    )


def rollout(*, digest: str = "sha256:new", **fields: Any) -> RolloutStatus:
    counts = {"generation": 1, "desired": 1, "updated": 1, "ready": 1, "available": 1}
    return RolloutStatus(source_digest=digest, **{"phase": RolloutPhase.READY, **counts, **fields})


@pytest.mark.parametrize(
    ("newest", "seen", "expected"),
    [
        pytest.param(None, None, Standing.CHECKING, id="it has not been read"),
        pytest.param(revision(), None, Standing.CHECKING, id="it is being compared with what runs"),
        pytest.param(revision(stage=Stage.BUILD), None, Standing.BUILDING, id="its image is built"),
        pytest.param(
            revision(stage=Stage.BUILD, waits=str), None, Standing.QUEUED, id="it waits for its build"
        ),
        pytest.param(
            revision(stage=Stage.BUILD),
            rollout(digest="sha256:old"),
            Standing.BUILDING,
            id="the last one runs",
        ),
        pytest.param(revision(stage=Stage.APPLY), None, Standing.ROLLING_OUT, id="it has been applied"),
        pytest.param(
            revision(stage=Stage.APPLY),
            rollout(phase=RolloutPhase.PROGRESSING),
            Standing.ROLLING_OUT,
            id="its pods start",
        ),
        pytest.param(revision(stage=Stage.APPLY), rollout(), Standing.READY, id="its pods run"),
        pytest.param(revision(), rollout(stalled=True), Standing.FAILING, id="its pods don't start"),
        pytest.param(
            revision(stage=Stage.BUILD, attempts=1), None, Standing.FAILING, id="it will be retried"
        ),
        pytest.param(revision(given_up=True), None, Standing.FAILING, id="it waits for a save"),
        pytest.param(
            revision(held=Held(reason="gvisor-missing", message="", remedy=None), attempts=1),
            None,
            Standing.HELD,
            id="it is held",
        ),
        pytest.param(
            revision(snapshot=snapshot(None)),
            rollout(digest="sha256:old"),
            Standing.INVALID,
            id="it is invalid",
        ),
    ],
)
def test_how_a_workflow_stands(newest: Revision | None, seen: RolloutStatus | None, expected: Standing):
    assert standing(TrackedWorkflow(Path("/w/hello"), revision=newest, rollout=seen)) is expected


@pytest.mark.parametrize(
    ("standings", "expected"),
    [
        pytest.param([], "watching 0 workflows", id="none"),
        pytest.param([Standing.READY], "watching 1 workflow: 1 ready", id="one"),
        pytest.param(
            [Standing.BUILDING, Standing.READY, Standing.READY],
            "watching 3 workflows: 2 ready, 1 building",
            id="those that are ready come first",
        ),
    ],
)
def test_the_summary_counts_workflows_by_how_they_stand(standings: list[Standing], expected: str):
    assert summary(standings) == expected


@pytest.mark.looptime
async def test_until_the_first_sync_it_asks_for_patience_and_after_it_the_watchdog_is_fed():
    async with reporting() as world:
        await asyncio.sleep(60)
        assert world.systemd.told == ["first sync, watching 0 workflows", "wait 90", "wait 90", "wait 90"]
        world.systemd.told.clear()
        await world.report.ready()
        await asyncio.sleep(60)
    assert world.systemd.told == ["watching 0 workflows", "ready", "alive", "alive"]


@pytest.mark.looptime
async def test_a_reload_is_told_but_one_before_the_first_sync_makes_no_start_ready():
    async with reporting() as world:
        world.systemd.told.clear()
        await world.report.reloading()
        await world.report.reloaded()
        assert world.systemd.told == []
        await world.report.ready()
        await world.report.reloading()
        await world.report.reloaded()
    assert [word for word in world.systemd.told if word.startswith("re")] == ["ready", "reloading", "ready"]


@pytest.mark.looptime
async def test_the_status_is_told_when_it_has_changed_and_only_then():
    async with reporting() as world:
        await world.report.ready()
        await asyncio.sleep(1)
        world.tracked.track(Path("/w/hello"))
        for _ in range(3):
            world.report.changed()
            await asyncio.sleep(1)
    assert world.systemd.told[-2:] == ["ready", "watching 1 workflow: 1 checking"]


@pytest.mark.looptime
async def test_a_hung_part_stops_the_feed_and_is_named_once_until_it_shows_life_again():
    async with reporting() as world:
        await world.report.ready()
        with world.heartbeats.part("watch files") as beat:
            beat(10)
            await asyncio.sleep(70 + GRACE_S)
            world.systemd.told.clear()
            await asyncio.sleep(600)
            assert world.systemd.told == []
            (line,) = world.log.named(Event.DAEMON_HUNG)
            assert line["parts"] == "watch files"
            beat(10)
            await asyncio.sleep(30)
            assert world.systemd.told == ["alive", "watching 0 workflows"]


@pytest.mark.looptime
async def test_a_part_that_hangs_in_the_first_sync_ends_the_patience():
    async with reporting() as world:
        with world.heartbeats.ending("scan /w/hello", within_s=1):
            await asyncio.sleep(60 + GRACE_S)
            world.systemd.told.clear()
            await asyncio.sleep(600)
            assert world.systemd.told == []


@pytest.mark.looptime
async def test_without_a_watchdog_a_start_is_still_asked_patience_for():
    async with reporting(watchdog_s=None) as world:
        await asyncio.sleep(20)
    assert world.systemd.told[-1] == "wait 60"
