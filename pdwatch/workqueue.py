"""A deduplicating keyed work queue: one worker a key, newest wins, delayed requeue.

Like client-go's workqueue it keeps at most one pending entry a key and never works on a key twice at once. It
goes one step further: the work that is under way for a key is told that the key was added again, through its
:class:`Slot`, so that it can look whether it has been superseded.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

K = TypeVar("K", bound="Hashable")


@dataclass(slots=True, eq=False)
class Slot(Generic[K]):
    """A key's place in the queue.

    ``cause`` says what the latest addition was, and ``added_at`` when (loop time, seconds); ``saved_at`` is
    when the latest one that was somebody's save was noticed, None if there was none; ``added`` is set while
    there is an addition that the work has not taken. ``routine`` says that nothing is known to have happened.
    """

    key: K
    cause: str = ""
    routine: bool = False
    added_at: float = 0.0
    saved_at: float | None = None
    added: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> None:
        """Acknowledge every addition so far: what is looked at from now on is newer."""
        self.added.clear()


class WorkQueue(Generic[K]):
    """Runs ``work(slot)`` for every key that was added, until a run ends with nothing added meanwhile.

    ``work`` returns the seconds after which the key should be worked on again, or None. It must not raise: an
    exception ends the queue, since it is a defect and not a user's mistake.
    """

    def __init__(self, work: Callable[[Slot[K]], Awaitable[float | None]]) -> None:
        self._work = work
        self._slots: dict[K, Slot[K]] = {}
        self._workers: dict[K, asyncio.Task[None]] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._group: asyncio.TaskGroup | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, key: K, *, cause: str, saved: bool = False, noticed_at: float | None = None) -> None:
        """Have ``key`` worked on as soon as possible; a pending delay is cut short.

        Args:
            key: What to work on.
            cause: Why, for the log.
            saved: Whether this is somebody's save, whose latency counts.
            noticed_at: The loop time (seconds) at which the save was noticed, if not just now.
        """
        slot = self._slots.setdefault(key, Slot(key))
        slot.cause, slot.routine, slot.added_at = cause, False, asyncio.get_running_loop().time()
        if saved:
            slot.saved_at = slot.added_at if noticed_at is None else noticed_at
        self._cancel_timer(key)
        slot.added.set()
        self._start(slot)

    def refresh(self, key: K, *, cause: str) -> None:
        """Have ``key`` worked on as a matter of routine, which undoes no backoff and no better cause."""
        pending = key in self._slots and self._slots[key].added.is_set()
        if key not in self._timers and not pending:
            self.add(key, cause=cause)
            self._slots[key].routine = True

    async def run(self) -> None:
        """Work until cancelled, and on keys added before; a cancelled queue waits for its workers to end."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for slot in self._slots.values():
                if slot.added.is_set():
                    self._start(slot)
            try:
                await asyncio.Event().wait()
            finally:  # before the workers end, which may take a while: nothing may start meanwhile
                self._group = None
                for key in tuple(self._timers):
                    self._cancel_timer(key)

    async def idle(self) -> None:
        """Return once no key is being worked on; keys that wait for their delay don't count."""
        await self._idle.wait()

    @property
    def working(self) -> int:
        """How many keys are being worked on."""
        return len(self._workers)

    @property
    def delayed(self) -> int:
        """How many keys wait until they are worked on again."""
        return len(self._timers)

    def _start(self, slot: Slot[K]) -> None:
        self._idle.clear()
        if self._group is not None and slot.key not in self._workers:
            self._workers[slot.key] = self._group.create_task(self._drain(slot), name=f"work {slot.key}")

    async def _drain(self, slot: Slot[K]) -> None:
        delay = None
        try:
            while slot.added.is_set():
                slot.take()
                delay = await self._work(slot)
        finally:
            del self._workers[slot.key]
            if not self._workers:
                self._idle.set()
        if delay is None:
            del self._slots[slot.key]
        else:
            self._timers[slot.key] = asyncio.get_running_loop().call_later(delay, self._retry, slot.key)

    def _retry(self, key: K) -> None:
        self.add(key, cause="retry")

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
