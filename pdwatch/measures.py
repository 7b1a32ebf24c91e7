"""What the daemon counts: every metric, and which log event says what of it (docs/http.md).

Labels here have few values, all of them words of pdwatch's own or of Kubernetes': never a name that somebody
chose, an error's text or a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pdwatch.logs import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pdwatch.core.log_records import Record

_QUICK_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A counter, or with ``buckets`` (upper bounds, in seconds) a histogram.

    ``labels`` are names with the values that are known beforehand, so that their series start at 0.
    """

    name: str
    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()


def _results(*values: str) -> Mapping[str, tuple[str, ...]]:
    return {"result": values}


SAVES = Metric(name="pdwatch_saves_total", help="Saves that changed what would be shipped.")
SUPERSEDED = Metric(
    name="pdwatch_superseded_total",
    help="Revisions whose work a newer save ended before they were rolled out.",
)
BUILDS = Metric(
    name="pdwatch_builds_total",
    help="Images asked for, by outcome; cached ones were there already.",
    labels=_results("succeeded", "cached", "failed"),
)
BUILD_SECONDS = Metric(
    name="pdwatch_build_seconds", help="Duration of builds that succeeded.", buckets=_SLOW_S
)
PUBLISHES = Metric(
    name="pdwatch_publishes_total",
    help="Images pushed to the registry, by outcome.",
    labels=_results("succeeded", "failed"),
)
PUBLISH_SECONDS = Metric(
    name="pdwatch_publish_seconds", help="Duration of pushes that succeeded.", buckets=_SLOW_S
)
APPLIES = Metric(
    name="pdwatch_applies_total",
    help="Deployments applied, by outcome.",
    labels=_results("succeeded", "failed"),
)
APPLY_SECONDS = Metric(
    name="pdwatch_apply_seconds", help="Duration of applies that succeeded.", buckets=_QUICK_S
)
ROLLOUTS = Metric(
    name="pdwatch_rollouts_total",
    help="Rollouts by outcome; degraded ones were complete and have lost pods.",
    labels=_results("complete", "stalled", "degraded"),
)
ROLLOUT_SECONDS = Metric(
    name="pdwatch_rollout_seconds", help="From the apply to the last pod that answers.", buckets=_SLOW_S
)
SAVE_TO_READY_SECONDS = Metric(
    name="pdwatch_save_to_ready_seconds", help="From a save to the last pod that answers.", buckets=_SLOW_S
)
DRIFTS = Metric(
    name="pdwatch_drifts_total",
    help="Deployments that somebody else changed or deleted.",
    labels={"kind": ("changed", "deleted")},
)
HOLDS = Metric(
    name="pdwatch_holds_total",
    help="Times that pdwatch could not act on a workflow, by reason.",
    labels={"reason": ()},
)
RECONCILE_FAILURES = Metric(
    name="pdwatch_reconcile_failures_total",
    help="Directories that could not be read, and defects of pdwatch.",
)
WATCH_RESTARTS = Metric(
    name="pdwatch_watch_restarts_total",
    help="Watches that lost the API server, or began again from a list.",
    labels={"cause": ("disconnected", "relisted"), "resource": ("deployments", "pods")},
)
LOG_RECORDS = Metric(
    name="pdwatch_log_records_total",
    help="Log records, whether or not their level is written.",
    labels={"level": ("debug", "info", "warning", "error", "critical")},
)
LOOP_LAG_SECONDS = Metric(
    name="pdwatch_event_loop_lag_seconds",
    help="How late the event loop got to work that was due.",
    buckets=_LAG_S,
)

METRICS = (
    SAVES,
    SUPERSEDED,
    BUILDS,
    BUILD_SECONDS,
    PUBLISHES,
    PUBLISH_SECONDS,
    APPLIES,
    APPLY_SECONDS,
    ROLLOUTS,
    ROLLOUT_SECONDS,
    SAVE_TO_READY_SECONDS,
    DRIFTS,
    HOLDS,
    RECONCILE_FAILURES,
    WATCH_RESTARTS,
    LOG_RECORDS,
    LOOP_LAG_SECONDS,
)
"""Every metric that grows with what happens; gauges are read when they are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One occurrence, or with a histogram ``amount`` seconds."""

    metric: Metric
    labels: Mapping[str, str] = field(default_factory=dict)
    amount: float = 1.0


