"""Images in Docker, and Deployments in a cluster."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from pdwatch.adapters.docker import docker_ports
from pdwatch.adapters.kubernetes.cluster import ApiCluster
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.adapters.kubernetes.deployments import ApiRevisionHistory
from pdwatch.adapters.kubernetes.pin import pin
from pdwatch.adapters.kubernetes.pods import ApiPodLogs
from pdwatch.adapters.kubernetes.undeploy import ApiUndeployer
from pdwatch.adapters.kubernetes.view import WorkflowView
from pdwatch.targets import Target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pdwatch.core.model import ViewChange
    from pdwatch.heartbeats import Heartbeats
    from pdwatch.logs import EventLog
    from pdwatch.settings import Settings


@asynccontextmanager
async def kubernetes_target(
    settings: Settings, *, notify: Callable[[ViewChange], None], log: EventLog, heartbeats: Heartbeats
) -> AsyncIterator[Target]:
    """Connect to the cluster and to Docker, which need not answer yet.

    Args:
        settings: Which cluster, registry and network.
        notify: Called with every change of a Deployment or of its rollout.
        log: Where the watches report on themselves.
        heartbeats: Where they show that they live.

    Raises:
        SettingsError: There is no usable kubeconfig, or Docker's address is unusable.
    """
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(
            connect(context=settings.context, allow_contexts=settings.allow_contexts)
        )
        docker = await stack.enter_async_context(
            docker_ports(builder=settings.builder, network=settings.build_network)
        )

        def take(settings: Settings) -> None:
            api.guard.allowed = settings.allow_contexts

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(view.run(), name="watch namespaces")
                group.create_task(pin(api, log=log), name="pin the cluster")
                group.create_task(docker.run(), name="follow Docker")

        cluster = ApiCluster(api)

        def seen(change: ViewChange) -> None:
            if change.status is not None and change.status.stalled:
                cluster.doubt()
            notify(change)

        view = WorkflowView(api, notify=seen, log=log, heartbeats=heartbeats)
        yield Target(
            name="kubernetes",
            builder=docker.builder,
            publisher=docker.publisher,
            cluster=cluster,
            view=view,
            pod_logs=ApiPodLogs(api),
            namespace=api.namespace,
            secrets=False,
            run=run,
            take=take,
            image_store=docker.image_store,
            history=ApiRevisionHistory(api),
            undeployer=ApiUndeployer(api),
        )
