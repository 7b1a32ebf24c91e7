"""Structured logging: every event that pdwatch can log, its level and fields, and how lines look.

Event names are stable (dotted, ``noun.verb``), fields are flat. docs/log-events.md describes each, and a test
holds the document against :data:`EVENTS`.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeAlias

import structlog

from pdwatch.core.log_records import Record
from pdwatch.log_format import processors, record_renderer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LogFormat: TypeAlias = Literal["auto", "console", "json", "logfmt"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]


class Event(StrEnum):
    """The name of every log line."""

    DAEMON_STARTED = "daemon.started"
    DAEMON_SYNCED = "daemon.synced"
    DAEMON_HUNG = "daemon.hung"
    DAEMON_STOPPING = "daemon.stopping"
    DAEMON_STOPPED = "daemon.stopped"
    SETTINGS_IGNORED = "settings.ignored"
    SETTINGS_RELOADED = "settings.reloaded"
    SETTINGS_INVALID = "settings.invalid"
    WORKFLOW_FOUND = "workflow.found"
    WORKFLOW_SKIPPED = "workflow.skipped"
    WORKFLOW_REMOVED = "workflow.removed"
    WORKFLOW_CHANGED = "workflow.changed"
    WORKFLOW_UNCHANGED = "workflow.unchanged"
    WORKFLOW_INVALID = "workflow.invalid"
    WORKFLOW_CURRENT = "workflow.current"
    WORKFLOW_SUPERSEDED = "workflow.superseded"
    WORKFLOW_HELD = "workflow.held"
    IMAGE_MISSING = "image.missing"
    BUILD_QUEUED = "build.queued"
    BUILD_STARTED = "build.started"
    BUILD_SUCCEEDED = "build.succeeded"
    BUILD_FAILED = "build.failed"
    PUBLISH_SUCCEEDED = "publish.succeeded"
    PUBLISH_FAILED = "publish.failed"
    DEPLOY_APPLIED = "deploy.applied"
    DEPLOY_FAILED = "deploy.failed"
    DEPLOY_DRIFTED = "deploy.drifted"
    DEPLOY_DELETED = "deploy.deleted"
    SECRETS_APPLIED = "secrets.applied"
    SECRETS_CLEARED = "secrets.cleared"
    ROLLOUT_PROGRESSING = "rollout.progressing"
    ROLLOUT_COMPLETE = "rollout.complete"
    ROLLOUT_STALLED = "rollout.stalled"
    ROLLOUT_DEGRADED = "rollout.degraded"
    ENDPOINT_OPENED = "endpoint.opened"
    ENGINE_OUTPUT = "engine.output"
    CHECKER_LOST = "checker.lost"
    WATCH_LISTED = "watch.listed"
    WATCH_RELISTED = "watch.relisted"
    WATCH_DISCONNECTED = "watch.disconnected"
    WATCH_RESUMED = "watch.resumed"
    TARGET_UNAVAILABLE = "target.unavailable"
    TARGET_RECOVERED = "target.recovered"
    TARGET_CLOSED = "target.closed"
    CLUSTER_PINNED = "cluster.pinned"
    CLUSTER_UNIDENTIFIED = "cluster.unidentified"
    RECONCILE_FAILED = "reconcile.failed"
    WORKFLOW_UNDEPLOYED = "workflow.undeployed"
    UNDEPLOY_WAITING = "undeploy.waiting"
    UNDEPLOY_FAILED = "undeploy.failed"
    IMAGES_PRUNED = "images.pruned"
    PRUNE_FAILED = "prune.failed"
    SYSTEMD_LOST = "systemd.lost"
    HTTP_LISTENING = "http.listening"
    HTTP_UNAVAILABLE = "http.unavailable"
    LOG_LOST = "log.lost"
    LOG_RESUMED = "log.resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSpec:
    """An event's level and the fields it may carry beyond those that every line has."""

    level: int = logging.INFO
    fields: frozenset[str] = frozenset()


COMMON_FIELDS = frozenset(
    {"workflow", "namespace", "target", "source_digest", "generation", "image", "since_save_ms"}
)
"""Carried by every line about a workflow, each once it is known."""


def _spec(fields: str = "", level: int = logging.INFO) -> EventSpec:
    return EventSpec(level=level, fields=frozenset(fields.split()))


_FAILURE = "error message remedy retry_in_s attempt"
_ROLLOUT = "phase desired updated ready available reason message pod"

