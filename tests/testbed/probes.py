"""Asking a component whether it is well."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from tests.testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from subprocess import Popen

    from tests.testbed.components import Component, Probe

_ANSWER_WITHIN = 5.0  # seconds
_POLL_EVERY = 0.05  # seconds


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def complaint(probe: Probe) -> str | None:
    """Return what is wrong with a component; None when it answers that it is well."""
    url = urlsplit(probe.url)
    headers = {"Authorization": f"Bearer {probe.token}"} if probe.token else {}
    try:
        connection = _connect(probe)
        try:
            connection.request("GET", url.path, headers=headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return f"{probe.url}: {error!r}"
    if response.status != http.HTTPStatus.OK:
        return f"{probe.url}: {response.status} {text.strip()}"
    return None if probe.contains in text else f"{probe.url}: there is no {probe.contains} in the answer"


def _connect(probe: Probe) -> http.client.HTTPConnection:
    url = urlsplit(probe.url)
    if probe.unix_socket:
        return UnixConnection(str(probe.unix_socket), timeout=_ANSWER_WITHIN)
    if url.scheme == "http":
        return http.client.HTTPConnection(url.netloc, timeout=_ANSWER_WITHIN)
    context = ssl.create_default_context(cafile=probe.certificate)
    return http.client.HTTPSConnection(url.netloc, timeout=_ANSWER_WITHIN, context=context)


def wait_until_well(component: Component, process: Popen[bytes], log: Path, *, timeout: float) -> None:
    """Return as soon as the component says that it is well.

    Raises:
        TestbedError: It ended, or does not say so in time (seconds).
    """
    deadline = time.monotonic() + timeout
    while reason := complaint(component.probe):
        if process.poll() is not None:
            raise TestbedError(f"{component.name} ended with status {process.returncode}.", log=log)
        if time.monotonic() > deadline:
            raise TestbedError(f"{component.name} is not well after {timeout:.0f} s: {reason}", log=log)
        time.sleep(_POLL_EVERY)


def post(unix_socket: Path, path: str, body: IO[bytes], headers: Mapping[str, str], *, timeout: float) -> str:
    """Send a file to a daemon's API and return its whole answer.

    Raises:
        TestbedError: The answer is not 200.
    """
    connection = UnixConnection(str(unix_socket), timeout=timeout)
    try:
        connection.request("POST", path, body=body, headers=dict(headers))
        response = connection.getresponse()
        answer = response.read().decode(errors="replace")
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise TestbedError(f"POST {path} on {unix_socket} answered {response.status}: {answer}")
    return answer
