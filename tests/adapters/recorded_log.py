"""A log that keeps its lines."""

from __future__ import annotations

import asyncio
from logging import DEBUG
from typing import TYPE_CHECKING, Any

import structlog

from pdwatch.logs import EventLog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from pdwatch.logs import Event


class RecordedLog(EventLog):
    """Keeps the lines of every level; the catalogue is still checked."""

    def __init__(self) -> None:
        everything = structlog.make_filtering_bound_logger(DEBUG)
        super().__init__(structlog.wrap_logger(None, [self._record], wrapper_class=everything))
        self.lines: list[MutableMapping[str, Any]] = []
        self._written = asyncio.Event()

    def named(self, event: Event) -> list[MutableMapping[str, Any]]:
        """The lines of an event so far."""
        return [line for line in self.lines if line["event"] == event]

    async def until(self, event: Event) -> None:
        """Return once there is a line of this event."""
        while not self.named(event):
            self._written.clear()
            await self._written.wait()

    def _record(self, _: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        self.lines.append(line)
        self._written.set()
        raise structlog.DropEvent
