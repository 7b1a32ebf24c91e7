"""What ``pdwatch logs`` shows: records as the daemon wrote them, read, put in order and chosen."""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

RANKS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_PRIORITIES = {"0": "critical", "1": "critical", "2": "critical", "3": "error", "4": "warning", "7": "debug"}
"""syslog's priorities; 5 and 6 are ``info`` here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record; ``fields`` are all of it, ``timestamp``, ``level`` and ``event`` included.

    ``event`` is free text for what is no event of pdwatch's, such as a line of systemd about the unit.
    """

    at: datetime
    fields: Mapping[str, Any]
    cursor: str | None = None
    """Where it is in the journal."""

    @property
    def workflow(self) -> str | None:
        """The workflow that it is about."""
        return self.fields.get("workflow")


def read_line(line: bytes) -> Record | None:
    """Read a line of a log file; None when it is no record."""
    try:
        fields = json.loads(line)
        at = datetime.fromisoformat(fields["timestamp"])
        known = fields["level"] in RANKS and isinstance(fields["event"], str) and at.tzinfo is not None
    except (ValueError, TypeError, LookupError):
        return None
    return Record(at=at, fields=fields) if known else None


def read_journal_entry(line: bytes) -> Record | None:
    """Read an entry in journalctl's JSON (systemd's Journal Export Formats); None when it has no text.

    What is no record of pdwatch's, such as what systemd says about the unit, becomes one without fields.
    """
    try:
        entry = json.loads(line)
        at = datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, UTC)
        message = entry.get("MESSAGE")
        text = bytes(message) if isinstance(message, list) else str(message or "").encode()
    except (ValueError, TypeError, LookupError):
        return None
    cursor = entry.get("__CURSOR")
    record = read_line(text)
    if record is not None:
        return Record(at=record.at, fields=record.fields, cursor=cursor)
    level = _PRIORITIES.get(str(entry.get("PRIORITY")), "info")
    fields = {"timestamp": at.isoformat(), "level": level, "event": text.decode(errors="replace")}
    return Record(at=at, fields=fields, cursor=cursor) if text else None


def merged(newest_first: Iterable[Iterable[Record]]) -> Iterator[Record]:
    """Put the records of several logs, each newest first, into one order, newest first."""
    return heapq.merge(*newest_first, key=lambda record: record.at, reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which records are wanted: from a level on, since a time, and of some workflows; an empty set is all."""

    level: str = "debug"
    since: datetime | None = None
    workflows: frozenset[str] = frozenset()

    def wants(self, record: Record) -> bool:
        """Tell whether a record is wanted."""
        return (
            RANKS[record.fields["level"]] >= RANKS[self.level]
            and (self.since is None or record.at >= self.since)
            and (not self.workflows or record.workflow in self.workflows)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The ``records`` that were wanted, oldest first, and the ``workflows`` that were seen on the way."""

    records: Sequence[Record]
    workflows: frozenset[str]
    cursor: str | None
    """Of the newest record, wanted or not."""


@dataclass(slots=True)
class _Seen:
    records: list[Record] = field(default_factory=list)
    workflows: set[str] = field(default_factory=set)
    cursor: str | None = None


def select_last(newest_first: Iterable[Record], query: Query, *, lines: int | None) -> Selection:
    """Choose the last ``lines`` records that are wanted, or with None all.

    No more is read than is needed: for as many records and to know that each workflow exists.
    """
    seen = _Seen()
    for record in newest_first:
        seen.cursor = seen.cursor or record.cursor
        if record.workflow is not None:
            seen.workflows.add(record.workflow)
        full = lines is not None and len(seen.records) >= lines
        if query.wants(record) and not full:
            seen.records.append(record)
        past = query.since is not None and record.at < query.since
        if (full or past) and query.workflows <= seen.workflows:
            break
    return Selection(records=seen.records[::-1], workflows=frozenset(seen.workflows), cursor=seen.cursor)
