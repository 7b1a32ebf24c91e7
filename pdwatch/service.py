"""Keeps systemd told: when the first sync is done, what the workflows do, and that every part still lives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pdwatch.logs import Event
from pdwatch.standing import standing, summary

if TYPE_CHECKING:
    from pdwatch.adapters.systemd import Systemd
    from pdwatch.heartbeats import Heartbeats
    from pdwatch.logs import EventLog
    from pdwatch.tracked import TrackedWorkflows

START_TICK_S = 20.0
"""How often systemd is asked for patience with a start where no watchdog sets the pace."""
STATUS_S = 0.5
"""How long one status line stands at least: it counts all workflows, and nobody reads quicker."""
PATIENCE_TICKS = 3
"""How many ticks a request for patience lasts: one that is late must not end the start."""


class ServiceReport:
    """What systemd gets to know, for as long as :meth:`run` runs.

    Args:
        systemd: Who is told.
        tracked: The workflows of the status line.
        heartbeats: The parts of the daemon; the watchdog is fed only while none is overdue.
        log: Where a hung part is reported.
    """

    def __init__(
        self, systemd: Systemd, *, tracked: TrackedWorkflows, heartbeats: Heartbeats, log: EventLog
    ) -> None:
        self._systemd = systemd
        self._tracked = tracked
        self._heartbeats = heartbeats
        self._log = log
        self._tick_s = systemd.watchdog_s / 2 if systemd.watchdog_s else START_TICK_S
        self._changed = asyncio.Event()
        self._changed.set()
        self._ready = False
        self._told: str | None = None
        self._hung: tuple[str, ...] = ()

    def changed(self) -> None:
        """Take note that something has happened, and the status line may be another."""
        self._changed.set()

    async def reloading(self) -> None:
        """Tell that a reload has begun, unless the start is still to end."""
        if self._ready:
            await self._systemd.reloading()

    async def reloaded(self) -> None:
        """Tell that a reload has ended, unless the start is still to end."""
        if self._ready:
            await self.ready()

    async def ready(self) -> None:
        """Tell that the first sync is done, and first what came of it: whoever waited for that asks next."""
        self._ready = True
        await self._tell_line()
        await self._systemd.ready()
        self.changed()

    async def run(self) -> None:
        """Tell the status as it changes and feed the watchdog, until cancelled.

        A hung part is logged whether or not there is a systemd.
        """
        async with asyncio.TaskGroup() as group:
            if self._systemd.listens:
                group.create_task(self._tell_status(), name="tell systemd the status")
            group.create_task(self._feed_watchdog(), name="feed systemd's watchdog")

    async def _tell_status(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._tell_line()
            await asyncio.sleep(STATUS_S)

    async def _tell_line(self) -> None:
        line = summary(map(standing, self._tracked))
        if self._hung:
            line = f"hung: {', '.join(self._hung)}"
        elif not self._ready:
            line = f"first sync, {line}"
        if line != self._told:
            self._told = line
            await self._systemd.status(line)

    async def _feed_watchdog(self) -> None:
        while True:
            self._judge()
            if not self._hung and self._ready:
                await self._systemd.alive()
            elif not self._hung:
                await self._systemd.extend_timeout(PATIENCE_TICKS * self._tick_s)
            await asyncio.sleep(self._tick_s)

    def _judge(self) -> None:
        hung = self._heartbeats.overdue()
        if hung and hung != self._hung:
            self._log.emit(
                Event.DAEMON_HUNG,
                parts=", ".join(hung),
                message="parts of pdwatch have shown no life for longer than they ever should",
                remedy="restart it, as systemd's watchdog does, and report this with the lines before it",
            )
        if hung != self._hung:
            self._hung = hung
            self.changed()
