"""Logs of real pods: across a rollout, a restart, and a connection that is cut again and again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pdwatch.adapters.kubernetes.cluster import ApiCluster
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.adapters.kubernetes.pod_log import Portion, WorkflowLogs
from tests.adapters.api_proxy import api_proxy, kubeconfig_through
from tests.adapters.workloads import SERVE, workload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from pdwatch.core.pod_log import PodLine
    from tests.testbed.client import Testbed

WAIT_S = 90
"""A bound, not an expectation."""
COUNT = f"let i = 0; setInterval(() => console.log(`count ${{i++}}`), 10); {SERVE}"
CRASH_LATER = 'console.log("run"); setTimeout(() => Deno.exit(1), 300)'


@dataclass(slots=True)
class Followed:
    """Lines as they come."""

    lines: list[PodLine] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def put(self, line: PodLine) -> None:
        async with self._news:
            self.lines.append(line)
            self._news.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S), self._news:
            await self._news.wait_for(true)

    def counts(self, pod: str) -> list[int]:
        texts = [line.text for line in self.lines if line.pod == pod]
        return [int(text.removeprefix("count ")) for text in texts if text.startswith("count ")]

    @property
    def pods(self) -> list[str]:
        """In the order in which they first wrote."""
        return list(dict.fromkeys(line.pod for line in self.lines))


@asynccontextmanager
async def following(logs: WorkflowLogs) -> AsyncIterator[Followed]:
    followed = Followed()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(logs.follow(Portion(), put=followed.put, tell=followed.told.append))
        yield followed
        task.cancel()


async def test_a_rollout_is_followed_from_the_old_pod_to_the_new(testbed: Testbed, namespace: str):
    async with connect(kubeconfig=testbed.kubeconfig) as api:
        await ApiCluster(api).apply(workload(namespace, COUNT))
        async with following(WorkflowLogs(api, namespace, "hello")) as followed:
            await followed.until(lambda: len(followed.lines) > 10)
            await ApiCluster(api).apply(workload(namespace, COUNT, digest="sha256:" + "2" * 64))
            await followed.until(lambda: len(followed.pods) == 2)
            old, new = followed.pods
            await followed.until(lambda: len(followed.counts(new)) > 10)
        for name in (old, new):
            assert followed.counts(name) == list(range(len(followed.counts(name))))
        assert followed.told == []


async def test_every_run_of_a_container_that_crashes_is_followed(testbed: Testbed, namespace: str):
    async with connect(kubeconfig=testbed.kubeconfig) as api:
        await ApiCluster(api).apply(workload(namespace, CRASH_LATER))
        logs = WorkflowLogs(api, namespace, "hello")
        async with following(logs) as followed:
            await followed.until(lambda: len(followed.lines) == 2)
        assert [line.text for line in followed.lines] == ["run", "run"]
        assert len(followed.pods) == 1
        async with asyncio.timeout(WAIT_S):
            while await previous_lines(logs) != ["run"]:  # it may have crashed again between the two requests
                pass


async def previous_lines(logs: WorkflowLogs) -> list[str]:
    previous = [run for run in await logs.runs() if run.previous]
    return [line.text for run in previous for line in await logs.read(run, Portion())]


async def test_a_connection_that_is_cut_again_and_again_loses_and_repeats_no_line(
    testbed: Testbed, namespace: str, tmp_path: Path
):
    async with connect(kubeconfig=testbed.kubeconfig) as api:
        await ApiCluster(api).apply(workload(namespace, COUNT))
    async with api_proxy(testbed) as proxy:
        through = kubeconfig_through(testbed, tmp_path / "kubeconfig", proxy)
        async with (
            connect(kubeconfig=through) as api,
            following(WorkflowLogs(api, namespace, "hello")) as followed,
        ):
            for _ in range(4):
                seen = len(followed.lines)
                await followed.until(lambda seen=seen: len(followed.lines) > seen + 20)  # type: ignore[misc]
                proxy.lead_elsewhere(None)
            seen = len(followed.lines)
            await followed.until(lambda: len(followed.lines) > seen + 20)
        (pod,) = followed.pods
        assert followed.counts(pod) == list(range(len(followed.counts(pod))))
        assert len([each for each in proxy.requests if each.endswith("/log")]) >= 5


async def test_a_portion_is_the_last_lines(testbed: Testbed, namespace: str):
    async with connect(kubeconfig=testbed.kubeconfig) as api:
        await ApiCluster(api).apply(workload(namespace, COUNT))
        logs = WorkflowLogs(api, namespace, "hello")
        async with following(logs) as followed:
            await followed.until(lambda: len(followed.lines) > 10)
        (run,) = await logs.runs()
        assert len(await logs.read(run, Portion(tail=3))) == 3
