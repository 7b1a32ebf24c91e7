"""One revision on its way to the cluster: compare with what runs, decide, build, publish, apply."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdwatch.admission import Admission
from pdwatch.building import Building, build_slots
from pdwatch.core.admission import Work
from pdwatch.core.backoff import backoff
from pdwatch.core.drift import drift
from pdwatch.core.image import image_references
from pdwatch.core.image_lack import AWAITED_S, ImageLack, is_unknown, lacks_image
from pdwatch.core.manifests import deployment, secret, service
from pdwatch.core.model import RolloutPhase
from pdwatch.core.observed import deployed_image
from pdwatch.core.plan import Cause, Held, Invalid, Rollout, UpToDate, plan
from pdwatch.errors import (
    ClusterChangedError,
    ClusterError,
    ContextNotAllowedError,
    DockerError,
    GvisorMissingError,
    PdwatchError,
    PushRefusedError,
    SourceChangedError,
)
from pdwatch.heartbeats import Heartbeats
from pdwatch.logs import Event, EventLog
from pdwatch.tracked import Revision, Stage, TrackedWorkflow, TrackedWorkflows, milliseconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from pdwatch.core.drift import FieldChange
    from pdwatch.core.model import Manifest, ObservedDeployment, TargetName, WorkflowSpec
    from pdwatch.core.plan import Plan
    from pdwatch.ports import Cluster, ClusterView, ImageBuilder, ImagePublisher, SourceReader

RETRY_BASE_S = 0.8
RETRY_CAP_S = 30.0
LISTING_S = 10.0
"""A namespace that takes longer to be listed is worth a word."""
APPLY_S = 600.0
"""A few requests, each with a time limit of its own, that take longer hang."""
APPLIES = 8
"""So many workflows are applied at once: each takes a connection."""
CALM_S = 2 * RETRY_CAP_S
"""After an apply that nobody has undone for so long, the next change is put right at once again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The ports through which pdwatch sees and acts on one target."""

    reader: SourceReader
    builder: ImageBuilder
    publisher: ImagePublisher
    cluster: Cluster
    view: ClusterView


class Delivery:
    """Brings revisions of workflows to their targets; ``world`` returns that of a target."""

    def __init__(
        self,
        world: Callable[[TargetName], World],
        *,
        tracked: TrackedWorkflows,
        log: EventLog,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        builds: Admission | None = None,
        heartbeats: Heartbeats | None = None,
    ) -> None:
        self._world_of = world
        self._tracked = tracked
        self._log = log
        self._clock = clock
        self._jitter = jitter
        self._heartbeats = heartbeats or Heartbeats()
        self._building = Building(builds or build_slots(), log=log, clock=clock, heartbeats=self._heartbeats)
        self._applies = Admission(APPLIES, turn="turn to be applied")

    async def deliver(self, workflow: TrackedWorkflow, revision: Revision) -> float | None:
        """Converge, and turn what went wrong into log lines.

        Returns:
            Seconds after which to try again, or None when only another event can change anything.
        """
        if revision.given_up:
            return None
        retry_in_s = await self._outcome(workflow, revision)
        workflow.in_line_since = None  # unless a newer save has cancelled this, and takes its place in line
        return retry_in_s

    async def _outcome(self, workflow: TrackedWorkflow, revision: Revision) -> float | None:
        try:
            return await self._converge(workflow, revision)
        except SourceChangedError:
            return 0.0  # a save is under way: the next scan sees it
        except (GvisorMissingError, ContextNotAllowedError, ClusterChangedError) as error:
            held = Held(reason=error.reason, message=error.message, remedy=error.remedy)
            return self._hold(revision, held)
        except PdwatchError as error:
            return self._failed(revision, error)
        except Exception as error:  # noqa: BLE001  # logged in full; the other workflows go on
            return self._defect(revision, error)

    async def _converge(self, workflow: TrackedWorkflow, revision: Revision) -> float | None:
        spec, revision.plan_began_at = revision.snapshot.spec, self._clock()
        revision.stage = Stage.PLAN
        if spec is None:
            self._report(workflow, revision)
            return None
        await self._tracked.turn(workflow)
        claimed_by = self._tracked.claim(workflow, revision.place)
        workflow.introduced.set()
        await self._synced(revision)
        lack = await self._lack(workflow, revision)
        match self._decide(workflow, revision, spec, claimed_by, lack):
            case Invalid():
                self._report(workflow, revision)
                return None
            case Held() as held:
                return self._hold(revision, held)
            case UpToDate():
                async with self._applying(workflow, revision):
                    await self._apply_secrets(workflow, revision)
                self._welcome_back(workflow, revision)
            case Rollout() as rollout:
                rest_s = revision.rests_until - self._clock()
                if rest_s > 0:
                    return rest_s
                await self._roll_out(workflow, revision, rollout, spec)
        workflow.delivered = revision.snapshot.digest
        revision.attempts = 0
        revision.held = None
        # Nothing tells when an image goes, or stays out of reach, while its pods lack it already.
        return RETRY_CAP_S if lack else None

    async def _synced(self, revision: Revision) -> None:
        """Wait until the namespace has been listed, for ever if need be, and say so when it takes long."""
        namespace, view = revision.namespace, self._world(revision).view
        try:
            async with asyncio.timeout(LISTING_S):
                await view.synced(namespace)
        except TimeoutError:
            self._emit(
                revision,
                Event.WORKFLOW_HELD,
                reason="not-listed",
                message=f"what runs in namespace {namespace} can't be seen; watch.disconnected says why",
                remedy=f"`pdwatch cluster check -n {namespace}` tells what is missing",
            )
            await view.synced(namespace)

    async def _lack(self, workflow: TrackedWorkflow, revision: Revision) -> ImageLack | None:
        """Return the image that pods of the revision can't get, if they can't, and look where it is."""
        snapshot, status, world = revision.snapshot, workflow.rollout, self._world(revision)
        observed = world.view.deployment(revision.namespace, snapshot.name)
        ref = deployed_image(observed)
        if status is None or observed is None or ref is None or not lacks_image(status):
            return None
        if (status.source_digest, status.generation) != (snapshot.digest, observed.generation):
            return None  # they are an older revision's
        restored_at = revision.restored_at
        return ImageLack(
            ref=ref,
            in_docker=ref.digest is None and await world.builder.find(ref, snapshot) is not None,
            unknown=is_unknown(status),
            awaited=restored_at is not None and self._clock() - restored_at < AWAITED_S,
        )

    def _decide(
        self,
        workflow: TrackedWorkflow,
        revision: Revision,
        spec: WorkflowSpec,
        claimed_by: Path | None,
        lack: ImageLack | None,
    ) -> Plan:
        snapshot, namespace, view = revision.snapshot, revision.namespace, self._world(revision).view
        if workflow.rollout is None and claimed_by is None:
            view.announce(namespace, spec.name)
        observed = view.deployment(namespace, spec.name)
        image = deployed_image(observed)
        wanted = image_references(spec, snapshot.digest, registry=revision.policy.registry)[0]
        return plan(
            snapshot,
            observed,
            relocated=image is None or image.repository != wanted.repository,
            changes=deployment_drift(revision, observed),
            claimed_by=claimed_by,
            lack=lack,
        )

    async def _roll_out(
        self, workflow: TrackedWorkflow, revision: Revision, rollout: Rollout, spec: WorkflowSpec
    ) -> None:
        snapshot, namespace, world = revision.snapshot, revision.namespace, self._world(revision)
        await world.cluster.require_gvisor()
        if rollout.changes:
            fields = ", ".join(change.path for change in rollout.changes)
            self._emit(revision, Event.DEPLOY_DRIFTED, fields=fields)
        revision.stage = Stage.BUILD
        deployed = deployed_image(world.view.deployment(namespace, spec.name))
        if rollout.cause is Cause.IMAGE_MISSING:
            where = "its registry" if deployed and deployed.digest else "Docker"
            message = f"{deployed} is gone from {where}, and pods wait for it"
            self._emit(revision, Event.IMAGE_MISSING, message=message)
            revision.image = None  # so that it is told of again
        image = None if rollout.build else deployed
        if image is None:
            image = await self._building.image(
                workflow, revision, builder=world.builder, publisher=world.publisher
            )
        revision.image = str(image)
        async with self._applying(workflow, revision):
            revision.stage = Stage.APPLY
            await self._apply_secrets(workflow, revision)
            started = self._clock()
            await self._apply_service(workflow, revision, rollout, service(spec, namespace=namespace))
            revision.applied_at, revision.answered_at = self._clock(), None
            # Last, since the digest on it tells the next plan, and the next daemon, that all of this is done.
            applied = await world.cluster.apply(
                deployment(spec, digest=snapshot.digest, image=image, namespace=namespace),
                force=rollout.force,
            )
        revision.generation, revision.answered_at = applied["metadata"]["generation"], self._clock()
        world.view.observe(applied)
        self._rest(revision)
        if rollout.cause is Cause.IMAGE_MISSING:
            revision.restored_at = revision.answered_at
        apply_ms = milliseconds(self._clock() - started)
        self._emit(revision, Event.DEPLOY_APPLIED, cause=rollout.cause.value, apply_ms=apply_ms)

    async def _apply_service(
        self, workflow: TrackedWorkflow, revision: Revision, rollout: Rollout, wanted: Manifest
    ) -> None:
        if rollout.cause is not Cause.CHANGED or workflow.service != wanted:
            await self._world(revision).cluster.apply(wanted, force=rollout.force)
            workflow.service = wanted

    def _rest(self, revision: Revision) -> None:
        """Say when the revision may be applied again, should somebody undo what has just been applied.

        Another controller that does so again and again is answered less and less often, so that the two
        don't keep the cluster busy with their quarrel.
        """
        now = self._clock()
        if now - revision.rests_until > CALM_S:
            revision.repeats = 0
        rest_s = backoff(revision.repeats, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, jitter=self._jitter())
        revision.rests_until = now + rest_s
        revision.repeats += 1

    @asynccontextmanager
    async def _applying(self, workflow: TrackedWorkflow, revision: Revision) -> AsyncIterator[None]:
        work = Work(name=revision.snapshot.name, priority=revision.priority, since=self._clock())
        async with self._applies.slot(work):
            with self._heartbeats.ending(f"apply {workflow.root}", within_s=APPLY_S):
                yield

    async def _apply_secrets(self, workflow: TrackedWorkflow, revision: Revision) -> None:
        if not revision.policy.secrets:
            return
        world = self._world(revision)
        values = dict(await world.reader.secrets(workflow.root))
        if values == workflow.secrets:  # as it is at first where there are none: a Secret of others' stays
            return
        revision.stage, started = Stage.APPLY, self._clock()
        manifest = secret(revision.snapshot.name, namespace=revision.namespace, values=values)
        await world.cluster.apply(manifest, force=False)
        workflow.secrets = values
        name, apply_ms = manifest["metadata"]["name"], milliseconds(self._clock() - started)
        event = Event.SECRETS_APPLIED if values else Event.SECRETS_CLEARED
        self._emit(revision, event, secret=name, apply_ms=apply_ms)

    def _welcome_back(self, workflow: TrackedWorkflow, revision: Revision) -> None:
        """Tell somebody whose save has come back to what runs that this was it: no rollout will tell them."""
        seen, saved = workflow.rollout, revision.saved_at is not None
        runs = seen is not None and seen.phase is RolloutPhase.READY
        if not saved or not runs or revision.generation is not None or revision.reported:
            return
        revision.reported = True
        self._emit(revision, Event.WORKFLOW_CURRENT, message=f"{revision.snapshot.name} runs (as before)")

    def _report(self, workflow: TrackedWorkflow, revision: Revision) -> None:
        if revision.reported:
            return
        revision.reported = True
        for problem in revision.snapshot.problems:
            self._emit(
                revision,
                Event.WORKFLOW_INVALID,
                path=str(workflow.root / problem.path),
                line=problem.line,
                column=problem.column,
                where=problem.where or None,
                message=problem.message,
                problems=len(revision.snapshot.problems),
            )

    def _hold(self, revision: Revision, held: Held) -> float | None:
        delay = self._delay(revision) if held.retry else None
        if revision.held != held:
            revision.held = held
            self._emit(
                revision,
                Event.WORKFLOW_HELD,
                reason=held.reason,
                message=held.message,
                remedy=held.remedy,
                retry_in_s=None if delay is None else round(delay, 1),
            )
        return delay

    def _failed(self, revision: Revision, error: PdwatchError) -> float | None:
        delay = self._delay(revision) if error.retryable else None
        revision.given_up, revision.failure = delay is None, error.message
        log = self._log.bind(**revision.log_fields(self._clock()), **error.fields)
        log.emit(
            _failure_event(error),
            error=type(error).__name__,
            message=error.message,
            remedy=error.remedy,
            attempt=revision.attempts,
            retry_in_s=None if delay is None else round(delay, 1),
        )
        return delay

    def _defect(self, revision: Revision, error: Exception) -> float:
        """Log a defect of pdwatch with its traceback; one workflow that meets it must not stop the others."""
        delay = self._delay(revision)
        revision.failure = f"{type(error).__name__}, a defect in pdwatch: {error}"
        self._emit(
            revision,
            Event.RECONCILE_FAILED,
            error=type(error).__name__,
            message=str(error),
            attempt=revision.attempts,
            retry_in_s=round(delay, 1),
            exc_info=error,
        )
        return delay

    def _delay(self, revision: Revision) -> float:
        delay = backoff(revision.attempts, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, jitter=self._jitter())
        revision.attempts += 1
        return delay

    def _world(self, revision: Revision) -> World:
        return self._world_of(revision.policy.target)

    def _emit(self, revision: Revision, event: Event, **fields: object) -> None:
        self._log.bind(**revision.log_fields(self._clock())).emit(event, **fields)


def deployment_drift(revision: Revision, observed: ObservedDeployment | None) -> tuple[FieldChange, ...]:
    """Return how the Deployment differs from what pdwatch would apply now with the image that is deployed.

    One of other sources is going to be applied anyway, and not compared.
    """
    spec, image = revision.snapshot.spec, deployed_image(observed)
    if (
        observed is None
        or image is None
        or spec is None
        or observed.source_digest != revision.snapshot.digest
    ):
        return ()
    wanted = deployment(spec, digest=revision.snapshot.digest, image=image, namespace=revision.namespace)
    return drift(wanted, observed.manifest)


def _failure_event(error: PdwatchError) -> Event:
    match error:
        case PushRefusedError():
            return Event.PUBLISH_FAILED
        case DockerError():
            return Event.BUILD_FAILED
        case ClusterError():
            return Event.DEPLOY_FAILED
        case _:
            return Event.RECONCILE_FAILED
