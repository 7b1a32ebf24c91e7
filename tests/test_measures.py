"""What log records say of the metrics, and what Prometheus gets to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pdwatch.adapters.prometheus import Metrics
from pdwatch.core.daemon_state import Answer, Health, Readiness, Standing, WorkflowState
from pdwatch.core.log_records import Record
from pdwatch.logs import COMMON_FIELDS, EVENTS, Event
from pdwatch.measures import METRICS, RULES, measurements

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENT = (Path(__file__).parents[1] / "docs/http.md").read_text()
ROLLED_OUT = {"rollout_ms": 2000.0}


def record(event: Event, level: str = "info", **fields: Any) -> Record:
    return Record(
        at=NOW, fields={"timestamp": NOW.isoformat(), "level": level, "event": str(event), **fields}
    )


def told(event: Event, **fields: Any) -> dict[str, tuple[dict[str, str], float]]:
    """The metrics that a record is about, but for the count of records, with labels and amount."""
    first, *others = measurements(record(event, **fields))
    assert (first.metric.name, dict(first.labels)) == ("pdwatch_log_records_total", {"level": "info"})
    return {each.metric.name.removeprefix("pdwatch_"): (dict(each.labels), each.amount) for each in others}


@pytest.mark.parametrize(
    ("event", "fields", "expected"),
    [
        pytest.param(Event.WORKFLOW_CHANGED, {"since_save_ms": 3.0}, {"saves_total": ({}, 1)}, id="a save"),
        pytest.param(Event.WORKFLOW_CHANGED, {}, {}, id="a change that no save made"),
        pytest.param(
            Event.BUILD_SUCCEEDED,
            {"cached": False, "build_ms": 1500.0},
            {"builds_total": ({"result": "succeeded"}, 1), "build_seconds": ({}, 1.5)},
            id="a build",
        ),
        pytest.param(
            Event.BUILD_SUCCEEDED,
            {"cached": True, "build_ms": 2.0},
            {"builds_total": ({"result": "cached"}, 1)},
            id="an image that was there, whose time is no build's",
        ),
        pytest.param(
            Event.BUILD_FAILED,
            {"message": "secret", "output": "secret"},
            {"builds_total": ({"result": "failed"}, 1)},
            id="a build that fails",
        ),
        pytest.param(
            Event.PUBLISH_SUCCEEDED,
            {"publish_ms": 500.0},
            {"publishes_total": ({"result": "succeeded"}, 1), "publish_seconds": ({}, 0.5)},
            id="a push",
        ),
        pytest.param(
            Event.DEPLOY_APPLIED,
            {"apply_ms": 20.0, "cause": "changed"},
            {"applies_total": ({"result": "succeeded"}, 1), "apply_seconds": ({}, 0.02)},
            id="an apply",
        ),
        pytest.param(
            Event.ROLLOUT_COMPLETE,
            {**ROLLED_OUT, "since_save_ms": 4000.0},
            {
                "rollouts_total": ({"result": "complete"}, 1),
                "rollout_seconds": ({}, 2.0),
                "save_to_ready_seconds": ({}, 4.0),
            },
            id="a rollout of a save",
        ),
        pytest.param(
            Event.ROLLOUT_COMPLETE,
            ROLLED_OUT,
            {"rollouts_total": ({"result": "complete"}, 1), "rollout_seconds": ({}, 2.0)},
            id="a rollout that no save asked for",
        ),
        pytest.param(Event.ROLLOUT_COMPLETE, {"since_save_ms": 9e6}, {}, id="pods that have recovered"),
        pytest.param(Event.WORKFLOW_CURRENT, {"since_save_ms": 5.0}, {}, id="an edit that was undone"),
        pytest.param(
            Event.WORKFLOW_HELD,
            {"reason": "gvisor-missing", "message": "secret"},
            {"holds_total": ({"reason": "gvisor-missing"}, 1)},
            id="a hold",
        ),
        pytest.param(
            Event.WATCH_DISCONNECTED,
            {"resource": "pods", "message": "secret"},
            {"watch_restarts_total": ({"cause": "disconnected", "resource": "pods"}, 1)},
            id="a watch that breaks off",
        ),
        pytest.param(Event.WATCH_DISCONNECTED, {"resource": "events"}, {}, id="a question that is no watch"),
        pytest.param(Event.ENGINE_OUTPUT, {"message": "secret"}, {}, id="what workflows write"),
    ],
)
def test_a_record_is_counted_and_what_it_says_in_words_is_not(
    event: Event, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert told(event, **fields) == expected


def test_rules_ask_for_fields_that_their_events_have() -> None:
    for event, rules in RULES.items():
        fields = {field_ms for _, _, field_ms in rules if field_ms}
        assert fields <= EVENTS[event].fields | COMMON_FIELDS, event


def test_every_metric_is_in_the_document() -> None:
    exposed = {family.name for family in exposition(Metrics(Told()))}
    assert {metric.name.removesuffix("_total") for metric in METRICS} <= exposed
    documented = {name for name in exposed if f"`{name}" in DOCUMENT or name.endswith("_created")}
    assert {name for name in exposed - documented if name.startswith("pdwatch_")} == set()


@dataclass(slots=True, kw_only=True)
class Told:
    """A daemon that tells what it is given."""

    states: tuple[WorkflowState, ...] = ()
    hung: tuple[str, ...] = ()
    ready: bool = True
    work: dict[str, int] = field(default_factory=lambda: {"working": 2, "delayed": 1})

    def health(self) -> Health:
        return Health(lag_s=0.25, hung=self.hung)

    def readiness(self) -> Readiness:
        return Readiness(synced=self.ready, stale=())

    def queue(self) -> dict[str, int]:
        return self.work

    def workflows(self) -> tuple[WorkflowState, ...]:
        return self.states


def state(name: str = "hello", **fields: Any) -> WorkflowState:
    given = {"standing": Standing.READY, "answer": Answer.YES, "directory": f"/w/{name}", **fields}
    return WorkflowState(name=name, namespace="dev", since=NOW, **{"target": "kubernetes", **given})


def exposition(metrics: Metrics) -> list[Any]:
    return list(text_string_to_metric_families(metrics.render().decode()))


def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in exposition(metrics)
        for sample in family.samples
        if sample.name == name
    }


def test_prometheus_reads_what_was_counted() -> None:
    metrics = Metrics(Told())
    assert samples(metrics, "pdwatch_builds_total") == {("succeeded",): 0, ("cached",): 0, ("failed",): 0}
    metrics.take(record(Event.BUILD_SUCCEEDED, cached=False, build_ms=1500.0))
    metrics.take(record(Event.BUILD_FAILED, level="error"))
    metrics.lagged(0.3)
    assert samples(metrics, "pdwatch_builds_total") == {("succeeded",): 1, ("cached",): 0, ("failed",): 1}
    assert samples(metrics, "pdwatch_build_seconds_sum") == {(): 1.5}
    assert samples(metrics, "pdwatch_build_seconds_bucket")["1.0",] == 0
    assert samples(metrics, "pdwatch_build_seconds_bucket")["2.5",] == 1
    assert samples(metrics, "pdwatch_log_records_total")["error",] == 1
    assert samples(metrics, "pdwatch_event_loop_lag_seconds_sum") == {(): 0.3}


def test_gauges_are_what_the_daemon_tells_now() -> None:
    daemon = Told(hung=("work",), ready=False)
    metrics = Metrics(daemon)
    assert samples(metrics, "pdwatch_ready") == {(): 0}
    assert samples(metrics, "pdwatch_hung_parts") == {(): 1}
    assert samples(metrics, "pdwatch_queue_depth") == {("working",): 2, ("delayed",): 1}
    daemon.ready = True
    assert samples(metrics, "pdwatch_ready") == {(): 1}


def test_each_workflow_has_one_state_and_none_once_it_is_gone() -> None:
    daemon = Told(states=(state(), state("other", standing=Standing.FAILING, answer=Answer.NO)))
    metrics = Metrics(daemon)
    found = samples(metrics, "pdwatch_workflow_state")
    assert len(found) == 2 * len(Standing)
    assert [key for key, value in found.items() if value] == [
        ("dev", "ready", "kubernetes", "hello"),
        ("dev", "failing", "kubernetes", "other"),
    ]
    assert samples(metrics, "pdwatch_workflow_running") == {
        ("dev", "kubernetes", "hello"): 1,
        ("dev", "kubernetes", "other"): 0,
    }
    daemon.states = ()
    assert samples(metrics, "pdwatch_workflow_state") == {}


def test_a_directory_whose_name_another_one_has_makes_no_second_series() -> None:
    held = state(directory="/w/copy", standing=Standing.HELD, answer=Answer.NO)
    metrics = Metrics(Told(states=(state(), held)))
    assert samples(metrics, "pdwatch_workflow_running") == {("dev", "kubernetes", "hello"): 1}


def test_the_same_name_on_this_machine_and_in_the_cluster_is_two_workflows() -> None:
    metrics = Metrics(Told(states=(state(), state(target="local", answer=Answer.NO))))
    assert samples(metrics, "pdwatch_workflow_running") == {
        ("dev", "kubernetes", "hello"): 1,
        ("dev", "local", "hello"): 0,
    }


def test_registries_are_each_their_own() -> None:
    one, other = Metrics(Told()), Metrics(Told())
    one.take(record(Event.BUILD_FAILED, level="error"))
    assert samples(other, "pdwatch_builds_total")["failed",] == 0
