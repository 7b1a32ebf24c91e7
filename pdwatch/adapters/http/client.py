"""Asks a daemon over its socket or a URL; the other end is :mod:`pdwatch.adapters.http.app`."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp

from pdwatch.errors import DaemonUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

Document: TypeAlias = "dict[str, Any]"

_TIMEOUT_S = 10.0
_SILENCE_S = 60.0
"""A stream that is silent for longer than several heartbeats is dead."""
_QUIET = frozenset({"engine.output", "workflow.unchanged"})
"""Frequent events after which every workflow stands as before."""


class Daemon:
    """One daemon; ``place`` is its socket's path or its URL."""

    def __init__(self, session: aiohttp.ClientSession, place: str) -> None:
        self._session = session
        self.place = place

    async def workflows(self) -> list[Document]:
        """Return what it tells of its workflows, in the fields of docs/output.md.

        Raises:
            DaemonUnavailableError: It does not answer.
        """
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        try:
            async with self._session.get("/api/v1/workflows", timeout=timeout) as response:
                response.raise_for_status()
                found: list[Document] = (await response.json())["workflows"]
                return found
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, OSError) as error:
            raise self._unavailable(error) from error

    async def changes(self) -> AsyncGenerator[None]:
        """Yield once it listens, after each event that may have changed a workflow's state, and now and then.

        Raises:
            DaemonUnavailableError: It does not answer, or ends.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_S, sock_read=_SILENCE_S)
        try:
            async with self._session.get("/api/v1/events?level=debug", timeout=timeout) as response:
                response.raise_for_status()
                async for line in response.content:
                    if line.startswith(b":") or (line.startswith(b"data: ") and _matters(line[6:])):
                        yield
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, OSError) as error:
            raise self._unavailable(error) from error
        raise DaemonUnavailableError(f"the pdwatch at {self.place} has ended")

    def _unavailable(self, error: Exception) -> DaemonUnavailableError:
        if isinstance(error, TimeoutError):
            return DaemonUnavailableError(
                f"the pdwatch at {self.place} does not answer",
                remedy="its event loop stands still: see `pdwatch logs`, then restart it",
            )
        reason = str(getattr(error, "strerror", None) or error) or type(error).__name__
        return DaemonUnavailableError(
            f"no pdwatch answers at {self.place}: {reason}",
            remedy="start one with `pdwatch run DIR`, or name where it answers with --socket",
        )


@asynccontextmanager
async def daemon_at(place: str) -> AsyncIterator[Daemon]:
    """Yield the daemon at a socket's path, or at a URL; nothing is asked yet."""
    url = place if "://" in place else "http://localhost"
    connector = None if "://" in place else aiohttp.UnixConnector(place)
    async with aiohttp.ClientSession(url, connector=connector) as session:
        yield Daemon(session, place)


def _matters(record: bytes) -> bool:
    return json.loads(record)["event"] not in _QUIET
