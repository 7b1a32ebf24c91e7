"""What a daemon tells of itself, from its log and the workflows that it tracks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pdwatch.core.daemon_state import Answer, Standing
from pdwatch.core.log_records import Record
from pdwatch.core.model import Place, Problem, RolloutPhase, RolloutStatus, SourceSnapshot, WorkflowSpec
from pdwatch.core.plan import Held
from pdwatch.heartbeats import Heartbeats
from pdwatch.logs import Event
from pdwatch.observation import Observation
from pdwatch.standing import workflow_state
from pdwatch.tracked import Policy, Revision, Stage, TrackedWorkflow, TrackedWorkflows
from pdwatch.workqueue import WorkQueue

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NEW, OLD = "sha256:new", "sha256:old"
SPEC = WorkflowSpec(name="hello", version="1.0", triggers=(), nodes=())
PROBLEM = Problem(path="workflow.yaml", line=3, column=1, where="nodes", message="is missing")


def revision(*, problems: tuple[Problem, ...] = (), **fields: Any) -> Revision:
    snapshot = SourceSnapshot(
        root=Path("/w/hello"),
        name="hello",
        digest=NEW,
        files=(),
        problems=problems,
        spec=None if problems else SPEC,
    )
    return Revision(snapshot=snapshot, namespace="dev", policy=Policy(namespace="dev"), **fields)


def rollout(digest: str = NEW, running: tuple[str, ...] = (NEW,), **fields: Any) -> RolloutStatus:
    counts = {"generation": 4, "desired": 1, "updated": 1, "ready": 1, "available": 1}
    return RolloutStatus(
        source_digest=digest, running=running, **{"phase": RolloutPhase.READY, **counts, **fields}
    )


def workflow(newest: Revision | None, seen: RolloutStatus | None = None) -> TrackedWorkflow:
    tracked = TrackedWorkflow(Path("/w/hello"), revision=newest)
    tracked.rollout = seen
    return tracked


PROGRESSING: dict[str, Any] = {
    "phase": RolloutPhase.PROGRESSING,
    "message": "0 of 1 new replicas\nare available",
}
STALLED: dict[str, Any] = {
    "phase": RolloutPhase.NOT_READY,
    "stalled": True,
    "reason": "ImagePullBackOff",
    "message": "no",
}


@pytest.mark.parametrize(
    ("newest", "seen", "answer", "why"),
    [
        pytest.param(None, None, Answer.CHECKING, "", id="it has not been read"),
        pytest.param(revision(stage=Stage.APPLY), rollout(), Answer.YES, "", id="it runs"),
        pytest.param(
            revision(stage=Stage.BUILD), rollout(OLD, (OLD,)), Answer.BUILDING, "", id="it is built"
        ),
        pytest.param(
            revision(stage=Stage.APPLY),
            rollout(running=(OLD,), **PROGRESSING),
            Answer.ROLLING_OUT,
            "0 of 1 new replicas are available",
            id="its pods start",
        ),
        pytest.param(
            revision(), rollout(running=(), desired=0), Answer.NO, "no pods are wanted", id="none is wanted"
        ),
        pytest.param(
            revision(),
            rollout(running=()),
            Answer.ROLLING_OUT,
            "the pods have not been seen yet",
            id="none was seen",
        ),
        pytest.param(
            revision(), rollout(running=(OLD,), **STALLED), Answer.NO, "ImagePullBackOff: no", id="stalled"
        ),
        pytest.param(revision(problems=(PROBLEM,)), None, Answer.NO, f"{PROBLEM}", id="one problem"),
        pytest.param(
            revision(problems=(PROBLEM, PROBLEM, PROBLEM)),
            rollout(OLD, (OLD,)),
            Answer.NO,
            f"{PROBLEM} (and 2 more)",
            id="several problems",
        ),
        pytest.param(
            revision(held=Held(reason="gvisor-missing", message="no gVisor"), attempts=1),
            None,
            Answer.NO,
            "no gVisor",
            id="it is held",
        ),
        pytest.param(
            revision(given_up=True, failure="it does not compile"),
            rollout(OLD, (OLD,)),
            Answer.NO,
            "it does not compile",
            id="it failed for good",
        ),
        pytest.param(
            revision(attempts=2, failure="no Docker"), None, Answer.NO, "no Docker", id="it is tried again"
        ),
        pytest.param(
            revision(stage=Stage.BUILD, waits=lambda: "waits behind a"),
            rollout(OLD, (OLD,)),
            Answer.QUEUED,
            "waits behind a",
            id="it waits for its build",
        ),
        pytest.param(
            revision(failure="no Docker"), rollout(), Answer.YES, "", id="it failed once and then did not"
        ),
    ],
)
def test_a_workflow_says_whether_what_is_saved_runs_and_why_not(
    newest: Revision | None, seen: RolloutStatus | None, answer: Answer, why: str
) -> None:
    state = workflow_state(workflow(newest, seen), url=None, since=NOW)
    assert (state.answer, state.why) == (answer, why)


@pytest.mark.parametrize("newest", [None, revision()], ids=["from the start", "since it was read"])
def test_one_whose_directory_or_target_is_out_of_reach_says_why(newest: Revision | None) -> None:
    out_of_reach = workflow(newest, rollout() if newest else None)
    out_of_reach.failure = "there is no kubeconfig"
    state = workflow_state(out_of_reach, url=None, since=NOW)
    assert (state.standing, state.answer) == (Standing.FAILING, Answer.NO)
    assert state.why == "there is no kubeconfig"


def test_a_workflow_tells_the_three_digests_that_were_compared() -> None:
    newest = revision(stage=Stage.BUILD, image="hello:1")
    state = workflow_state(workflow(newest, rollout(OLD, (OLD,))), url="http://127.0.0.1:1", since=NOW)
    assert (state.saved, state.deployed, state.running) == (NEW, OLD, (OLD,))
    assert (state.name, state.namespace, state.directory) == ("hello", "dev", "/w/hello")
    assert state.target == "kubernetes"
    assert (state.generation, state.image, state.url) == (4, "hello:1", "http://127.0.0.1:1")


class Watched:
    """A daemon's observation of one workflow, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW
        self.tracked = TrackedWorkflows()
        self.workflow = self.tracked.track(Path("/w/hello"))
        self.observation = Observation(self.tracked, Heartbeats(), now=lambda: self.now)

    def happens(self, event: Event, **fields: object) -> None:
        first = {"timestamp": self.now.isoformat(), "level": "info", "event": str(event)}
        self.observation.take(Record(at=self.now, fields={**first, **fields}))

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def test_it_is_ready_once_synced_and_while_every_watch_has_the_server() -> None:
    watched = Watched()
    assert not watched.observation.readiness().ready
    watched.happens(Event.DAEMON_SYNCED)
    assert watched.observation.readiness().ready
    for resource in ("pods", "deployments"):
        watched.happens(Event.WATCH_DISCONNECTED, namespace="dev", resource=resource)
    watched.happens(Event.WATCH_RESUMED, namespace="other", resource="pods")
    watched.happens(Event.WATCH_RESUMED, namespace="dev", resource="deployments")
    assert watched.observation.readiness().stale == ("pods in dev",)
    watched.happens(Event.WATCH_RESUMED, namespace="dev", resource="pods")
    assert watched.observation.readiness().ready
    watched.happens(Event.TARGET_UNAVAILABLE, target="local")
    assert watched.observation.readiness().stale == ("target local",)
    watched.happens(Event.TARGET_RECOVERED, target="local")
    assert watched.observation.readiness().ready
    watched.happens(Event.WATCH_DISCONNECTED, namespace="dev", resource="pods")
    watched.happens(Event.TARGET_CLOSED, target="local")
    assert not watched.observation.readiness().ready
    watched.happens(Event.TARGET_CLOSED, target="kubernetes")
    assert watched.observation.readiness().ready, "nobody goes there any more"


