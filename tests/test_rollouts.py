"""In which order rollouts are told, on virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.core.model import ObservedDeployment, Place, RolloutPhase, RolloutStatus, ViewChange
from pdwatch.rollouts import LOG_LINES_TIMEOUT_S, LOG_READS, RolloutReporter
from pdwatch.tracked import TrackedWorkflows
from tests.recording_log import RecordingLog

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.looptime

READY = RolloutStatus(
    phase=RolloutPhase.READY, generation=2, source_digest="s", desired=1, updated=1, ready=1, available=1
)
CRASHING = RolloutStatus(
    phase=RolloutPhase.NOT_READY,
    stalled=True,
    generation=1,
    source_digest="s",
    desired=1,
    updated=1,
    ready=0,
    available=0,
    reason="CrashLoopBackOff",
    pod="pod",
)


DEPLOYMENT = ObservedDeployment(
    name="any",
    namespace="dev",
    uid="u",
    generation=1,
    observed_generation=1,
    source_digest="s",
    image=None,
    desired=1,
    replicas=1,
    updated=1,
    ready=1,
    available=1,
    managed=True,
    created_at=None,
    manifest={},
)


class SlowPodLogs:
    """Pods whose last lines take almost as long as they may."""

    def __init__(self) -> None:
        self.reading = self.most = 0

    async def last_lines(self, _namespace: str, _pod: str) -> Sequence[str]:
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            await asyncio.sleep(LOG_LINES_TIMEOUT_S - 1)
        finally:
            self.reading -= 1
        return ("it broke",)


class Reporting:
    """A reporter that follows what the test sends."""

    def __init__(self, *names: str) -> None:
        self.log, self.pod_logs = RecordingLog(), SlowPodLogs()
        self.changes: asyncio.Queue[ViewChange] = asyncio.Queue()
        tracked = TrackedWorkflows()
        for name in names:
            tracked.claim(tracked.track(Path("/w") / name), Place(target="local", namespace="dev", name=name))
        self.reporter = RolloutReporter(
            "local",
            tracked,
            requeue=lambda *_: None,
            pod_logs=self.pod_logs,
            log=self.log,
            clock=asyncio.get_running_loop().time,
        )

    def see(self, name: str, status: RolloutStatus) -> None:
        self.changes.put_nowait(ViewChange(namespace="dev", name=name, deployment=DEPLOYMENT, status=status))

    async def run_for(self, seconds: float) -> list[tuple[str, str]]:
        """Return what has been told, as workflow and event."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.reporter.run(self.changes)
        return [(str(line["workflow"]), str(line["event"])) for line in self.log.lines]


async def test_a_pod_that_is_slow_to_give_its_last_lines_delays_its_own_workflow_alone():
    reporting = Reporting("slow", "quick")
    reporting.see("slow", CRASHING)
    reporting.see("slow", READY)
    reporting.see("quick", READY)
    assert await reporting.run_for(LOG_LINES_TIMEOUT_S) == [
        ("quick", "rollout.complete"),
        ("slow", "rollout.stalled"),
        ("slow", "rollout.complete"),
    ]


async def test_many_pods_that_crash_at_once_are_asked_a_few_at_a_time():
    names = [f"w{number}" for number in range(3 * LOG_READS)]
    reporting = Reporting(*names)
    for name in names:
        reporting.see(name, CRASHING)
    told = await reporting.run_for(4 * LOG_LINES_TIMEOUT_S)
    assert sorted(told) == sorted((name, "rollout.stalled") for name in names)
    assert {line["output"] for line in reporting.log.lines} == {"it broke"}
    assert reporting.pod_logs.most == LOG_READS
