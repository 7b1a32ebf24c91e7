"""Reloads the settings of a running daemon: on SIGHUP, and when their file is saved."""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pdwatch.adapters.settings_file import saves
from pdwatch.errors import PdwatchError
from pdwatch.logs import Event, EventLog
from pdwatch.settings.changes import reload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator
    from pathlib import Path

    from pdwatch.core.model import TargetName
    from pdwatch.settings import Effective, LogSettings, Settings, SettingsFile

RELOAD_SIGNAL = signal.SIGHUP


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What it takes to reload settings: load them anew, and have log lines look as they say."""

    file: SettingsFile | None
    load: Callable[[], Effective]
    configure_log: Callable[[LogSettings], None]


class ReloadListener(Protocol):
    """Is told when a reload begins and ends; systemd wants to know (docs/adr/0014-settings-and-reload.md)."""

    async def reloading(self) -> None:
        """Take note that a reload begins."""
        ...

    async def reloaded(self) -> None:
        """Take note that it has ended, well or not."""
        ...


@contextmanager
def reload_requests() -> Iterator[asyncio.Queue[str]]:
    """Yield a queue that gets ``signal`` with each SIGHUP, as long as the block runs."""
    loop = asyncio.get_running_loop()
    requests: asyncio.Queue[str] = asyncio.Queue()
    loop.add_signal_handler(RELOAD_SIGNAL, requests.put_nowait, "signal")
    try:
        yield requests
    finally:
        loop.remove_signal_handler(RELOAD_SIGNAL)


class Reloads:
    """Loads the settings anew at each request, and has what changed take effect.

    Args:
        settings: Those that hold.
        live: Loads others, and raises SettingsError when they are wrong.
        take: Has other settings take effect, or raises a PdwatchError and leaves everything as it was.
        opened: Returns the targets that are open.
        listener: Who is told when a reload begins and ends.
        log: Where reloads are reported.
    """

    def __init__(
        self,
        settings: Settings,
        live: Live,
        take: Callable[[Settings], Awaitable[None]],
        *,
        opened: Callable[[], Collection[TargetName]],
        listener: ReloadListener,
        log: EventLog,
    ) -> None:
        self._settings = settings
        self._live = live
        self._file = live.file
        self._take = take
        self._opened = opened
        self._listener = listener
        self._log = log

    async def run(self, requests: asyncio.Queue[str]) -> None:
        """Reload at each request, with the request as cause, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                following = group.create_task(self._follow(self._file, requests), name="watch the settings")
                path = self._path
                while self._path == path:
                    await self._reload(await requests.get())
                following.cancel()

    @property
    def _path(self) -> Path | None:
        return self._file.path if self._file else None

    async def _follow(self, file: SettingsFile | None, requests: asyncio.Queue[str]) -> None:
        if file is not None:
            async with aclosing(saves(file.path, known=file.content)) as saved:
                async for _ in saved:
                    requests.put_nowait("save")

    async def _reload(self, cause: str) -> None:
        await self._listener.reloading()
        try:
            loaded = await asyncio.to_thread(self._live.load)
            decided = reload(self._settings, loaded.settings, opened=self._opened())
            await self._take(decided.settings)
        except PdwatchError as error:
            problems = error.message.splitlines()
            for problem in problems:
                self._log.emit(
                    Event.SETTINGS_INVALID,
                    cause=cause,
                    message=problem,
                    remedy=error.remedy,
                    problems=len(problems),
                )
        else:
            self._settings, self._file = decided.settings, loaded.file
            self._live.configure_log(decided.settings.log)
            waiting = ", ".join(decided.waiting)
            self._log.emit(
                Event.SETTINGS_RELOADED,
                cause=cause,
                changed=", ".join(decided.changed) or None,
                waiting=waiting or None,
                remedy=f"start pdwatch again for {waiting} to take effect" if waiting else None,
            )
        finally:
            await self._listener.reloaded()
