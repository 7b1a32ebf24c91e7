"""A socket that answers as told: for what a real API server won't do on demand."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable

RESET = "reset"
"""In a script: cut the connection off."""
HANG = "hang"
"""In a script: say nothing more, and keep the connection open."""


def answer(status: int, body: object = None, **headers: object) -> bytes:
    """An HTTP answer; a body that is no string is JSON. ``Retry_After=1`` is the header Retry-After."""
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


KUBE_SYSTEM = answer(200, {"metadata": {"uid": "1"}})
"""For the question that comes before the first write: which cluster is this?"""
PATH = "/apis/apps/v1/namespaces/dev/deployments/hello"
OK = answer(200, {"kind": "Deployment"})


@dataclass(slots=True)
class ScriptedServer:
    """``script`` holds what is sent after each request: bytes, then perhaps RESET or HANG."""

    script: deque[tuple[bytes | str, ...]]
    url: str = ""
    requests: list[str] = field(default_factory=list)
    """The heads of the requests so far."""
    peers: list[str] = field(default_factory=list)
    """The common names of the client certificates that connections so far have come with."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has gone."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if certificate := writer.get_extra_info("peercert"):
            self.peers += [value for ((key, value),) in certificate["subject"] if key == "commonName"]
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head.decode())
                await reader.readexactly(int(self._header(head, "content-length") or 0))
                for part in self.script.popleft():
                    if part == HANG:
                        await reader.read()
                    if part == RESET:
                        writer.transport.abort()
                    if isinstance(part, bytes):
                        writer.write(part)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done with this connection
        finally:
            self.left.set()
            writer.close()

    def sent(self, header: str) -> list[str | None]:
        """The values of a header in the requests so far."""
        return [self._header(request.encode(), header) for request in self.requests]

    @staticmethod
    def _header(head: bytes, name: str) -> str | None:
        for line in head.decode().splitlines()[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


@asynccontextmanager
async def scripted_server(
    script: Iterable[tuple[bytes | str, ...] | bytes], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer(deque(part if isinstance(part, tuple) else (part,) for part in script))
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=tls)
    scripted.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield scripted
    finally:
        server.close()
