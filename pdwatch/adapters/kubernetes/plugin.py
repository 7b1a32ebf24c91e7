"""Runs the credential plugin of a kubeconfig, and ends it when its time is up.

kubernetes_asyncio leaves one running that is given up, one more with every attempt, and waits for ever for
one that writes more to stderr than a pipe holds.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

_KIND = "ExecCredential"


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
            process = await asyncio.create_subprocess_exec(
                *self.args,
                env={**self.env, "KUBERNETES_EXEC_INFO": json.dumps(asked)},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                printed, complaint = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            if process.returncode:
                said = complaint.decode(errors="replace").strip()
                raise failure(f"exec: it ends with exit code {process.returncode}: {said}")
            return _status(printed, self.api_version, failure)

    return Plugin


def _status(printed: bytes, api_version: str, failure: type[Exception]) -> Any:
    try:
        credential = json.loads(printed)
        answered, status = credential["apiVersion"], credential["status"]
    except (ValueError, TypeError, KeyError):
        raise failure(f"exec: it prints no {_KIND} with a status") from None
    if answered != api_version:
        raise failure(f"exec: it answers in {answered}, and the kubeconfig asks for {api_version}")
    return status
