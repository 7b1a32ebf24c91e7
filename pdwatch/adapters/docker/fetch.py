"""Fetches third-party imports with the base image's own Deno, in a container that is removed afterwards."""

from __future__ import annotations

import asyncio
import os
import uuid
from contextlib import aclosing, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pdwatch.adapters.context import tar_chunks
from pdwatch.adapters.docker.api import NOT_FOUND, RefusedError
from pdwatch.adapters.docker.fetch_errors import fetch_error, network_error
from pdwatch.core.build_context import ContextDirectory, ContextFile
from pdwatch.core.dependencies import MODULE
from pdwatch.errors import DockerError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from pdwatch.adapters.dependencies import ThirdPartyCode
    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.build_context import ContextEntry

DIRECTORY = "app"
"""Where Deno fetches into, below the root."""

_CERTIFICATES = "tmp/certificates.pem"
_COMMAND = ("install", "--allow-import", "--entrypoint", MODULE)
_DENO = {"DENO_DIR": "/tmp/deno", "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}  # noqa: S108  # the container's
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_TRUST = ("DENO_CERT", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")
"""Variables that name a file of certificate authorities; the first that is set counts."""
_REMOVE_TIMEOUT_S = 30.0
_FRAME_HEADER = 8


async def fetch(
    api: DockerApi,
    code: ThirdPartyCode,
    *,
    base: Mapping[str, Any],
    network: str | None,
    report: Callable[[str], None],
    into: IO[bytes],
) -> None:
    """Fetch what a workflow lacks, and write the directory with all of it as a tar.

    Deno runs no script of any package. Whatever happens, the container does not stay.

    Args:
        api: The daemon.
        code: What to fetch.
        base: What Docker says of the base image.
        network: Docker's name of the network to fetch over; None is its default.
        report: Called with each line that Deno prints.
        into: Where the tar goes.

    Raises:
        DependencyUnavailableError: Where an import comes from can't be reached.
        BuildFailedError: An import does not exist, or is not what ``deno.lock`` says.
        SettingsError: There is no such network, or a file of certificates can't be read.
        DockerError: Docker can't be reached, or answers with another error.
    """
    trusted = await asyncio.to_thread(_trusted)
    name = f"pdwatch-fetch-{uuid.uuid4().hex}"
    container = f"containers/{name}"
    try:
        description = _container(base, network=network, trusted=trusted is not None)
        await api.request("POST", "containers/create", query={"name": name}, json=description)
        files = _archive(code.fetch_files, trusted)
        await api.request("PUT", f"{container}/archive", query={"path": "/"}, body=files)
        try:
            await api.request("POST", f"{container}/start")
        except RefusedError as refused:
            raise network_error(refused, network) from refused
        output = []
        async with aclosing(_lines(api, container)) as lines:
            async for line in lines:
                report(f"Fetching third-party imports: {line}")
                output.append(line)
        ended = await api.request("POST", f"{container}/wait")
        if ended["StatusCode"] != 0:
            raise fetch_error(output, code.missing)
        query = {"path": f"/{DIRECTORY}"}
        async with aclosing(api.chunks(f"{container}/archive", query=query)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(into.write, chunk)
    finally:
        await _remove(api, container)


def _container(base: Mapping[str, Any], *, network: str | None, trusted: bool) -> dict[str, Any]:
    """Describe the container for ``POST /containers/create``."""
    names = (*_PROXIES, *map(str.lower, _PROXIES))
    proxies = {name: value for name in names if (value := os.environ.get(name))}
    trust = {"DENO_CERT": f"/{_CERTIFICATES}"} if trusted else {}
    return {
        "Image": base["Id"],
        "Entrypoint": ["/bin/deno"],
        "Cmd": list(_COMMAND),
        "WorkingDir": f"/{DIRECTORY}",
        "User": "0:0",
        "Env": [f"{name}={value}" for name, value in {**_DENO, **proxies, **trust}.items()],
        "HostConfig": {
            "NetworkMode": network or "default",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            # gVisor may keep what is written to itself, where Docker can't read it out.
            "Runtime": "runc",
        },
    }


def _archive(files: Mapping[str, bytes], trusted: bytes | None) -> bytes:
    entries: list[ContextEntry] = [ContextDirectory(DIRECTORY)]
    entries += [ContextFile(path=f"{DIRECTORY}/{path}", content=content) for path, content in files.items()]
    if trusted is not None:
        entries.append(ContextFile(path=_CERTIFICATES, content=trusted))
    return b"".join(tar_chunks(entries, read=lambda _: iter(())))


async def _lines(api: DockerApi, container: str) -> AsyncGenerator[str, None]:
    """Yield what the container prints until it ends; Docker sends it in frames, each with a header."""
    query = {"follow": "1", "stdout": "1", "stderr": "1"}
    rest = text = b""
    async with aclosing(api.chunks(f"{container}/logs", query=query)) as chunks:
        async for chunk in chunks:
            rest += chunk
            while len(rest) >= _FRAME_HEADER:
                end = _FRAME_HEADER + int.from_bytes(rest[4:_FRAME_HEADER], "big")
                if len(rest) < end:
                    break
                text, rest = text + rest[_FRAME_HEADER:end], rest[end:]
            *lines, text = text.split(b"\n")
            for line in lines:
                yield line.decode(errors="replace").rstrip()


async def _remove(api: DockerApi, container: str) -> None:
    """Remove the container, whatever it is doing, even while this is being cancelled."""
    removal = asyncio.create_task(
        api.request("DELETE", container, query={"force": "1", "v": "1"}), name=f"remove {container}"
    )
    try:
        await asyncio.shield(removal)
    except asyncio.CancelledError:
        with suppress(DockerError, TimeoutError):  # a Docker that is gone keeps what it has
            async with asyncio.timeout(_REMOVE_TIMEOUT_S):
                await removal
        raise
    except RefusedError as refused:
        if refused.status != NOT_FOUND:
            raise


def _trusted() -> bytes | None:
    """Return the certificate authorities that this machine's settings name, beside Deno's own."""
    variable = next((name for name in _TRUST if os.environ.get(name)), None)
    if variable is None:
        return None
    path = Path(os.environ[variable])
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{path}, which {variable} names, can't be read: {error.strerror}",
            remedy=f"put {variable} right, or unset it",
        ) from error
