"""A socket between pdwatch and a real Docker that does on demand what Docker itself won't."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import aiohttp
from aiohttp import web

from pdwatch.adapters.docker.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

_PASSED_ON = {"Content-Type", "X-Registry-Auth"}

SILENCE: Final = "silence"
"""As a fault: an answer begins, and never goes on."""
Fault = bytes | web.Response | asyncio.Event | Literal["silence"]
"""Bytes that an answer ends with, before the connection is cut off; a whole other answer; or what Docker
waits for before it does anything, though its answer has begun."""


def refusal(message: str, *, status: int) -> web.Response:
    """An error as Docker writes it."""
    return web.json_response({"message": message}, status=status)


def no_buildkit(request: web.Request) -> Fault | None:
    """Answer as a daemon without BuildKit does."""
    if request.path.endswith("/build") and request.query.get("version") == "2":
        return refusal("buildkit is not supported by daemon", status=400)
    return None


@dataclass(slots=True)
class DockerProxy:
    """Passes requests on, and ``fault`` says for which ones it does not."""

    upstream: str
    fault: Callable[[web.Request], Fault | None]
    endpoint: Endpoint
    requests: list[str] = field(default_factory=list)
    """Method, path and query of each, without the version."""

    def looked_at(self, repository: str) -> set[str]:
        """The images of a repository that were asked for, by name."""
        looks = (request.removeprefix("GET images/") for request in self.requests)
        return {look.removesuffix("/json") for look in looks if look.startswith(f"{repository}:")}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs.partition('/v1.')[2].partition('/')[2]}")
        fault = self.fault(request)
        if isinstance(fault, web.Response):
            await request.read()
            return fault
        if fault == SILENCE:
            silent = web.StreamResponse()
            await silent.prepare(request)
            await asyncio.Event().wait()
        early = web.StreamResponse()
        if isinstance(fault, asyncio.Event):
            await early.prepare(request)
            await fault.wait()
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(self.upstream)) as session,
            session.request(
                request.method,
                f"http://docker{request.path_qs}",
                headers={key: value for key, value in request.headers.items() if key in _PASSED_ON},
                data=request.content if request.body_exists else None,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as upstream,
        ):
            answer = early
            if not early.prepared:
                kind = upstream.headers.get("Content-Type", "")
                answer = web.StreamResponse(status=upstream.status, headers={"Content-Type": kind})
                await answer.prepare(request)
            async for chunk in upstream.content.iter_any():
                await answer.write(chunk + fault if isinstance(fault, bytes) else chunk)
                if isinstance(fault, bytes):
                    assert request.transport
                    request.transport.abort()
                    break
            return answer


@asynccontextmanager
async def docker_proxy(
    docker_host: str, directory: Path, fault: Callable[[web.Request], Fault | None]
) -> AsyncIterator[DockerProxy]:
    endpoint = Endpoint(url=f"unix://{directory}/proxy.sock", origin="the proxy")
    proxy = DockerProxy(docker_host.removeprefix("unix://"), fault, endpoint)
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", proxy.serve)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.UnixSite(runner, str(directory / "proxy.sock")).start()
    try:
        yield proxy
    finally:
        await runner.cleanup()


def messages(*values: object) -> bytes:
    """Docker's stream of JSON messages."""
    return b"".join(json.dumps(value).encode() + b"\r\n" for value in values)
