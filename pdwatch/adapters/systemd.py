"""Tells systemd how the service is doing: the protocol of sd_notify(3)."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pdwatch.errors import SettingsError
from pdwatch.logs import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from pdwatch.logs import EventLog


class Systemd:
    """The service manager that started this process; made by :func:`service_manager`.

    Without one every message is dropped: pdwatch is the same program under systemd and in a terminal.
    """

    def __init__(
        self, connection: socket.socket | None, *, log: EventLog, watchdog_s: float | None = None
    ) -> None:
        self._connection = connection
        self._log = log
        self.watchdog_s = watchdog_s
        """Seconds of silence after which systemd takes the service for hung; None when it does not watch."""

    @property
    def listens(self) -> bool:
        """Whether there is anybody to tell."""
        return self._connection is not None

    async def ready(self) -> None:
        """Tell that start or reload is done."""
        await self._send("READY=1")

    async def reloading(self) -> None:
        """Tell that a reload begins, and when, so that systemd can tell it from an earlier one."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        await self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    async def stopping(self) -> None:
        """Tell that the service is going down."""
        await self._send("STOPPING=1")

    async def status(self, line: str) -> None:
        """Tell in one line what ``systemctl status`` shows."""
        await self._send(f"STATUS={' '.join(line.split())}")

    async def alive(self) -> None:
        """Feed the watchdog."""
        await self._send("WATCHDOG=1")

    async def extend_timeout(self, within_s: float) -> None:
        """Ask for patience while the service starts or stops, until the next message within that time."""
        await self._send(f"EXTEND_TIMEOUT_USEC={round(within_s * 1e6)}")

    async def _send(self, message: str) -> None:
        if self._connection is None:
            return
        try:
            await asyncio.get_running_loop().sock_sendall(self._connection, message.encode())
        except OSError as error:
            self._connection = None
            self._log.emit(Event.SYSTEMD_LOST, message=f"systemd can't be told any more: {error}")


@contextmanager
def service_manager(environ: MutableMapping[str, str], *, log: EventLog) -> Iterator[Systemd]:
    """Connect to the systemd that ``environ`` names, and take it out of there: children are no services.

    Raises:
        SettingsError: It names a socket that is none.
    """
    address = environ.pop("NOTIFY_SOCKET", "")
    watchdog_s = _watchdog_s(environ.pop("WATCHDOG_USEC", ""), pid=environ.pop("WATCHDOG_PID", ""))
    if not address:
        yield Systemd(None, log=log)
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.setblocking(False)  # noqa: FBT003  # the library's own spelling
        try:
            connection.connect("\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            raise SettingsError(
                f"NOTIFY_SOCKET={address} is no socket of a service manager: {error.strerror or error}",
                remedy="unset it; only systemd sets it rightly",
            ) from error
        yield Systemd(connection, log=log, watchdog_s=watchdog_s)


def _watchdog_s(microseconds: str, *, pid: str) -> float | None:
    """Return the limit that systemd has set; None when there is none, or it is another process's."""
    ours = pid in ("", str(os.getpid()))
    return int(microseconds) / 1e6 if ours and microseconds.isdecimal() and int(microseconds) else None
