"""The stable port of a workflow: real sockets on both sides."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.local import front as front_module
from pdwatch.adapters.local.front import bind_first, open_front
from pdwatch.errors import PortTakenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def upstream(name: bytes) -> AsyncIterator[int]:
    """Serve connections that get back the name and what they sent, until they end it."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name + await reader.read())
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def ask(port: int, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    writer.write_eof()
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_connections_go_to_the_current_engine_and_open_ones_stay_with_theirs():
    async with upstream(b"old ") as old, upstream(b"new ") as new, open_front((0,)) as (front, port):
        front.switch(old)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"begun")
        await writer.drain()
        assert await ask(port, b"before") == b"old before"
        front.switch(new)
        assert await ask(port, b"after") == b"new after"
        writer.write_eof()
        assert await reader.read() == b"old begun"
        writer.close()


async def test_a_connection_waits_for_an_engine_that_is_about_to_come():
    async with upstream(b"late ") as late, open_front((0,)) as (front, port), asyncio.TaskGroup() as group:
        answer = group.create_task(ask(port, b"asked"))
        front.switch(late)
        assert await answer == b"late asked"


async def test_where_none_comes_the_answer_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(front_module, "_PATIENCE_S", 0)
    async with open_front((0,)) as (_, port):
        answer = await ask(port, b"GET / HTTP/1.1\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert f"Content-Length: {len(body)}".encode() in head


async def test_an_engine_that_has_just_gone_is_waited_for():
    async with upstream(b"") as gone:
        pass
    async with upstream(b"new ") as new, open_front((0,)) as (front, port), asyncio.TaskGroup() as group:
        front.switch(gone)
        answer = group.create_task(ask(port, b"asked"))
        front.switch(new)
        assert await answer == b"new asked"


async def test_the_next_free_port_is_taken_and_where_there_is_none_they_are_named():
    with bind_first((0,)) as taken, bind_first((0,)) as free:
        first, second = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        with bind_first((first, second)) as found:
            assert found.getsockname()[1] == second
        with pytest.raises(PortTakenError, match=f"port {first} on 127.0.0.1 is taken"):
            bind_first((first,))


async def test_an_engine_learns_that_a_client_has_broken_off_and_nothing_is_complained_of():
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    ended = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"begun")
        await reader.read()
        writer.close()
        ended.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server, open_front((0,)) as (front, port):
        front.switch(server.sockets[0].getsockname()[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readexactly(5) == b"begun"
        abruptly = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abruptly)
        writer.close()
        await ended.wait()
    assert complaints == []
