"""Follows a rollout on one line of a terminal, for as long as a command is to wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdwatch.cli.console import Progress
from pdwatch.core.model import RolloutPhase

if TYPE_CHECKING:
    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import RolloutStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How a rollout stood when it was last looked at; None when nothing was heard of it."""

    status: RolloutStatus | None
    in_time: bool

    @property
    def ready(self) -> bool:
        """Whether the pods run what was asked for."""
        return self.in_time and self.status is not None and self.status.phase is RolloutPhase.READY


async def follow(
    api: Api, *, namespace: str, name: str, digest: str, timeout_s: float, word: str
) -> Followed:
    """Wait until a rollout has ended, well or not.

    Args:
        api: The connection.
        namespace: Where the Deployment is.
        name: The Deployment's name.
        digest: The source digest that is rolled out.
        timeout_s: How long to wait.
        word: What pods that run it are called: ``new``.

    Raises:
        ClusterError: Or one of its subclasses, by cause.
    """
    from pdwatch.adapters.kubernetes.rollout_watch import wait_for_rollout  # noqa: PLC0415  # it takes aiohttp

    seen: list[RolloutStatus] = []
    with Progress() as progress:

        def show(status: RolloutStatus) -> None:
            seen[:] = [status]
            progress.update(
                f"{name}: {status.updated}/{status.desired} {word}, {status.ready} ready {status.message}"
            )

        try:
            async with asyncio.timeout(timeout_s):
                await wait_for_rollout(api, namespace=namespace, name=name, digest=digest, on_status=show)
        except TimeoutError:
            return Followed(status=seen[0] if seen else None, in_time=False)
    return Followed(status=seen[0] if seen else None, in_time=True)