EVENTS: Mapping[Event, EventSpec] = {
    Event.DAEMON_STARTED: _spec("version roots pid"),
    Event.DAEMON_SYNCED: _spec("workflows duration_ms"),
    Event.DAEMON_HUNG: _spec("parts message remedy", logging.CRITICAL),
    Event.DAEMON_STOPPING: _spec("signal"),
    Event.DAEMON_STOPPED: _spec(),
    Event.SETTINGS_IGNORED: _spec("variable message", logging.WARNING),
    Event.SETTINGS_RELOADED: _spec("cause changed waiting remedy"),
    Event.SETTINGS_INVALID: _spec("cause message remedy problems", logging.ERROR),
    Event.WORKFLOW_FOUND: _spec("directory"),
    Event.WORKFLOW_SKIPPED: _spec("directory message remedy", logging.WARNING),
    Event.WORKFLOW_REMOVED: _spec("directory", logging.WARNING),
    Event.WORKFLOW_CHANGED: _spec("directory cause settle_ms wait_ms scan_ms"),
    Event.WORKFLOW_UNCHANGED: _spec("cause scan_ms", logging.DEBUG),
    Event.WORKFLOW_INVALID: _spec("path line column where message problems", logging.ERROR),
    Event.WORKFLOW_CURRENT: _spec("message"),
    Event.WORKFLOW_SUPERSEDED: _spec("stage superseded_by"),
    Event.WORKFLOW_HELD: _spec("reason message remedy retry_in_s", logging.WARNING),
    Event.WORKFLOW_UNDEPLOYED: _spec("directory objects", logging.WARNING),
    Event.UNDEPLOY_WAITING: _spec("directory message", logging.WARNING),
    Event.UNDEPLOY_FAILED: _spec(f"directory {_FAILURE}", logging.ERROR),
    Event.IMAGES_PRUNED: _spec("count bytes"),
    Event.PRUNE_FAILED: _spec("error message remedy", logging.WARNING),
    Event.IMAGE_MISSING: _spec("message", logging.WARNING),
    Event.BUILD_QUEUED: _spec("message"),
    Event.BUILD_STARTED: _spec("plan_ms wait_ms", logging.DEBUG),
    Event.BUILD_SUCCEEDED: _spec("image_id cached builder build_ms tag_ms"),
    Event.BUILD_FAILED: _spec(f"{_FAILURE} step output path line column", logging.ERROR),
    Event.PUBLISH_SUCCEEDED: _spec("publish_ms"),
    Event.PUBLISH_FAILED: _spec(_FAILURE, logging.ERROR),
    Event.DEPLOY_APPLIED: _spec("cause apply_ms"),
    Event.DEPLOY_FAILED: _spec(f"{_FAILURE} managers fields", logging.ERROR),
    Event.DEPLOY_DRIFTED: _spec("fields", logging.WARNING),
    Event.DEPLOY_DELETED: _spec(level=logging.WARNING),
    Event.SECRETS_APPLIED: _spec("secret apply_ms"),
    Event.SECRETS_CLEARED: _spec("secret apply_ms", logging.WARNING),
    Event.ROLLOUT_PROGRESSING: _spec(_ROLLOUT),
    Event.ROLLOUT_COMPLETE: _spec(f"{_ROLLOUT} rollout_ms kubelet_ms observed_ms"),
    Event.ROLLOUT_STALLED: _spec(f"{_ROLLOUT} output", logging.ERROR),
    Event.ROLLOUT_DEGRADED: _spec(_ROLLOUT, logging.WARNING),
    Event.ENDPOINT_OPENED: _spec("url"),
    Event.ENGINE_OUTPUT: _spec("node run_id message detail"),
    Event.CHECKER_LOST: _spec("message", logging.WARNING),
    Event.WATCH_LISTED: _spec("resource count", logging.DEBUG),
    Event.WATCH_RELISTED: _spec("resource count reason"),
    Event.WATCH_RESUMED: _spec("resource"),
    Event.WATCH_DISCONNECTED: _spec("resource reason message remedy retry_in_s", logging.WARNING),
    Event.TARGET_UNAVAILABLE: _spec("error message remedy retry_in_s", logging.ERROR),
    Event.TARGET_RECOVERED: _spec(),
    Event.TARGET_CLOSED: _spec(),
    Event.CLUSTER_PINNED: _spec("context server uid"),
    Event.CLUSTER_UNIDENTIFIED: _spec("message remedy", logging.WARNING),
    Event.RECONCILE_FAILED: _spec(_FAILURE, logging.ERROR),
    Event.SYSTEMD_LOST: _spec("message", logging.WARNING),
    Event.HTTP_LISTENING: _spec("address"),
    Event.HTTP_UNAVAILABLE: _spec("message remedy", logging.WARNING),
    Event.LOG_LOST: _spec("path message remedy", logging.WARNING),
    Event.LOG_RESUMED: _spec("path"),
}


