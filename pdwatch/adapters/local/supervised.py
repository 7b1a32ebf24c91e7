"""One engine, kept running for as long as it is wanted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pdwatch.adapters.local.engine import running_engine
from pdwatch.core.backoff import backoff
from pdwatch.core.local_objects import Crash, pod
from pdwatch.core.manifests import PROGRESS_DEADLINE_S
from pdwatch.core.names import DIGEST_ANNOTATION
from pdwatch.logs import Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import aiohttp

    from pdwatch.adapters.local.engine import Engine, OutputLine
    from pdwatch.adapters.local.secrets import SecretVolume
    from pdwatch.adapters.local.stages import Stage, Stages
    from pdwatch.core.model import Manifest
    from pdwatch.logs import EventLog

RESTART_BASE_S = 1.0
RESTART_CAP_S = 30.0
STEADY_S = 10.0
"""An engine that has served for so long is restarted at once when it ends."""
START_S = float(PROGRESS_DEADLINE_S)
"""How long an engine may take until it answers."""
_PROBE_S = 1.0
"""Between two questions to an engine that listens, as ``periodSeconds``."""
_LATE = f"(ended by pdwatch, since /health did not answer within {PROGRESS_DEADLINE_S} s)"
_NOT_STARTED = 127
"""What a shell says of a command that it can't run."""
_OF_ITSELF = frozenset({"listening", "stopping", "stopped"})
"""What an engine says of its own coming and going, which pdwatch tells as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every workload has in common."""

    stages: Stages
    deno: Path
    group: asyncio.TaskGroup
    session: aiohttp.ClientSession
    log: EventLog
    jitter: Callable[[], float]
    version: Callable[[], int]
    """Return the next resourceVersion."""
    tell_deployment: Callable[[Manifest], None]
    tell_pod: Callable[[Manifest], None]
    pod_gone: Callable[[Manifest], None]
    keep_output: Callable[[str, tuple[str, ...]], None]
    """Called with a pod's name and the last lines of its engine, once that has ended."""


class Owner(Protocol):
    """Whose engine it is."""

    def answers(self, supervised: Supervised, port: int) -> None:
        """Take note that the engine answers with the digest that it should."""
        ...

    def ended(self, supervised: Supervised) -> None:
        """Take note that its process has ended by itself, and will be started again."""
        ...


class Supervised:
    """One generation's engine, started again whenever it ends, as a kubelet does.

    Args:
        deployment: The stored Deployment of that generation.
        owner: Who gets to know what becomes of it.
        volume: The workflow's secrets.
        surroundings: What all workloads share.
    """

    def __init__(
        self, deployment: Manifest, owner: Owner, *, volume: SecretVolume, surroundings: Surroundings
    ) -> None:
        self.generation = generation_of(deployment)
        self.ready = False
        self._owner = owner
        self._volume = volume
        self._around = surroundings
        self._deployment = deployment
        self._digest: str = deployment["metadata"]["annotations"][DIGEST_ANNOTATION]
        self._name = f"{deployment['metadata']['name']}-{self.generation}"
        self._since = datetime.now(UTC)
        self._task: asyncio.Task[None] | None = None
        metadata = deployment["metadata"]
        self._log = self._around.log.bind(
            workflow=metadata["name"],
            namespace=metadata["namespace"],
            source_digest=self._digest,
            generation=self.generation,
        )

    def start(self, group: asyncio.TaskGroup) -> None:
        """Start the engine, as a task of the group."""
        self._around.stages.hold(image_of(self._deployment))
        self._task = group.create_task(self._supervise(), name=f"engine {self._name}")

    def stop(self) -> None:
        """Let the engine finish its runs and end; it counts no more from now on."""
        self.ready = False
        self._around.pod_gone(self._pod(None))
        assert self._task is not None
        self._task.cancel()

    async def _supervise(self) -> None:
        clock = asyncio.get_running_loop().time
        attempt = restarts = 0
        crash: Crash | None = None
        try:
            while True:
                self._around.tell_pod(self._pod(crash))
                started = clock()
                status = await self._run(crash)
                attempt = 0 if clock() - started > STEADY_S else attempt + 1
                restarts += 1
                crash = Crash(status=status, restarts=restarts)
                self._around.tell_pod(self._pod(crash))
                self._owner.ended(self)
                pause_s = backoff(
                    attempt, base_s=RESTART_BASE_S, cap_s=RESTART_CAP_S, jitter=self._around.jitter()
                )
                await asyncio.sleep(pause_s if attempt else 0)
        finally:
            await self._around.stages.release(image_of(self._deployment))

    async def _run(self, crash: Crash | None) -> int:
        """Run the engine until it ends by itself; return its exit status."""
        around = self._around
        stage = around.stages.stage(image_of(self._deployment))
        command = stage.command(deno=around.deno, secrets=self._volume)
        output: tuple[str, ...] = ()
        try:
            async with running_engine(command, app=stage.app, hear=partial(self._hear, stage)) as engine:
                in_time = await self._follow(engine, crash)
                status = await engine.ended()
                output = (*map(stage.in_workflow, engine.last_lines), *(() if in_time else (_LATE,)))
        except OSError as error:
            status, output = _NOT_STARTED, (f"{around.deno} can't be started: {error.strerror}",)
        self.ready = False
        around.keep_output(self._name, output)
        return status

    async def _follow(self, engine: Engine, crash: Crash | None) -> bool:
        """Tell once the engine answers, or end it when it takes too long to; return whether it did not."""
        try:
            async with asyncio.timeout(START_S):
                port = await engine.port()
                while port is not None and await engine.digest(self._around.session) != self._digest:
                    await asyncio.sleep(_PROBE_S)
                    port = None if engine.has_ended else port
        except TimeoutError:
            engine.kill()
            return False
        if port is not None:
            self.ready = True
            self._owner.answers(self, port)  # first, or for a moment nothing would explain what is missing
            self._around.tell_pod(self._pod(crash))
        return True

    def _pod(self, crash: Crash | None) -> Manifest:
        return pod(self._deployment, name=self._name, ready=self.ready, crash=crash, since=self._since)

    def _hear(self, stage: Stage, line: OutputLine) -> None:
        own = line.node is None and line.run_id is None and line.message in _OF_ITSELF
        self._log.pass_on(
            Event.ENGINE_OUTPUT,
            "debug" if own else line.level,
            node=line.node,
            run_id=line.run_id,
            message=stage.in_workflow(line.message),
            detail=line.detail and stage.in_workflow(line.detail),
        )


def image_of(deployment: Manifest) -> str:
    """Return the reference that a Deployment's container names."""
    image: str = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def generation_of(deployment: Manifest) -> int:
    """Return a stored Deployment's generation."""
    generation: int = deployment["metadata"]["generation"]
    return generation
