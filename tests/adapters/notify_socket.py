"""systemd's end of NOTIFY_SOCKET."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

WAIT_S = 120
"""How long a message may take to come before the test fails; a bound, not an expectation."""


@dataclass(slots=True, kw_only=True)
class NotifySocket:
    """What a service says to its manager."""

    address: str
    connection: socket.socket
    messages: list[dict[str, str]] = field(default_factory=list)

    def environment(self, *, watchdog_s: float | None = None) -> Mapping[str, str]:
        """Return what systemd sets for a service."""
        watchdog = {} if watchdog_s is None else {"WATCHDOG_USEC": str(round(watchdog_s * 1e6))}
        return {"NOTIFY_SOCKET": self.address, **watchdog}

    async def receive(self) -> dict[str, str]:
        """Return the next message: its assignments by name."""
        async with asyncio.timeout(WAIT_S):
            datagram = await asyncio.get_running_loop().sock_recv(self.connection, 65536)
        return self._take(datagram)

    async def until(self, name: str) -> dict[str, str]:
        """Return the next message with an assignment to ``name``."""
        while name not in (message := await self.receive()):
            pass
        return message

    def pending(self) -> list[dict[str, str]]:
        """Return the messages that have come and that nobody has received."""
        found = []
        while True:
            try:
                found.append(self._take(self.connection.recv(65536)))
            except BlockingIOError:
                return found

    def _take(self, datagram: bytes) -> dict[str, str]:
        message = dict(line.split("=", 1) for line in datagram.decode().splitlines())
        self.messages.append(message)
        return message


@contextmanager
def notify_socket(address: Path | str) -> Iterator[NotifySocket]:
    """Listen at a path, or at an abstract address that starts with ``@``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        shown = str(address)
        connection.bind("\0" + shown[1:] if shown.startswith("@") else shown)
        connection.setblocking(False)  # noqa: FBT003  # the library's own spelling
        yield NotifySocket(address=shown, connection=connection)
