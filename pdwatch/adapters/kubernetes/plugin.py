"""Runs the credential plugin of a kubeconfig, and ends it when its time is up.

kubernetes_asyncio leaves one running that is given up, one more with every attempt, and waits for ever for
one that writes more to stderr than a pipe holds.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import IO, Any

_KIND = "ExecCredential"
_LONGEST_COMPLAINT = 500
"""So many characters of the end of what it says are told when it fails."""


def ending_with_its_time(provider: Any, failure: type[Exception]) -> Any:
    """Return the library's ``ExecProvider`` with another way to run the program.

    Args:
        provider: The class, which reads the entry of the kubeconfig.
        failure: What the library raises; its text begins with ``exec:``.
    """

    class Plugin(provider):  # type: ignore[misc]  # the library is imported on use
        async def run(self) -> Any:
            """Return the status of the ExecCredential that the program prints (client-go, exec plugins)."""
            spec = {"interactive": sys.stdin.isatty()}
            asked = {"apiVersion": self.api_version, "kind": _KIND, "spec": spec}
            environment = {**self.env, "KUBERNETES_EXEC_INFO": json.dumps(asked)}
            with _memory("credential") as printed, _memory("complaint") as complaint:
                code = await _run(self.args, environment, printed, complaint)
                if code:
                    raise failure(f"exec: it ends with exit code {code}: {_end_of(complaint)}")
                printed.seek(0)
                return _status(printed.read(), self.api_version, failure)

    return Plugin


def _memory(name: str) -> IO[bytes]:
    """Return a file in memory: unlike a pipe it is never full, nor kept open by what the program starts."""
    return os.fdopen(os.memfd_create(name), "w+b")


async def _run(
    command: list[str], environment: dict[str, str], printed: IO[bytes], complaint: IO[bytes]
) -> int:
    """Run a program, and when that is cancelled end it and all that it has started; return its exit code."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=printed, stderr=complaint, start_new_session=True
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _end_of(complaint: IO[bytes]) -> str:
    complaint.seek(0)
    said = complaint.read().decode(errors="replace").strip()
    return said if len(said) <= _LONGEST_COMPLAINT else f"…{said[-_LONGEST_COMPLAINT:]}"


def _status(printed: bytes, api_version: str, failure: type[Exception]) -> Any:
    try:
        credential = json.loads(printed)
        answered, status = credential["apiVersion"], credential["status"]
    except (ValueError, TypeError, KeyError):
        raise failure(f"exec: it prints no {_KIND} with a status") from None
    if answered != api_version:
        raise failure(f"exec: it answers in {answered}, and the kubeconfig asks for {api_version}")
    return status
