"""A real ``pdwatch dev`` or ``pdwatch run --target local``, and the workflows that answer behind it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.e2e.daemon import Daemon, running_daemon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Dev:
    """The process, and where its workflow answers."""

    daemon: Daemon
    url: str

    async def run(self) -> dict[str, Any]:
        """Return the outputs of one run."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/run") as response:
            outputs: dict[str, Any] = (await response.json())["outputs"]
            return outputs

    def engines(self) -> set[int]:
        """Return the ids of the engines that run now."""
        return {
            child
            for child in children(self.daemon.process.pid)
            if b"/engine/main.ts" in Path(f"/proc/{child}/cmdline").read_bytes()
        }


@asynccontextmanager
async def running_dev(root: Path, *arguments: str) -> AsyncIterator[Dev]:
    """Run ``pdwatch dev`` on a free port, until its workflow answers."""
    flags = arguments if any(each.startswith("--port") for each in arguments) else (*arguments, "--port=0")
    async with running_daemon(root, *flags, environment={}, command="dev", log_level="debug") as daemon:
        opened = await daemon.until("endpoint.opened")
        await daemon.until("rollout.complete")
        yield Dev(daemon=daemon, url=opened["url"])
        if daemon.process.returncode is None:
            await daemon.stop()


def children(pid: int) -> set[int]:
    """Return the ids of a process's children."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return {int(child) for thread in threads for child in (thread / "children").read_text().split()}


async def gone(pidfd: int) -> None:
    """Return once the process of a descriptor has ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(60):
            await ended.wait()
    finally:
        loop.remove_reader(pidfd)
