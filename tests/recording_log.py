"""An event log whose lines tests look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pdwatch.logs import EventLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdwatch.logs import Event


class RecordingLog(EventLog):
    """Keeps the lines instead of writing them; the catalogue is still checked."""

    def __init__(
        self, lines: list[dict[str, Any]] | None = None, bound: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(logger=self)
        self.lines = [] if lines is None else lines
        self._bound = dict(bound or {})

    def bind(self, **fields: object) -> RecordingLog:
        return RecordingLog(self.lines, {**self._bound, **fields})

    def log(self, level: int, event: Event, **fields: object) -> None:
        self.lines.append({"event": str(event), **self._bound, **fields})

    def named(self, event: Event) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]
