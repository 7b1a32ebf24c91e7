"""The daemon's HTTP endpoint: what it knows of itself, counted, kept and served (docs/http.md)."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from pdwatch.adapters.http.app import http_app, http_runner
from pdwatch.adapters.http.feed import EventFeed
from pdwatch.adapters.http.sockets import bind_tcp, bind_unix, default_socket
from pdwatch.adapters.prometheus import Metrics
from pdwatch.core.listen import parse_listen
from pdwatch.errors import EndpointError
from pdwatch.logs import Event, EventLog
from pdwatch.observation import Observation

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pdwatch.core.log_records import Record
    from pdwatch.heartbeats import Heartbeats
    from pdwatch.settings import HttpSettings
    from pdwatch.tracked import TrackedWorkflows
    from pdwatch.workqueue import WorkQueue

LAG_SAMPLE_S = 1.0
"""How often the event loop's lag is measured."""


class Endpoint:
    """Takes in every log record, and answers for as long as :meth:`listening` runs.

    Args:
        tracked: The workflows.
        heartbeats: The parts of the daemon.
    """

    def __init__(self, tracked: TrackedWorkflows, heartbeats: Heartbeats) -> None:
        self._state = Observation(tracked, heartbeats, now=lambda: datetime.now(UTC))
        self._metrics = Metrics(self._state)
        self._feed = EventFeed(secrets.token_hex(4))

    def take(self, record: Record) -> None:
        """Take in a log record."""
        self._state.take(record)
        self._metrics.take(record)
        self._feed.take(record)

    @asynccontextmanager
    async def listening(
        self, settings: HttpSettings, *, queue: WorkQueue[Path], log: EventLog
    ) -> AsyncIterator[None]:
        """Answer on the socket, and on TCP where the settings say so.

        A socket that settings name must be had; one that nobody asked for is but missed, with a warning.

        Raises:
            PortTakenError: Somebody else listens there.
            EndpointError: It can't be listened on.
        """
        self._state.work = queue
        listen = parse_listen(settings.listen) if settings.listen else None
        app = http_app(self._state, metrics=self._metrics, feed=self._feed, listen=listen)
        runner = http_runner(app)
        await runner.setup()
        path: Path | None = None
        try:
            if listen is not None:
                tcp = bind_tcp(listen)
                await self._serve(runner, tcp, _url(tcp), log)
            path = self._path(settings, log)
            if path is not None:
                await self._serve(runner, bind_unix(path), str(path), log)
            yield
        finally:
            self._feed.close()
            await runner.cleanup()
            if path is not None:
                path.unlink(missing_ok=True)

    async def run(self) -> None:
        """Measure the event loop's lag, and note how the workflows stand, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + LAG_SAMPLE_S
            await asyncio.sleep(LAG_SAMPLE_S)
            self._state.lag_s = max(0.0, clock() - due)
            self._metrics.lagged(self._state.lag_s)
            self._state.note()

    def _path(self, settings: HttpSettings, log: EventLog) -> Path | None:
        if settings.socket is not None:
            return settings.socket
        try:
            return default_socket(os.environ, pid=os.getpid())
        except EndpointError as error:
            log.emit(
                Event.HTTP_UNAVAILABLE,
                message=error.message,
                remedy="`pdwatch status` needs it: set XDG_RUNTIME_DIR, or http.socket",
            )
            return None

    async def _serve(self, runner: web.AppRunner, bound: socket.socket, address: str, log: EventLog) -> None:
        await web.SockSite(runner, bound).start()
        log.emit(Event.HTTP_LISTENING, address=address)


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
