"""Metrics in Prometheus' text format, from a registry of the daemon's own."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from pdwatch import __version__
from pdwatch.core.daemon_state import Answer, Standing
from pdwatch.measures import LOOP_LAG_SECONDS, METRICS, Measurement, measurements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric as Family

    from pdwatch.core.daemon_state import WorkflowState
    from pdwatch.core.log_records import Record
    from pdwatch.measures import Metric
    from pdwatch.ports import DaemonState

CONTENT_TYPE = CONTENT_TYPE_LATEST


_PLACE = ("workflow", "namespace", "target")


class Metrics:
    """Counts what log records say; gauges are what ``state`` says when they are asked for."""

    def __init__(self, state: DaemonState) -> None:
        self._registry = CollectorRegistry()
        self._grown = {metric.name: _register(metric, self._registry) for metric in METRICS}
        self._registry.register(_Gauges(state))
        ProcessCollector(registry=self._registry)

    def take(self, record: Record) -> None:
        """Count what a log record says."""
        for measurement in measurements(record):
            self._add(measurement)

    def lagged(self, seconds: float) -> None:
        """Take note of how late the event loop was."""
        self._add(Measurement(metric=LOOP_LAG_SECONDS, amount=seconds))

    def render(self) -> bytes:
        """Return every metric, in the format of ``CONTENT_TYPE``."""
        return generate_latest(self._registry)

    def _add(self, measurement: Measurement) -> None:
        grown = self._grown[measurement.metric.name]
        series = grown.labels(**measurement.labels) if measurement.labels else grown
        if isinstance(series, Histogram):
            series.observe(measurement.amount)
        else:
            series.inc(measurement.amount)


def _register(metric: Metric, registry: CollectorRegistry) -> Counter | Histogram:
    if metric.buckets:
        return Histogram(metric.name, metric.help, buckets=metric.buckets, registry=registry)
    counter = Counter(metric.name, metric.help, labelnames=tuple(metric.labels), registry=registry)
    for values in product(*metric.labels.values()) if metric.labels else ():
        counter.labels(*values)
    return counter


class _Gauges(Collector):
    """Reads the state; workflows that are gone have no series any more."""

    def __init__(self, state: DaemonState) -> None:
        self._state = state

    def describe(self) -> Iterator[Family]:
        """Name nothing beforehand: what is there is read when it is asked for."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        """Yield the gauges as they are now."""
        state = self._state
        yield InfoMetricFamily("pdwatch_build", "The version of pdwatch.", value={"version": __version__})
        ready = float(state.readiness().ready)
        yield GaugeMetricFamily("pdwatch_ready", "Whether /readyz answers with 200.", value=ready)
        hung = len(state.health().hung)
        yield GaugeMetricFamily("pdwatch_hung_parts", "Parts of pdwatch that show no life.", value=hung)
        depth = GaugeMetricFamily(
            "pdwatch_queue_depth", "Directories that are worked on, or wait for a retry.", labels=["state"]
        )
        for name, number in state.queue().items():
            depth.add_metric([name], number)
        yield depth
        yield from _of_workflows(_by_place(state.workflows()))


def _by_place(states: tuple[WorkflowState, ...]) -> dict[tuple[str, str, str], WorkflowState]:
    """Return one state a place: a directory that is held since another has its name is not that workflow."""
    held_first = sorted(states, key=lambda state: state.standing is not Standing.HELD)
    return {(state.name, state.namespace, state.target or ""): state for state in held_first}


def _of_workflows(states: dict[tuple[str, str, str], WorkflowState]) -> Iterator[Family]:
    stands = GaugeMetricFamily(
        "pdwatch_workflow_state",
        "1 for the state that a workflow is in, 0 for the others.",
        labels=[*_PLACE, "state"],
    )
    runs = GaugeMetricFamily(
        "pdwatch_workflow_running",
        "Whether what is saved is what runs.",
        labels=_PLACE,
    )
    for place, state in states.items():
        for each in Standing:
            stands.add_metric([*place, each.value], float(each is state.standing))
        runs.add_metric(place, float(state.answer is Answer.YES))
    yield stands
    yield runs
