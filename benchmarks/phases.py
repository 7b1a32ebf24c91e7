"""Splits the time of one save by phase, from the daemon's own log lines. Pure.

docs/log-events.md, "Following one save", says which field tells what.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Line = dict[str, Any]

FIELDS: Sequence[tuple[str, str, str]] = (
    ("settle", "workflow.changed", "settle_ms"),
    ("queue", "workflow.changed", "wait_ms"),
    ("scan", "workflow.changed", "scan_ms"),
    ("plan", "build.started", "plan_ms"),
    ("slot", "build.started", "wait_ms"),
    ("build", "build.succeeded", "build_ms"),
    ("tag", "build.succeeded", "tag_ms"),
    ("publish", "publish.succeeded", "publish_ms"),
    ("apply", "deploy.applied", "apply_ms"),
    ("kubelet", "rollout.complete", "kubelet_ms"),
    ("observed", "rollout.complete", "observed_ms"),
)
"""Phase, event and field, in the order in which they follow each other; before them comes ``event``."""
EVENT = "event"
REST = "rest"
TO_PATCHED = (EVENT, *(phase for phase, event, _ in FIELDS if event != "rollout.complete"), REST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """How long one save took; milliseconds since the file was written."""

    image_ms: float
    patched_ms: float
    complete_ms: float | None
    """To the line that says so; None when no rollout was waited for."""
    phases: Mapping[str, float]


def written_at(line: Line) -> float:
    """Return when a line was written, in seconds since the epoch."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def follow(lines: Iterable[Line], *, digest: str, saved_at: float) -> Save:
    """Return what the lines tell of the save that made ``digest``.

    Args:
        lines: All that were written from the save on; of each event the first with that digest counts.
        digest: The source digest that the save made.
        saved_at: When it was written, in seconds since the epoch.

    Raises:
        KeyError: A line that every save has is missing.
    """
    first: dict[str, Line] = {}
    for line in lines:
        if line.get("source_digest") == digest:
            first.setdefault(line["event"], line)

    def since(event: str) -> float:
        return (written_at(first[event]) - saved_at) * 1000

    changed = first["workflow.changed"]
    noticed = changed.get("since_save_ms")  # absent when it was a retry that found the files at rest
    phases = {} if noticed is None else {EVENT: since("workflow.changed") - noticed}
    phases |= {
        phase: float(first[event][field])
        for phase, event, field in FIELDS
        if event in first and field in first[event]
    }
    patched = since("deploy.applied")
    phases[REST] = patched - sum(took for phase, took in phases.items() if phase in TO_PATCHED)
    return Save(
        image_ms=since("build.succeeded"),
        patched_ms=patched,
        complete_ms=since("rollout.complete") if "rollout.complete" in first else None,
        phases=phases,
    )