class EventLog:
    """Writes events at their level; bind the fields that many lines share with :meth:`bind`.

    Args:
        logger: One like structlog's; None is structlog's own, as it is configured when a line is written.
        told: Each is called with every line's record, whether or not its level is written.
        fields: What every line carries.
    """

    def __init__(
        self,
        logger: Any | None = None,
        *,
        told: Sequence[Callable[[Record], None]] = (),
        fields: Mapping[str, object] | None = None,
    ) -> None:
        self._logger = logger
        self._told = tuple(told)
        self._fields: Mapping[str, object] = fields or {}

    def bind(self, **fields: object) -> EventLog:
        """Return a log whose every line carries ``fields``; a field that is None is left out."""
        known = {key: value for key, value in fields.items() if value is not None}
        return EventLog(self._logger, told=self._told, fields={**self._fields, **known})

    def telling(self, *told: Callable[[Record], None]) -> EventLog:
        """Return a log that calls each of ``told`` too after every line, with its record."""
        return EventLog(self._logger, told=(*self._told, *told), fields=self._fields)

    def emit(self, event: Event, **fields: object) -> None:
        """Write one line at the event's own level; a field that is None is left out.

        Args:
            event: What happened.
            fields: The line's flat fields, and as ``exc_info`` an unexpected exception, for its traceback.

        Raises:
            ValueError: A field is not in the event's catalogue entry.
        """
        self._emit(EVENTS[event].level, event, fields)

    def pass_on(self, event: Event, level: str, **fields: object) -> None:
        """Write one line at the level that its author gave it: ``debug``, ``info``, ``warn`` or ``error``."""
        self._emit(logging.getLevelNamesMapping().get(level.upper(), logging.INFO), event, fields)

    def _emit(self, level: int, event: Event, fields: Mapping[str, object]) -> None:
        unknown = fields.keys() - EVENTS[event].fields - COMMON_FIELDS - {"exc_info"}
        if unknown:
            raise ValueError(f"{event} has no field {', '.join(sorted(unknown))}")
        known = {key: value for key, value in fields.items() if value is not None}
        logger = structlog.get_logger() if self._logger is None else self._logger
        line = {**self._fields, **known}
        logger.log(level, str(event), **line)
        if self._told:
            now = datetime.now(UTC)
            first = {
                "timestamp": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}",
                "level": logging.getLevelName(level).lower(),
            }
            record = Record(at=now, fields={**first, "event": str(event), **line})
            for tell in self._told:
                tell(record)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutput:
    """A second place for records: ``write`` takes each as a line of JSON without its end; it never raises."""

    write: Callable[[str], None]
    level: LogLevel = "info"


def configure(
    log_format: LogFormat,
    *,
    level: LogLevel = "info",
    stream: TextIO | None = None,
    colour: bool = False,
    console: structlog.typing.Processor | None = None,
    file: FileOutput | None = None,
    priorities: bool = False,
) -> None:
    """Set structlog up for the process; called again, for every logger that is there.

    Args:
        log_format: ``auto`` is ``console`` on a terminal and ``json`` otherwise.
        level: The lowest level that is written: debug, info, warning, error or critical.
        stream: Where lines go; stderr by default.
        colour: Whether ``console`` lines are coloured.
        console: Renders ``console`` lines in the place of structlog's own renderer.
        file: Where records go besides, from a level of its own on.
        priorities: Whether lines begin with their level as sd-daemon(3) has it, which the journal takes off.
    """
    out = stream or sys.stderr
    chosen = ("console" if out.isatty() else "json") if log_format == "auto" else log_format
    lowest = min(number_of(level), number_of(file.level) if file else number_of(level))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([_copying(file, shown=number_of(level))] if file else []),
            *([console] if console and chosen == "console" else processors(chosen, colour=colour)),
            *([_prioritised] if priorities else []),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=lambda *_: _Lines(out),
        cache_logger_on_first_use=True,
    )


class _Lines:
    """Writes lines as structlog's own loggers do, but without a lock: who writes may log that it can't."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def log(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self._out.flush()

    debug = info = warning = error = critical = log


def number_of(level: str) -> int:
    """Return a level's rank, as the standard library counts: ``info`` is 20."""
    return logging.getLevelNamesMapping()[level.upper()]


_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""sd-daemon(3), as syslog counts."""


def _prioritised(_: object, level: str, line: Any) -> str:
    """Take what is a record no more: the text that the renderer has made of it."""
    return f"<{_PRIORITIES[level]}>{line}"


def _copying(file: FileOutput, *, shown: int) -> structlog.typing.Processor:
    """Return what writes a record to the file, and passes it on if its level is to be shown."""
    render, lowest = record_renderer("json", colour=False), number_of(file.level)

    def copy(_: object, __: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
        level = number_of(fields["level"])
        if level >= lowest:
            file.write(render(fields))
        if level < shown:
            raise structlog.DropEvent
        return fields

    return copy
