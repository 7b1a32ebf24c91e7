"""How log lines look: the daemon's as it writes them, and records that ``pdwatch logs`` reads.

A record is a flat mapping with ``timestamp`` (ISO 8601), ``level`` and ``event``.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import EventDict, Processor

RecordFormat: TypeAlias = Literal["console", "json", "logfmt"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FIRST = ["timestamp", "level", "event", "workflow", "namespace", "source_digest"]
"""What logfmt lines begin with."""


def processors(chosen: RecordFormat, *, colour: bool) -> list[Processor]:
    """Return what makes a line of a record; the last of them returns text."""
    if chosen == "console":
        return [
            _local_time,
            _shorten_digests,
            structlog.dev.ConsoleRenderer(colors=colour, pad_event_to=20, sort_keys=False),
        ]
    if chosen == "logfmt":
        renderer: Processor = structlog.processors.LogfmtRenderer(key_order=_FIRST, drop_missing=True)
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    return [structlog.processors.format_exc_info, renderer]


def record_renderer(chosen: RecordFormat, *, colour: bool) -> Callable[[Mapping[str, object]], str]:
    """Return what makes a line, without its end, of a record that was written before."""
    steps = processors(chosen, colour=colour)

    def render(record: Mapping[str, object]) -> str:
        value: object = dict(record)
        for step in steps:
            value = step(None, "", value)  # type: ignore[arg-type]  # each takes what the one before returns
        return str(value)

    return render


def _local_time(_: object, __: str, fields: EventDict) -> EventDict:
    """Leave people the time of day, and the date if it is not today's."""
    at = datetime.fromisoformat(str(fields["timestamp"])).astimezone()
    today = datetime.now().astimezone().date() == at.date()
    return {**fields, "timestamp": f"{at:%H:%M:%S}" if today else f"{at:%Y-%m-%d %H:%M:%S}"}


def _shorten_digests(_: object, __: str, fields: EventDict) -> EventDict:
    """Leave people the first twelve digits, which is what an image's tag has too."""
    return {
        key: value[:19] if isinstance(value, str) and _DIGEST.fullmatch(value) else value
        for key, value in fields.items()
    }