@pytest.mark.parametrize("event", [Event.WATCH_LISTED, Event.WATCH_RELISTED])
def test_a_list_ends_an_outage_too(event: Event) -> None:
    """A watch that never had the server, or has to begin again, lists; it has not resumed anything."""
    watched = Watched()
    watched.happens(Event.DAEMON_SYNCED)
    watched.happens(Event.WATCH_DISCONNECTED, namespace="dev", resource="pods")
    watched.happens(event, namespace="dev", resource="pods")
    assert watched.observation.readiness().ready


def test_events_of_pods_that_may_not_be_read_make_nothing_stale() -> None:
    watched = Watched()
    watched.happens(Event.WATCH_DISCONNECTED, namespace="dev", resource="events")
    assert watched.observation.readiness().stale == ()


def test_a_workflow_says_since_when_it_has_stood_as_it_does() -> None:
    watched = Watched()
    place = Place(target="kubernetes", namespace="dev", name="hello")
    watched.happens(Event.WORKFLOW_FOUND)
    watched.passes(5)
    watched.workflow.revision = revision(stage=Stage.BUILD)
    watched.tracked.claim(watched.workflow, place)
    watched.happens(Event.BUILD_STARTED, target="kubernetes", namespace="dev", workflow="hello")
    watched.passes(5)
    watched.happens(Event.WORKFLOW_UNCHANGED)
    watched.happens(Event.DAEMON_SYNCED)
    (state,) = watched.observation.workflows()
    assert (state.standing, state.since) == (Standing.BUILDING, NOW + timedelta(seconds=5))


