"""``pdwatch status NAME`` of a workflow that a daemon runs on this machine: the daemon says how it is."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pdwatch.cli.console import style
from pdwatch.cli.overview import look
from pdwatch.cli.table import age
from pdwatch.core.model import RolloutPhase
from pdwatch.errors import DaemonUnavailableError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdwatch.adapters.http.client import Document


async def find(name: str, namespace: str | None, place: str | None) -> Document | None:
    """Return what a daemon tells of the workflow that it runs here under a name.

    Args:
        name: The workflow's.
        namespace: Where it runs; None for any.
        place: The only daemon to be asked; None for all of this machine.

    Raises:
        DaemonUnavailableError: There is none at ``place``.
        NotFoundError: Several namespaces have one.
    """
    try:
        documents = await look(place, namespace)
    except DaemonUnavailableError:
        if place is not None:
            raise
        return None
    found = [each for each in documents if (each["workflow"], each.get("target")) == (name, "local")]
    if len({each["namespace"] for each in found}) > 1:
        names = ", ".join(sorted(each["namespace"] for each in found))
        raise NotFoundError(f"{name} runs here in several namespaces: {names}", remedy="choose with -n")
    return min(found, key=lambda each: each["standing"] == "held", default=None)


def document(row: Document) -> dict[str, Any]:
    """Return the fields of ``pdwatch status NAME``, as far as the daemon tells them."""
    rollout = row["rollout"]
    return {
        "name": row["workflow"],
        "namespace": row["namespace"],
        "target": row["target"],
        "url": row["url"],
        "ready": rollout["status"] == RolloutPhase.READY,
        "replicas": rollout["ready"],
        "available": rollout["available"],
        "status": rollout["status"] or RolloutPhase.NOT_READY.value,
        "stalled": rollout["stalled"],
        "desired": rollout["desired"],
        "updated": rollout["updated"],
        "ready_replicas": rollout["ready"],
        "generation": row["generation"] or 0,
        "image": row["image"],
        "source_digest": row["digests"]["deployed"],
        "rolled_back_from": None,
        "managed": True,
        "created_at": None,
        "reason": rollout["reason"],
        "message": rollout["message"] or row["why"],
        "pods": [],
        "log": [],
    }


def lines(row: Document, styles: dict[RolloutPhase, dict[str, Any]]) -> Iterator[str]:
    """Yield what is shown of it to a person."""
    rollout = row["rollout"]
    phase = RolloutPhase(rollout["status"] or RolloutPhase.NOT_READY)
    yield f"{row['workflow']}: {style(phase.value, sys.stdout, **styles[phase])}"
    if row["why"]:
        yield f"  why        {' '.join(row['why'].split())}"
    details = {
        "namespace": row["namespace"],
        "target": "local: a process of this machine",
        "url": row["url"],
        "saved": row["digests"]["saved"],
        "digest": row["digests"]["deployed"],
        "directory": click.format_filename(row["directory"]),
        "since": age(datetime.fromisoformat(row["since"]), datetime.now(UTC)),
    }
    yield from (f"  {key:9}  {value}" for key, value in details.items() if value)
