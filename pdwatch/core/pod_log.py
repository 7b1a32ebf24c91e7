"""Reading pods' logs: their lines, the runs of their containers, and where to go on after an interruption."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdwatch.core.model import Manifest

Moment: TypeAlias = tuple[datetime, str]
"""A point in time to the nanosecond: Python knows microseconds, so the digits as written break ties."""


_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""ECMA-48: what sets colours, among others."""


def printable(text: str) -> str:
    """Return a text for terminals and logs: without colours, and unable to move anybody's cursor."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in _CONTROL_SEQUENCE.sub("", text).expandtabs(4)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLine:
    """A line that a container has written, and when by its node's clock."""

    pod: str
    moment: Moment
    text: str

    @property
    def fields(self) -> Mapping[str, Any] | None:
        """The line as the engine writes it, in JSON (docs/engine.md); None when it is anything else."""
        try:
            found = json.loads(self.text)
        except ValueError:
            return None
        return found if isinstance(found, dict) and isinstance(found.get("message"), str) else None


def read_pod_line(pod: str, line: bytes) -> PodLine | None:
    """Read a line of a log that was asked for with ``timestamps=true``; None when it has none."""
    stamp, _, text = line.decode(errors="replace").rstrip("\r\n").partition(" ")
    try:
        at = datetime.fromisoformat(stamp).astimezone(UTC)
    except ValueError:
        return None
    return PodLine(pod=pod, moment=(at, stamp), text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRun:
    """One run of a workflow's container, from its start to its end; a restart is another."""

    pod: str
    container: str
    id: str
    previous: bool
    """Whether the container has been started again since."""
    running: bool


def container_runs(pod: Manifest) -> Sequence[ContainerRun]:
    """Return the runs of a pod whose logs there are, oldest first: the last, and the one before it."""
    named = {each["name"]: each for each in (pod.get("status") or {}).get("containerStatuses") or ()}
    containers = pod["spec"]["containers"]
    status = named.get(containers[0]["name"]) if containers else None
    if status is None:
        return ()
    runs = []
    for previous, state in ((True, status.get("lastState") or {}), (False, status.get("state") or {})):
        found = (state.get("terminated") or {}).get("containerID")
        if "running" in state:
            found = status.get("containerID")
        if found:
            runs.append(
                ContainerRun(
                    pod=pod["metadata"]["name"],
                    container=status["name"],
                    id=found,
                    previous=previous,
                    running="running" in state,
                )
            )
    return runs


class Position:
    """How far a log was read, so that it can be asked for again without losing or repeating a line."""

    def __init__(self) -> None:
        self._last: Moment | None = None
        self._at_last = 0
        """How many lines so far were written at that very moment."""
        self._repeated = 0
        self._resuming = False

    def resume(self) -> str | None:
        """Return the ``sinceTime`` to ask for: the last line's second, as finer the API can't say."""
        self._resuming, self._repeated = self._last is not None, self._at_last
        return f"{self._last[0]:%Y-%m-%dT%H:%M:%SZ}" if self._last else None

    def takes(self, moment: Moment) -> bool:
        """Tell whether a line is new, and count it as read; lines come in the order of their time."""
        if self._resuming and self._last is not None:
            if moment < self._last:
                return False
            if moment == self._last and self._repeated:
                self._repeated -= 1
                return False
            self._resuming = False
        self._at_last = self._at_last + 1 if moment == self._last else 1
        self._last = moment
        return True
