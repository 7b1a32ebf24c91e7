"""Fetches third-party imports in Docker, into an image that workflows' images take them from.

They are fetched by the base image's own Deno, in a container that is removed; docs/adr/0012 says why.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tarfile
import tempfile
import uuid
from contextlib import aclosing, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pdwatch.adapters.context import BLOCK_BYTES, off_loop, tar_chunks
from pdwatch.adapters.docker.api import NOT_FOUND, RefusedError
from pdwatch.adapters.docker.base import inspect
from pdwatch.adapters.docker.fetch_errors import fetch_error, network_error
from pdwatch.adapters.docker.refusals import load_error
from pdwatch.core.build_context import ContextDirectory, ContextFile, ContextLink
from pdwatch.core.dependencies import (
    MODULE,
    dependencies_config,
    dependencies_reference,
    fetch_digest,
)
from pdwatch.core.image import parse_reference
from pdwatch.core.image_config import archive_config_name, archive_manifest
from pdwatch.core.model import SourceFile
from pdwatch.core.names import IMAGE_DEPENDENCIES_LABEL
from pdwatch.core.sources import DEPENDENCIES, NODE_MODULES
from pdwatch.errors import DockerError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.build_context import ContextEntry
    from pdwatch.core.dependencies import ThirdPartyImport

_DIRECTORY = "app"
_CERTIFICATES = "tmp/certificates.pem"
_COMMAND = ("install", "--allow-import", "--entrypoint", MODULE)
_DENO = {"DENO_DIR": "/tmp/deno", "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}  # noqa: S108  # the container's
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_TRUST = ("DENO_CERT", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")
"""Variables that name a file of certificate authorities; the first that is set counts."""
_OF_THE_INSTALLATION = frozenset(
    f"{_DIRECTORY}/{NODE_MODULES}/.deno/{name}" for name in (".deno.lock", ".setup-cache.bin")
)
"""What Deno keeps for the next installation; it differs from one to the next."""
_REMOVE_TIMEOUT_S = 30.0
_FRAME_HEADER = 8


class DependencyFetcher:
    """Finds or makes the image that holds certain third-party imports.

    Args:
        api: The daemon.
        network: Docker's name of the network to fetch over; None is its default.
        report: Called with each line that Deno prints meanwhile.
    """

    def __init__(self, api: DockerApi, *, network: str | None, report: Callable[[str], None]) -> None:
        self._api = api
        self._network = network
        self._report = report

    async def require(
        self,
        imports: Sequence[ThirdPartyImport],
        files: Mapping[str, bytes],
        *,
        base: Mapping[str, Any],
        left_out: Collection[str],
    ) -> str:
        """Return the reference of an image with the imports, fetched first when there is none.

        Args:
            imports: What is fetched, one for each line of the module in ``files``.
            files: See :func:`pdwatch.core.dependencies.fetch_files`.
            base: What Docker says of the base image.
            left_out: The trees, of ``node_modules`` and ``vendor``, that the workflow brings along itself.

        Raises:
            DependencyUnavailableError: Where an import comes from can't be reached.
            BuildFailedError: An import does not exist, or is not what ``deno.lock`` says.
            SettingsError: There is no such network.
            DockerError: Docker can't be reached, or answers with another error.
        """
        digest = fetch_digest(files, base_id=base["Id"], left_out=left_out)
        reference = dependencies_reference(digest)
        found = await inspect(self._api, reference)
        labels = (found or {}).get("Config", {}).get("Labels") or {}
        if labels.get(IMAGE_DEPENDENCIES_LABEL) != digest:
            with tempfile.TemporaryFile() as fetched, tempfile.TemporaryFile() as layer:
                await self._fetch(imports, files, base=base, into=fetched)
                trees = DEPENDENCIES.difference(left_out)
                diff_id = await asyncio.to_thread(write_layer, fetched, layer, trees=trees)
                await self._load(digest, diff_id, layer, base=base)
        return reference

    async def _fetch(
        self,
        imports: Sequence[ThirdPartyImport],
        files: Mapping[str, bytes],
        *,
        base: Mapping[str, Any],
        into: IO[bytes],
    ) -> None:
        """Run Deno in a container, and write its directory as a tar to ``into``."""
        trusted = await asyncio.to_thread(_trusted)
        name = f"pdwatch-fetch-{uuid.uuid4().hex}"
        container = f"containers/{name}"
        try:
            await self._api.request(
                "POST", "containers/create", query={"name": name}, json=self._container(base, trusted)
            )
            entries: list[ContextEntry] = [ContextDirectory(_DIRECTORY)]
            entries += [
                ContextFile(path=f"{_DIRECTORY}/{path}", content=content) for path, content in files.items()
            ]
            if trusted is not None:
                entries.append(ContextFile(path=_CERTIFICATES, content=trusted))
            body = b"".join(tar_chunks(entries, read=_nothing))
            await self._api.request("PUT", f"{container}/archive", query={"path": "/"}, body=body)
            await self._start(container)
            output = [line async for line in self._lines(container)]
            ended = await self._api.request("POST", f"{container}/wait")
            if ended["StatusCode"] != 0:
                raise fetch_error(output, imports)
            query = {"path": f"/{_DIRECTORY}"}
            async with aclosing(self._api.chunks(f"{container}/archive", query=query)) as chunks:
                async for chunk in chunks:
                    await asyncio.to_thread(into.write, chunk)
        finally:
            await self._remove(container)

    def _container(self, base: Mapping[str, Any], trusted: bytes | None) -> dict[str, Any]:
        """Describe the container. Deno installs without running any package's scripts."""
        proxies = {
            name: value for name in (*_PROXIES, *map(str.lower, _PROXIES)) if (value := os.environ.get(name))
        }
        trust = {"DENO_CERT": f"/{_CERTIFICATES}"} if trusted is not None else {}
        return {
            "Image": base["Id"],
            "Entrypoint": ["/bin/deno"],
            "Cmd": list(_COMMAND),
            "WorkingDir": f"/{_DIRECTORY}",
            "User": "0:0",
            "Env": [f"{name}={value}" for name, value in {**_DENO, **proxies, **trust}.items()],
            "HostConfig": {
                "NetworkMode": self._network or "default",
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                # gVisor may keep what is written to itself, where Docker can't read it out.
                "Runtime": "runc",
            },
        }

    async def _start(self, container: str) -> None:
        try:
            await self._api.request("POST", f"{container}/start")
        except RefusedError as refused:
            raise network_error(refused, self._network) from refused

    async def _lines(self, container: str) -> AsyncIterator[str]:
        """Yield what Deno prints, until it ends; Docker sends it in frames, each with a header."""
        query = {"follow": "1", "stdout": "1", "stderr": "1"}
        rest, text = b"", b""
        async with aclosing(self._api.chunks(f"{container}/logs", query=query)) as chunks:
            async for chunk in chunks:
                rest += chunk
                while len(rest) >= _FRAME_HEADER:
                    end = _FRAME_HEADER + int.from_bytes(rest[4:_FRAME_HEADER], "big")
                    if len(rest) < end:
                        break
                    text, rest = text + rest[_FRAME_HEADER:end], rest[end:]
                *lines, text = text.split(b"\n")
                for line in lines:
                    shown = line.decode(errors="replace").rstrip()
                    self._report(f"Fetching third-party imports: {shown}")
                    yield shown

    async def _load(self, digest: str, diff_id: str, layer: IO[bytes], *, base: Mapping[str, Any]) -> None:
        """Make the layer an image of its own."""
        reference = dependencies_reference(digest)
        config = dependencies_config(digest, layer=diff_id, base=base)
        size = layer.seek(0, os.SEEK_END)
        layer.seek(0)
        content = SourceFile(path="layer.tar", size=size, digest=diff_id.removeprefix("sha256:"))
        archive: list[ContextEntry] = [
            ContextFile(path=archive_config_name(config), content=config.content),
            ContextFile(path="manifest.json", content=archive_manifest(config, [reference])),
            ContextFile(path=f"{content.digest}/layer.tar", content=content),
        ]
        body = off_loop(tar_chunks(archive, read=lambda _: _blocks(layer)))
        try:
            async with aclosing(
                self._api.messages("images/load", query={"quiet": "1"}, body=body)
            ) as messages:
                async for _ in messages:
                    pass
        except RefusedError as refused:
            ref = parse_reference(reference)
            assert ref is not None
            raise (load_error(refused, ref) or refused) from refused

    async def _remove(self, container: str) -> None:
        """Remove the container, whatever it is doing, and even when this is being cancelled."""
        removal = asyncio.create_task(
            self._api.request("DELETE", container, query={"force": "1", "v": "1"}),
            name=f"remove {container}",
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


def write_layer(fetched: IO[bytes], layer: IO[bytes], *, trees: Collection[str]) -> str:
    """Write a layer of the trees that Deno has made, in a form that depends on their content alone.

    Args:
        fetched: A tar of the directory that Deno fetched into; can seek.
        layer: Where the layer goes.
        trees: Which trees of it.

    Returns:
        The layer's diff ID, ``sha256:<64 hex>``.
    """
    fetched.seek(0)
    content = hashlib.sha256()
    with tarfile.open(fileobj=fetched, mode="r:") as tar:
        for chunk in tar_chunks(_entries(tar, trees), read=_nothing):
            content.update(chunk)
            layer.write(chunk)
    return f"sha256:{content.hexdigest()}"


def _entries(tar: tarfile.TarFile, trees: Collection[str]) -> Iterator[ContextEntry]:
    yield ContextDirectory(_DIRECTORY)
    for member in sorted(tar.getmembers(), key=lambda member: member.name.split("/")):
        parts = member.name.split("/")
        if len(parts) == 1 or parts[1] not in trees or member.name in _OF_THE_INSTALLATION:
            continue
        if member.isdir():
            yield ContextDirectory(member.name)
        elif member.issym():
            yield ContextLink(path=member.name, target=member.linkname)
        elif content := tar.extractfile(member):  # a hard link is read as what it leads to
            yield ContextFile(path=member.name, content=content.read())


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _nothing(_: SourceFile) -> Iterator[bytes]:
    return iter(())


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
