"""Waiting for the end of one rollout."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.kubernetes.cluster import ApiCluster
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.adapters.kubernetes.rollout_watch import wait_for_rollout
from pdwatch.core.model import RolloutPhase
from pdwatch.core.rollout import RolloutTransition
from pdwatch.errors import NotFoundError
from tests.adapters.workloads import MISSING, workload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import RolloutStatus
    from tests.testbed.client import Testbed

WAIT_S = 90
"""A bound, not an expectation."""
T = RolloutTransition
FIRST, SECOND = ("sha256:" + digit * 64 for digit in "12")


@pytest.fixture
async def api(testbed: Testbed) -> AsyncIterator[Api]:
    async with connect(kubeconfig=testbed.kubeconfig) as api:
        yield api


@pytest.fixture
def cluster(api: Api) -> ApiCluster:
    return ApiCluster(api)


class TestWaitingForARollout:
    async def test_it_ends_when_the_rollout_is_complete(
        self, api: Api, cluster: ApiCluster, namespace: str
    ) -> None:
        seen: list[RolloutStatus] = []
        await cluster.apply(workload(namespace))

        status = await wait(api, namespace, seen)

        assert status.phase is RolloutPhase.READY
        assert seen[0].phase is RolloutPhase.PROGRESSING
        assert seen[-1] == status

    async def test_it_ends_when_the_rollout_has_stalled(
        self, api: Api, cluster: ApiCluster, namespace: str
    ) -> None:
        await cluster.apply(workload(namespace, image=MISSING))

        assert (await wait(api, namespace)).reason == "ImagePullBackOff"

    async def test_a_rollout_of_other_sources_is_not_the_one(
        self, api: Api, cluster: ApiCluster, namespace: str
    ) -> None:
        await cluster.apply(workload(namespace, digest=SECOND, replicas=0))
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(
                wait_for_rollout(
                    api,
                    namespace=namespace,
                    name="hello",
                    digest=FIRST,
                    on_status=lambda status: ready.set() if status.phase is RolloutPhase.READY else None,
                )
            )
            await ready.wait()
            assert not waiting.done()
            await cluster.apply(workload(namespace, replicas=0))
        assert waiting.result().source_digest == FIRST

    async def test_a_deployment_that_is_gone_is_an_error(self, api: Api, namespace: str) -> None:
        with pytest.raises(NotFoundError, match=r"Deployment hello in namespace .* was deleted"):
            await wait(api, namespace)


async def wait(api: Api, namespace: str, seen: list[RolloutStatus] | None = None) -> RolloutStatus:
    statuses = [] if seen is None else seen
    async with asyncio.timeout(WAIT_S):
        return await wait_for_rollout(
            api, namespace=namespace, name="hello", digest=FIRST, on_status=statuses.append
        )
