"""A real ``pdwatch run`` whose log lines are read as they come."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

WAIT_S = 120
"""How long a line may take to come before the test fails; a bound, not an expectation."""

PRIORITY = re.compile(r"^<[0-7]>")
"""What the journal takes off a line."""

Line = dict[str, Any]


@dataclass(slots=True)
class Daemon:
    """The process, and every line that it has written."""

    process: asyncio.subprocess.Process
    lines: list[Line] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    _written: asyncio.Condition = field(default_factory=asyncio.Condition)
    _ended: bool = False

    @property
    def mark(self) -> int:
        """Return a position in the log, for ``since``."""
        return len(self.lines)

    async def until(self, event: str, *, since: int = 0, **fields: object) -> Line:
        """Return the first line of that event, with those fields, at or after position ``since``."""
        wanted, seen = {"event": event, **fields}, since

        def found() -> bool:
            """Look at each line once, however long the log grows."""
            nonlocal seen
            while seen < len(self.lines) and not wanted.items() <= self.lines[seen].items():
                seen += 1
            return seen < len(self.lines)

        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S), self._written:
                await self._written.wait_for(lambda: found() or self._ended)
        if not found():
            failure = AssertionError if self._ended else TimeoutError
            raise failure(f"no {event} {fields} in the log:\n{''.join(self.raw[-40:])}")
        return self.lines[seen]

    def events(self, *, since: int = 0, workflow: str | None = None) -> list[str]:
        """Return the names of the events from position ``since`` on."""
        return [
            line["event"]
            for line in self.lines[since:]
            if workflow is None or line.get("workflow") == workflow
        ]

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        async with asyncio.timeout(WAIT_S):
            return await self.process.wait()

    async def read(self) -> None:
        """Take in lines until the process closes its log."""
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            text = raw.decode()
            self.raw.append(text)
            async with self._written:
                record = PRIORITY.sub("", text)
                if record.startswith("{"):
                    self.lines.append(json.loads(record))
                self._written.notify_all()
        async with self._written:
            self._ended = True
            self._written.notify_all()


@asynccontextmanager
async def running_daemon(
    *arguments: str | Path,
    environment: Mapping[str, str],
    log_level: str | None = "info",
    command: str = "run",
) -> AsyncIterator[Daemon]:
    """Run ``pdwatch run``, or ``dev``, with the arguments; kill it at the end if it still runs."""
    arguments = (
        command,
        *arguments,
        "--log-format=json",
        *([f"--log-level={log_level}"] if log_level else []),
    )
    async with running(sys.executable, "-m", "pdwatch", *arguments, environment=environment) as daemon:
        yield daemon


@asynccontextmanager
async def running(*program: str | Path, environment: Mapping[str, str]) -> AsyncIterator[Daemon]:
    """Run a program whose lines are read as a daemon's are; kill it at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *program,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**20,
        env={**os.environ, **environment},
    )
    daemon = Daemon(process)
    async with asyncio.TaskGroup() as group:
        group.create_task(daemon.read(), name="read the daemon's log")
        try:
            yield daemon
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