_Rule = tuple[Metric, "Callable[[Mapping[str, Any]], Mapping[str, str] | None]", str | None]
"""A metric; its labels, given a record's fields, or None if it does not count; the field that it measures."""


def _counted(metric: Metric, **labels: str) -> _Rule:
    return metric, lambda _: labels, None


def _timed(metric: Metric, field_ms: str) -> _Rule:
    return metric, lambda _: {}, field_ms


def _watch_restarted(cause: str) -> _Rule:
    def labels(fields: Mapping[str, Any]) -> Mapping[str, str] | None:
        """Leave out what is but asked for now and then, such as the events of a pod."""
        resource = fields["resource"]
        watched = resource in WATCH_RESTARTS.labels["resource"]
        return {"cause": cause, "resource": resource} if watched else None

    return WATCH_RESTARTS, labels, None


def _rolled_out(fields: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Leave out what was complete before: pods that recover, and what a daemon finds as it starts."""
    return {"result": "complete"} if "rollout_ms" in fields else None


def _by_save(fields: Mapping[str, Any]) -> Mapping[str, str] | None:
    return {} if "since_save_ms" in fields else None


def _saved_and_rolled_out(fields: Mapping[str, Any]) -> Mapping[str, str] | None:
    return _by_save(fields) if "rollout_ms" in fields else None


def _built(fields: Mapping[str, Any]) -> Mapping[str, str]:
    return {"result": "cached" if fields["cached"] else "succeeded"}


RULES: Mapping[Event, tuple[_Rule, ...]] = {
    Event.WORKFLOW_CHANGED: ((SAVES, _by_save, None),),
    Event.WORKFLOW_SUPERSEDED: (_counted(SUPERSEDED),),
    Event.WORKFLOW_HELD: ((HOLDS, lambda fields: {"reason": fields["reason"]}, None),),
    Event.BUILD_SUCCEEDED: (
        (BUILDS, _built, None),
        (BUILD_SECONDS, lambda fields: None if fields["cached"] else {}, "build_ms"),
    ),
    Event.BUILD_FAILED: (_counted(BUILDS, result="failed"),),
    Event.PUBLISH_SUCCEEDED: (
        _counted(PUBLISHES, result="succeeded"),
        _timed(PUBLISH_SECONDS, "publish_ms"),
    ),
    Event.PUBLISH_FAILED: (_counted(PUBLISHES, result="failed"),),
    Event.DEPLOY_APPLIED: (_counted(APPLIES, result="succeeded"), _timed(APPLY_SECONDS, "apply_ms")),
    Event.DEPLOY_FAILED: (_counted(APPLIES, result="failed"),),
    Event.DEPLOY_DRIFTED: (_counted(DRIFTS, kind="changed"),),
    Event.DEPLOY_DELETED: (_counted(DRIFTS, kind="deleted"),),
    Event.ROLLOUT_COMPLETE: (
        (ROLLOUTS, _rolled_out, None),
        _timed(ROLLOUT_SECONDS, "rollout_ms"),
        (SAVE_TO_READY_SECONDS, _saved_and_rolled_out, "since_save_ms"),
    ),
    Event.ROLLOUT_STALLED: (_counted(ROLLOUTS, result="stalled"),),
    Event.ROLLOUT_DEGRADED: (_counted(ROLLOUTS, result="degraded"),),
    Event.WATCH_RELISTED: (_watch_restarted("relisted"),),
    Event.WATCH_DISCONNECTED: (_watch_restarted("disconnected"),),
    Event.RECONCILE_FAILED: (_counted(RECONCILE_FAILURES),),
}


def measurements(record: Record) -> Iterator[Measurement]:
    """Yield what a log record says of the metrics."""
    fields = record.fields
    yield Measurement(metric=LOG_RECORDS, labels={"level": fields["level"]})
    for metric, labels_of, field_ms in RULES.get(fields["event"], ()):
        labels = labels_of(fields)
        if labels is None or (field_ms is not None and field_ms not in fields):
            continue
        amount = 1.0 if field_ms is None else fields[field_ms] / 1000
        yield Measurement(metric=metric, labels=labels, amount=amount)
