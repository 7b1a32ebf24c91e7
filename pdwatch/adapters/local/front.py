"""The stable port of one workflow: whatever engine is current answers behind it."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from pdwatch.adapters.local.deno import LOOPBACK
from pdwatch.errors import PortTakenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PATIENCE_S = 10.0
"""How long a connection waits for an engine: one that starts, or starts again, is soon there."""
_CHUNK_BYTES = 1 << 16
_BODY = b'{"error":"no engine of this workflow runs; the log of pdwatch says why"}'
_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Retry-After: 1\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class Front:
    """Hands each connection on to the current engine; one that is open stays with the engine that has it.

    It forwards bytes and knows no HTTP: what a client sends is what the engine gets, streams and all.
    """

    def __init__(self) -> None:
        self._upstream: int | None = None
        self._available = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    def switch(self, port: int | None) -> None:
        """Let new connections go to the engine on ``port``; None makes them wait for one."""
        self._upstream = port
        if port is None:
            self._available.clear()
        else:
            self._available.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def close(self) -> None:
        """End every connection."""
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await self._connect()
        if upstream is None:
            writer.write(_UNAVAILABLE)
            with suppress(ConnectionError):
                await writer.drain()
            return
        engine_reader, engine_writer = upstream
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, engine_writer), name="forward a request")
                group.create_task(_copy(engine_reader, writer), name="forward an answer")
        finally:
            engine_writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while True:
                    await self._available.wait()
                    port = self._upstream
                    try:
                        return await asyncio.open_connection(LOOPBACK, port)
                    except ConnectionRefusedError:  # it has just ended, which its supervisor will tell
                        if self._upstream == port:
                            self.switch(None)
        except OSError:  # a TimeoutError among them
            return None


@asynccontextmanager
async def open_front(ports: tuple[int, ...]) -> AsyncIterator[tuple[Front, int]]:
    """Listen on loopback, on the first of ``ports`` that is free; yield the front and its port.

    Raises:
        PortTakenError: None of them is free.
    """
    front = Front()
    server = await asyncio.start_server(front.serve, sock=bind_first(ports))
    try:
        yield front, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await front.close()


def bind_first(ports: tuple[int, ...]) -> socket.socket:
    """Return a socket on loopback, on the first of ``ports`` that is free; 0 stands for any.

    Raises:
        PortTakenError: None of them is free.
    """
    for port in ports:
        try:
            return socket.create_server((LOOPBACK, port))
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
    tried = f"port {ports[0]}" if len(ports) == 1 else f"every port from {ports[0]} to {ports[-1]}"
    raise PortTakenError(f"{tried} on {LOOPBACK} is taken", remedy="name a free one, or 0 for any")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward until one side ends; the other learns that nothing more comes, or that the connection broke."""
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()
