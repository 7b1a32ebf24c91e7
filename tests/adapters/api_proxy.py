"""A socket before a real API server, behind which another cluster can seem to take its place."""

from __future__ import annotations

import json
import ssl
from base64 import b64decode
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml
from aiohttp import web

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.testbed.client import Testbed

IDENTITY = "/api/v1/namespaces/kube-system"


@dataclass(slots=True)
class ApiProxy:
    """Passes requests on; ``uid`` stands in for that of kube-system."""

    session: aiohttp.ClientSession
    upstream: str
    port: int = 0
    uid: str | None = None
    away: bool = False
    """Whether every connection breaks, new ones too."""
    requests: list[str] = field(default_factory=list)
    """Method and path of each."""
    _open: set[asyncio.Transport] = field(default_factory=set)

    def lead_elsewhere(self, uid: str | None) -> None:
        """Be another cluster from now on, or with None the first one again; connections break, as they do."""
        self.uid = uid
        self._cut()

    def be_away(self) -> None:
        """Be a server that is down, until ``away`` is false again."""
        self.away = True
        self._cut()

    def _cut(self) -> None:
        for transport in tuple(self._open):
            transport.abort()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        transport: Any = request.transport
        if self.away:
            transport.abort()
            return web.Response()
        self._open.add(transport)
        try:
            async with self.session.request(
                request.method,
                self.upstream + request.path_qs,
                headers={
                    key: value
                    for key, value in request.headers.items()
                    if key in {"Accept", "Authorization", "Content-Type"}
                },
                data=await request.read() or None,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as answer:
                if request.path == IDENTITY and self.uid is not None:
                    found = json.loads(await answer.read())
                    found["metadata"]["uid"] = self.uid
                    return web.json_response(found)
                response = web.StreamResponse(status=answer.status)
                response.content_type = answer.content_type
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response
        finally:
            self._open.discard(transport)


@asynccontextmanager
async def api_proxy(testbed: Testbed) -> AsyncIterator[ApiProxy]:
    config = yaml.safe_load(testbed.kubeconfig.read_text())
    (cluster,) = (each["cluster"] for each in config["clusters"])
    authority = b64decode(cluster["certificate-authority-data"]).decode()
    connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cadata=authority))
    async with aiohttp.ClientSession(connector=connector) as session:
        proxy = ApiProxy(session, cluster["server"])
        runner = web.ServerRunner(web.Server(proxy.serve, handler_cancellation=True), shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.port = runner.addresses[0][1]
        try:
            yield proxy
        finally:
            proxy.lead_elsewhere(None)
            await runner.cleanup()


def kubeconfig_through(testbed: Testbed, path: Path, proxy: ApiProxy, *, host: str = "127.0.0.1") -> Path:
    """Write the testbed's kubeconfig with the proxy as its server, called ``host``."""
    config = yaml.safe_load(testbed.kubeconfig.read_text())
    for each in config["clusters"]:
        each["cluster"] = {"server": f"http://{host}:{proxy.port}"}
    path.write_text(yaml.safe_dump(config))
    return path
