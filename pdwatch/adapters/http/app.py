"""The HTTP endpoint: what it answers, and whom it refuses."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.hdrs import HOST, METH_GET
from aiohttp.http_exceptions import HttpProcessingError

from pdwatch.adapters.prometheus import CONTENT_TYPE
from pdwatch.core.listen import host_allowed
from pdwatch.core.log_records import RANKS, Query

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from pdwatch.adapters.http.feed import EventFeed, Subscription
    from pdwatch.adapters.prometheus import Metrics
    from pdwatch.core.listen import ListenAddress
    from pdwatch.ports import DaemonState

HEARTBEAT_S = 15.0
"""How often a silent stream of events shows that it lives."""
_SHUTDOWN_S = 1.0
"""How long answers under way may take once the daemon ends."""
_SAFE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def http_app(
    state: DaemonState,
    *,
    metrics: Metrics,
    feed: EventFeed,
    listen: ListenAddress | None = None,
    heartbeat_s: float = HEARTBEAT_S,
) -> web.Application:
    """Return the application.

    Args:
        state: What is told of the daemon and its workflows.
        metrics: What ``/metrics`` shows.
        feed: The records of ``/api/v1/events``.
        listen: Where it listens on TCP, which says which Host headers are its own.
        heartbeat_s: Seconds after which a silent stream of events shows that it lives.
    """

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        # Without a header `request.host` is the name of this machine, for which it waits for DNS.
        if HOST not in request.headers or not host_allowed(request.host, listen):
            return _refused(421, "this Host is none of pdwatch's: use localhost or the address itself")
        if request.method != METH_GET:
            return _refused(405, "there is nothing to change here: GET is all", Allow=METH_GET)
        return await handler(request)

    answers = _Answers(state, metrics=metrics, feed=feed, heartbeat_s=heartbeat_s)
    app = web.Application(middlewares=[refuse])
    for path, answer in (
        ("/healthz", answers.healthz),
        ("/readyz", answers.readyz),
        ("/metrics", answers.metrics),
        ("/api/v1/workflows", answers.workflows),
        ("/api/v1/events", answers.events),
    ):
        app.router.add_get(path, answer, allow_head=False)
    return app


def http_runner(app: web.Application) -> web.AppRunner:
    """Return what serves the application; it is quiet about requests, and about what is no request at all."""
    log = logging.getLogger("aiohttp.server")
    log.addFilter(_is_ours)
    return web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=_SHUTDOWN_S)


def _is_ours(record: logging.LogRecord) -> bool:
    """Tell a defect of pdwatch from what somebody sends that is not HTTP, which is answered with 400."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


class _Answers:
    def __init__(self, state: DaemonState, *, metrics: Metrics, feed: EventFeed, heartbeat_s: float) -> None:
        self._state = state
        self._metrics = metrics
        self._feed = feed
        self._heartbeat_s = heartbeat_s

    async def healthz(self, _: web.Request) -> web.Response:
        health = self._state.health()
        document = {"ok": health.ok, "lag_s": round(health.lag_s, 4), "hung": list(health.hung)}
        return _json(document, ok=health.ok)

    async def readyz(self, _: web.Request) -> web.Response:
        readiness = self._state.readiness()
        document = {
            "ready": readiness.ready,
            "synced": readiness.synced,
            "stale_watches": list(readiness.stale),
        }
        return _json(document, ok=readiness.ready)

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={**_SAFE, "Content-Type": CONTENT_TYPE})

    async def workflows(self, _: web.Request) -> web.Response:
        return _json({"workflows": [each.document() for each in self._state.workflows()]})

    async def events(self, request: web.Request) -> web.StreamResponse:
        query = _query(request)
        if query is None:
            return _refused(400, f"level is one of {', '.join(RANKS)}")

        def drop() -> None:
            if request.transport is not None:
                request.transport.abort()

        response = web.StreamResponse(headers={**_SAFE, "Content-Type": "text/event-stream"})
        after = request.headers.get("Last-Event-ID")
        with self._feed.subscription(query, after=after, drop=drop) as subscription:
            try:
                await response.prepare(request)
                await _stream(response, subscription, heartbeat_s=self._heartbeat_s)
            except ConnectionError:  # it is gone, or was dropped
                return response
        return response


def _query(request: web.Request) -> Query | None:
    level = request.query.get("level", "info")
    workflows = frozenset(request.query.getall("workflow", []))
    return Query(level=level, workflows=workflows) if level in RANKS else None


async def _stream(response: web.StreamResponse, subscription: Subscription, *, heartbeat_s: float) -> None:
    await response.write(b": records of pdwatch's log\nretry: 1000\n\n")
    while True:
        try:
            async with asyncio.timeout(heartbeat_s):
                entry = await subscription.next()
        except TimeoutError:
            await response.write(b": alive\n\n")
            continue
        if entry is None:
            return
        await response.write(f"id: {entry.id}\ndata: {entry.json}\n\n".encode())


def _json(document: object, *, ok: bool = True) -> web.Response:
    return web.json_response(document, status=200 if ok else 503, headers=_SAFE)


def _refused(status: int, error: str, **headers: str) -> web.Response:
    return web.json_response({"error": error}, status=status, headers={**_SAFE, **headers})
