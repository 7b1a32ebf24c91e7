"""Registry credentials, read the way Docker's own command line does; pdwatch has none and keeps none."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from pdwatch.adapters.docker.endpoint import docker_config
from pdwatch.core.image import DEFAULT_REGISTRY
from pdwatch.errors import PushRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

HELPER_TIMEOUT_S = 30.0
_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # noqa: S105  # what helpers say in place of a user name
_NOT_FOUND = b"credentials not found"


async def registry_auth(host: str) -> str:
    """Return the ``X-Registry-Auth`` header for a registry; one without credentials where Docker has none.

    Raises:
        SettingsError: Docker's ``config.json`` can't be read.
        PushRefusedError: The credential helper that it names fails.
    """
    config = await asyncio.to_thread(docker_config)
    key = _HUB_KEY if host == DEFAULT_REGISTRY else host
    helper = _mapping(config, "credHelpers").get(host) or config.get("credsStore")
    found = await _from_helper(str(helper), key) if helper else None
    credentials = found or _from_file(config, key)
    return base64.urlsafe_b64encode(json.dumps({**credentials, "serveraddress": key}).encode()).decode()


def _from_file(config: Mapping[str, Any], key: str) -> dict[str, str]:
    entries = _mapping(config, "auths")
    entry = entries.get(key) or next((entries[name] for name in entries if _host(name) == _host(key)), None)
    if not isinstance(entry, dict):
        return {}
    if token := entry.get("identitytoken"):
        return {"identitytoken": token}
    try:
        name, colon, secret = base64.b64decode(entry.get("auth") or "").decode().partition(":")
    except (binascii.Error, ValueError):
        return {}
    return {"username": name, "password": secret.rstrip("\0")} if colon else {}


async def _from_helper(helper: str, key: str) -> dict[str, str] | None:
    """Ask ``docker-credential-<helper>``, as the docker-credential-helpers protocol has it."""
    program = f"docker-credential-{helper}"
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise PushRefusedError(
            f"Docker's config.json asks {program} for credentials, which can't be run: {error.strerror}",
            remedy=f"install {program}, or take it out of credsStore and credHelpers there",
        ) from error
    try:
        async with asyncio.timeout(HELPER_TIMEOUT_S):
            output, _ = await process.communicate(key.encode())
    except TimeoutError:
        raise PushRefusedError(f"{program} gives no credentials within {HELPER_TIMEOUT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        if _NOT_FOUND in output:
            return None
        raise PushRefusedError(
            f"{program} fails with exit code {process.returncode}", remedy=f"try `echo {key} | {program} get`"
        )
    try:
        answer = json.loads(output)
        name, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise PushRefusedError(f"{program} answers with something that is no credentials") from None
    return {"identitytoken": secret} if name == _TOKEN_USER else {"username": name, "password": secret}


def _mapping(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def _host(name: str) -> str:
    """Return the host of a key of ``auths``, which older Dockers wrote as a URL."""
    return name.partition("://")[2].partition("/")[0] if "://" in name else name.partition("/")[0]
