"""The newest log records, and whoever follows them: each gets every record, or is dropped."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pdwatch.core.log_records import Query
from pdwatch.log_format import record_renderer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdwatch.core.log_records import Record

KEPT = 1000
KEPT_CHARACTERS = 1 << 20
BACKLOG = 256
"""How many records may wait for a follower; one that is slower than that is dropped."""
_KEPT = Query(level="info")
"""What is kept: lines at level debug come by the hundred, and are told only to who is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record as JSON, under an ID that no other record of this daemon has, or of another one."""

    id: str
    record: Record
    json: str


@dataclass(slots=True, eq=False, kw_only=True)
class Subscription:
    """What one follower is yet to get; None in the queue is the end."""

    query: Query
    replay: list[Entry]
    drop: Callable[[], None]
    queue: asyncio.Queue[Entry | None] = field(default_factory=lambda: asyncio.Queue(BACKLOG))

    async def next(self) -> Entry | None:
        """Return the next record; None at the end."""
        return self.replay.pop(0) if self.replay else await self.queue.get()


class EventFeed:
    """Keeps the newest records, and hands each new one to who follows.

    Args:
        start: What tells this daemon from others in the IDs of records.
    """

    def __init__(self, start: str) -> None:
        self._start = start
        self._number = 0
        self._kept: deque[Entry] = deque()
        self._characters = 0
        self._followers: set[Subscription] = set()
        self._render = record_renderer("json", colour=False)

    def take(self, record: Record) -> None:
        """Hand a record on, and keep it."""
        self._number += 1
        keep = _KEPT.wants(record)
        wanted = [each for each in self._followers if each.query.wants(record)]
        if not keep and not wanted:
            return
        entry = Entry(id=f"{self._start}-{self._number}", record=record, json=self._render(record.fields))
        for each in wanted:
            self._hand(each, entry)
        if keep:
            self._keep(entry)

    @contextmanager
    def subscription(
        self, query: Query, *, after: str | None, drop: Callable[[], None]
    ) -> Iterator[Subscription]:
        """Follow the records that ``query`` wants.

        Args:
            query: Which records.
            after: The ID of the record that was got last: what is kept of the later ones comes first, and all
                that is kept if that is not known any more. None begins with what comes.
            drop: Called when more records wait than a follower may leave waiting.
        """
        replay = [] if after is None else [each for each in self._after(after) if query.wants(each.record)]
        subscription = Subscription(query=query, replay=replay, drop=drop)
        self._followers.add(subscription)
        try:
            yield subscription
        finally:
            self._followers.discard(subscription)

    def close(self) -> None:
        """End every subscription once it has got what waits for it."""
        for each in tuple(self._followers):
            self._hand(each, None)
        self._followers.clear()

    def _hand(self, subscription: Subscription, entry: Entry | None) -> None:
        try:
            subscription.queue.put_nowait(entry)
        except asyncio.QueueFull:
            self._followers.discard(subscription)
            subscription.drop()

    def _keep(self, entry: Entry) -> None:
        self._kept.append(entry)
        self._characters += len(entry.json)
        while len(self._kept) > KEPT or self._characters > KEPT_CHARACTERS:
            self._characters -= len(self._kept.popleft().json)

    def _after(self, after: str) -> list[Entry]:
        start, _, number = after.rpartition("-")
        if start != self._start or not number.isdecimal():
            return list(self._kept)
        return [each for each in self._kept if int(each.id.rpartition("-")[2]) > int(number)]
