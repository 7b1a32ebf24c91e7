"""One engine as a child process: started, heard, asked for its digest, and stopped."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from pdwatch.adapters.local.children import start_child
from pdwatch.adapters.local.deno import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

GRACE_S = 30.0
"""How long runs in flight may take once an engine is told to stop, as ``terminationGracePeriodSeconds``."""
_KEPT_LINES = 20
_HEALTH_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLine:
    """A line that an engine has written: one of its log, or any other text.

    ``level`` is ``debug``, ``info``, ``warn`` or ``error``; ``detail`` is what was logged with the message.
    """

    level: str
    message: str
    node: str | None = None
    run_id: str | None = None
    detail: str | None = None


class Engine:
    """A running engine. Use :func:`running_engine`."""

    def __init__(self, child: asyncio.subprocess.Process, hear: Callable[[OutputLine], None]) -> None:
        self._child = child
        self._hear = hear
        self._last: deque[str] = deque(maxlen=_KEPT_LINES)
        self._port: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int:
        """The process."""
        return self._child.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._child.returncode is not None

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines that it wrote."""
        return tuple(self._last)

    async def port(self) -> int | None:
        """Return the loopback port once it listens; None when it has ended instead."""
        return await asyncio.shield(self._port)

    async def digest(self, session: aiohttp.ClientSession) -> str | None:
        """Ask ``/health`` for the digest of the sources that it runs; None when it does not answer so."""
        url = f"http://{LOOPBACK}:{await self.port()}/health"
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=_HEALTH_TIMEOUT_S)) as response:
                digest: str | None = (await response.json())["sourceDigest"]
                return digest
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
            return None

    async def ended(self) -> int:
        """Return its exit status once it has ended; negative is the signal that ended it."""
        return await self._child.wait()

    async def listen(self) -> None:
        """Hear what it writes until it closes its outputs."""
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(self._child.stdout, level="info"), name="read an engine's log")
                group.create_task(
                    self._read(self._child.stderr, level="error"), name="read an engine's errors"
                )
        finally:
            if not self._port.done():
                self._port.set_result(None)

    async def stop(self) -> None:
        """Tell it to finish its runs and end; end it when they take too long."""
        with suppress(ProcessLookupError):
            self._child.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(GRACE_S):
                await self._child.wait()
        except TimeoutError:
            self.kill()
            await self._child.wait()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._child.kill()

    async def _read(self, stream: asyncio.StreamReader, *, level: str) -> None:
        while text := await _line(stream):
            line, port = parse_line(text, level=level)
            if port is not None and not self._port.done():
                self._port.set_result(port)
            self._last.append(shown(line))
            self._hear(line)


@asynccontextmanager
async def running_engine(
    command: Sequence[str], *, app: Path, hear: Callable[[OutputLine], None]
) -> AsyncIterator[Engine]:
    """Start an engine, and stop it at the end of the block.

    Args:
        command: See :func:`pdwatch.adapters.local.deno.engine_command`.
        app: Its working directory.
        hear: Called with every line that it writes.

    Raises:
        OSError: It can't be started.
    """
    child = await start_child(command, directory=app, stderr=asyncio.subprocess.PIPE)
    engine = Engine(child, hear)
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.listen(), name=f"listen to engine {child.pid}")
        try:
            yield engine
        finally:
            try:
                await engine.stop()
            except BaseException:
                engine.kill()
                raise


def parse_line(text: str, *, level: str) -> tuple[OutputLine, int | None]:
    """Read one line of an engine's output; the port comes with the line that says that it listens.

    Args:
        text: The line.
        level: That of a line that is not of the engine's log.
    """
    try:
        match json.loads(text):
            case {"level": "debug" | "info" | "warn" | "error" as given, "message": str(message)} as entry:
                arguments: list[Any] = entry.get("args") or []
                line = OutputLine(
                    level=given,
                    message=message,
                    node=entry.get("node"),
                    run_id=entry.get("runId"),
                    detail=" ".join(map(_text, arguments)) or None,
                )
                return line, _port_of(line, arguments)
    except (ValueError, RecursionError, TypeError):
        pass  # a node can write whatever it likes
    return OutputLine(level=level, message=text), None


def _port_of(line: OutputLine, arguments: list[Any]) -> int | None:
    match line, arguments:
        case OutputLine(message="listening", node=None, run_id=None), [
            {"port": int(port), "sourceDigest": _}
        ]:
            return port
    return None


def shown(line: OutputLine) -> str:
    """Return a line as people read it."""
    node = f"[{line.node}] " if line.node else ""
    return f"{node}{line.message}{f' {line.detail}' if line.detail else ''}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


async def _line(stream: asyncio.StreamReader) -> str:
    """Return the next line with its end cut off (an empty one as a blank); empty at the end of the stream."""
    try:
        raw = await stream.readline()
    except ValueError:  # longer than the limit: the part that fits was dropped, and the rest follows
        return "(a line that is too long to show)"
    return raw.decode(errors="replace").rstrip("\r\n") or (" " if raw else "")
