"""Counts requests between pdwatch and its servers: proxies that pass bytes on and look for request lines."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import load_kube_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from benchmarks.ground import Ground

_REQUEST_LINE = re.compile(rb"^(?:GET|HEAD|POST|PUT|PATCH|DELETE) /[^\r\n]* HTTP/1\.1\r$", re.MULTILINE)
_BLOCK_BYTES = 1 << 16
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Count:
    """How many requests have passed so far."""

    requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Where pdwatch finds the proxies, and what they have counted."""

    environment: dict[str, str]
    kubernetes: Count
    docker: Count


@asynccontextmanager
async def counted(ground: Ground) -> AsyncIterator[Counted]:
    """Stand between pdwatch and both servers of the testbed. Without TLS on pdwatch's side: use no times."""
    configuration = Configuration()
    await load_kube_config(str(ground.testbed.kubeconfig), client_configuration=configuration)
    server, docker_host = urlsplit(str(configuration.host)), urlsplit(ground.testbed.docker_host)
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    kubernetes, docker = Count(), Count()
    kubeconfig, socket = ground.scratch / "counted-kubeconfig", ground.scratch / "counted.sock"

    async def to_kubernetes() -> _Streams:
        return await asyncio.open_connection(server.hostname, server.port or 443, ssl=context)

    async def to_docker() -> _Streams:
        if docker_host.scheme == "unix":
            return await asyncio.open_unix_connection(docker_host.path)
        return await asyncio.open_connection(docker_host.hostname, docker_host.port)

    async with (
        await asyncio.start_server(_passing(to_kubernetes, kubernetes), "127.0.0.1", 0) as listening,
        await asyncio.start_unix_server(_passing(to_docker, docker), socket),
    ):
        port = listening.sockets[0].getsockname()[1]
        write_kubeconfig(ground.testbed.kubeconfig, kubeconfig, server=f"http://127.0.0.1:{port}")
        environment = {"KUBECONFIG": str(kubeconfig), "DOCKER_HOST": f"unix://{socket}"}
        yield Counted(environment=environment, kubernetes=kubernetes, docker=docker)


def write_kubeconfig(source: Path, target: Path, *, server: str) -> None:
    """Write a kubeconfig whose clusters are all at ``server``."""
    document = yaml.safe_load(source.read_text())
    for cluster in document["clusters"]:
        cluster["cluster"] = {"server": server}
    target.touch(mode=0o600)
    target.write_text(json.dumps(document))


def count_requests(block: bytes) -> int:
    """Return how many HTTP/1.1 requests begin in a block; clients send a request's head in one piece."""
    return len(_REQUEST_LINE.findall(block))


def _passing(
    connect: Callable[[], Awaitable[_Streams]], count: Count
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await connect()
        there = asyncio.create_task(_pass_on(reader, upstream_writer, count), name="requests")
        back = asyncio.create_task(_pass_on(upstream_reader, writer, None), name="answers")
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            writer.close()
            upstream_writer.close()

    return serve


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Count | None) -> None:
    while block := await reader.read(_BLOCK_BYTES):
        if count is not None:
            count.requests += count_requests(block)
        writer.write(block)
        await writer.drain()