def test_since_when_a_workflow_without_a_place_of_its_own_stands_as_it_does_is_noted_soon_after() -> None:
    watched = Watched()
    watched.workflow.revision = revision(problems=(PROBLEM,))
    watched.happens(Event.WORKFLOW_INVALID, target="kubernetes", namespace="dev", workflow="hello")
    watched.passes(1)
    watched.observation.note()
    watched.passes(60)
    (state,) = watched.observation.workflows()
    assert (state.standing, state.since) == (Standing.INVALID, NOW + timedelta(seconds=1))


def test_a_line_about_one_workflow_looks_at_no_other() -> None:
    watched = Watched()
    watched.tracked.claim(watched.workflow, Place(target="kubernetes", namespace="dev", name="hello"))
    other = watched.tracked.track(Path("/w/other"))
    watched.observation.note()
    other.revision = revision(problems=(PROBLEM,))
    watched.passes(5)
    watched.happens(Event.BUILD_STARTED, target="kubernetes", namespace="dev", workflow="hello")
    watched.observation.note()
    watched.passes(5)
    assert watched.observation.workflows()[1].since == NOW + timedelta(seconds=10)


def test_a_workflow_is_told_with_the_address_of_the_name_that_it_has() -> None:
    watched = Watched()
    opened = {"namespace": "dev", "workflow": "hello", "target": "local"}
    watched.happens(Event.ENDPOINT_OPENED, **opened, url="http://127.0.0.1:1")
    assert [state.url for state in watched.observation.workflows()] == [None]
    watched.tracked.claim(watched.workflow, Place(target="kubernetes", namespace="dev", name="hello"))
    assert [state.url for state in watched.observation.workflows()] == [None]
    watched.tracked.claim(watched.workflow, Place(target="local", namespace="dev", name="hello"))
    assert [state.url for state in watched.observation.workflows()] == ["http://127.0.0.1:1"]


def test_a_workflow_that_is_forgotten_is_told_no_more() -> None:
    watched = Watched()
    assert len(watched.observation.workflows()) == 1
    watched.tracked.forget(watched.workflow.root)
    assert watched.observation.workflows() == ()


@pytest.mark.looptime
async def test_the_queue_is_what_is_worked_on_and_what_waits() -> None:
    async def work(slot: Any) -> float | None:
        if slot.key.name == "late":
            return 60.0
        await never.wait()
        return None

    never = asyncio.Event()
    watched, queue = Watched(), WorkQueue[Path](work)
    assert watched.observation.queue() == {"working": 0, "delayed": 0}
    watched.observation.work = queue
    task = asyncio.create_task(queue.run())
    for name in ("late", "one", "two"):
        queue.add(Path(name), cause="test")
    await asyncio.sleep(1)
    assert watched.observation.queue() == {"working": 2, "delayed": 1}
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.looptime
async def test_it_is_healthy_while_no_part_is_overdue() -> None:
    heartbeats = Heartbeats()
    observation = Observation(TrackedWorkflows(), heartbeats, now=lambda: NOW)
    with heartbeats.ending("scan /w/hello", within_s=1):
        assert observation.health().ok
        await asyncio.sleep(60)
        assert observation.health().hung == ("scan /w/hello",)
