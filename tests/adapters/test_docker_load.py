"""Loads that are given up, as Docker sees them: it goes on with an archive that it has got."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from pdwatch.adapters.docker.api import connect
from pdwatch.adapters.docker.endpoint import Endpoint
from pdwatch.adapters.docker.load import load
from tests.adapters.docker_proxy import messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator
    from pathlib import Path


@dataclass(slots=True)
class BusyDocker:
    """Begins with a load as it comes, and ends it when it is allowed to."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    received: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    async def version(self, _: web.Request) -> web.Response:
        return web.json_response({"ApiVersion": "1.41"})

    async def load(self, request: web.Request) -> web.Response:
        await request.content.readany()
        self.begun.set()
        await request.read()
        self.received.set()
        await self.may_end.wait()
        self.ended = True
        return web.Response(body=messages({"stream": "Loaded image: a:1\n"}), content_type="application/json")


@asynccontextmanager
async def busy_docker(directory: Path) -> AsyncIterator[tuple[BusyDocker, Endpoint]]:
    docker, app = BusyDocker(), web.Application()
    app.router.add_get("/version", docker.version)
    app.router.add_get("/v1.41/version", docker.version)
    app.router.add_post("/v1.41/images/load", docker.load)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.UnixSite(runner, str(directory / "docker.sock")).start()
    try:
        yield docker, Endpoint(url=f"unix://{directory}/docker.sock", origin="the test")
    finally:
        await runner.cleanup()


def archive() -> Generator[bytes, None, None]:
    yield b"archive"


async def test_a_load_that_docker_has_got_is_waited_for_though_it_is_cancelled(tmp_path: Path) -> None:
    async with busy_docker(tmp_path) as (docker, endpoint), connect(endpoint) as api:
        loading = asyncio.create_task(load(api, archive()))
        await docker.received.wait()
        loading.cancel()
        await api.request("GET", "version")  # by then a load that is not waited for would have ended
        assert not loading.done()
        docker.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await loading
        assert docker.ended


async def test_a_load_that_docker_has_not_got_yet_ends_at_once_when_it_is_cancelled(tmp_path: Path) -> None:
    loop, cancelled = asyncio.get_running_loop(), asyncio.Event()

    def endless() -> Generator[bytes, None, None]:
        yield bytes(1 << 20)
        asyncio.run_coroutine_threadsafe(cancelled.wait(), loop).result()
        yield bytes(1 << 20)

    async with busy_docker(tmp_path) as (docker, endpoint), connect(endpoint) as api:
        loading = asyncio.create_task(load(api, endless()))
        await docker.begun.wait()
        loading.cancel()
        loop.call_soon(cancelled.set)  # the block that is being read is waited for, and not sent
        with pytest.raises(asyncio.CancelledError):
            await loading
        assert not docker.received.is_set()


async def test_a_load_that_hangs_holds_nobody_up_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdwatch.adapters.docker.load._HANDED_OVER_S", 0.01)
    async with busy_docker(tmp_path) as (docker, endpoint), connect(endpoint) as api:
        loading = asyncio.create_task(load(api, archive()))
        await docker.received.wait()
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        assert not docker.ended
